"""What a running gateway tells other programs of its machine."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from server import presence

URL = "http://127.0.0.1:3000"


def test_a_running_gateway_is_found_with_its_address_and_settings(tmp_path: Path) -> None:
    presence.announce(tmp_path, URL, {"ALLOW_PRIVATE_PROVIDERS": "true", "HOME": "/root"})
    found = presence.find(tmp_path)
    assert found == presence.Presence(os.getpid(), URL, {"ALLOW_PRIVATE_PROVIDERS": "true"})


def test_nobody_else_can_change_where_a_gateway_is_found(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        presence.announce(tmp_path, URL, {})
    finally:
        os.umask(before)
    assert (tmp_path / presence.FILE).stat().st_mode & 0o777 == 0o600


def test_a_gateway_that_ended_is_not_found(tmp_path: Path) -> None:
    presence.announce(tmp_path, URL, {})
    presence.withdraw(tmp_path)
    assert presence.find(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_a_gateway_that_was_killed_is_not_found(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    (tmp_path / presence.FILE).write_text(json.dumps({"pid": ended.pid, "url": URL, "settings": {}}))
    assert presence.find(tmp_path) is None


def test_what_another_process_announced_is_kept(tmp_path: Path) -> None:
    told = json.dumps({"pid": os.getppid(), "url": URL, "settings": {}})
    (tmp_path / presence.FILE).write_text(told)
    presence.withdraw(tmp_path)
    assert presence.find(tmp_path) == presence.Presence(os.getppid(), URL, {})


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": 1}', '{"pid": -1, "url": "", "settings": {}}'])
def test_a_file_that_says_nothing_names_no_gateway(tmp_path: Path, content: str) -> None:
    (tmp_path / presence.FILE).write_text(content)
    assert presence.find(tmp_path) is None
