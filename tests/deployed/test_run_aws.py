"""`make run-aws`, from its start to Ctrl-C."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from local.deployment import ROOT
from tests import missing
from tests.running import SENTENCE, environment

READY = "Ctrl-C stops everything."
START_SECONDS = 300.0
END_SECONDS = 180.0


@contextmanager
def run_aws(directory: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """The run, as `make` starts it."""
    with (directory / "said").open("wb") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "local.run_aws"],
            cwd=ROOT,
            env=environment(PORT="0", RUN_DIR=str(directory)),
            stdout=said,
            stderr=said,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def said(directory: Path) -> str:
    return (directory / "said").read_text()


def family(directory: Path) -> set[int]:
    """The processes of a run: those with its folder in a variable of theirs."""
    marked = f"RUN_DIR={directory}".encode()
    found = set()
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if marked in path.read_bytes().split(b"\0"):
                found.add(int(path.parent.name))
        except OSError:
            continue
    return found - {os.getpid()}


def await_ready(process: "subprocess.Popen[bytes]", directory: Path, text: str = READY) -> None:
    deadline = time.monotonic() + START_SECONDS
    while text not in said(directory):
        assert process.poll() is None, said(directory)
        assert time.monotonic() < deadline, said(directory)
        time.sleep(0.2)


def await_end_of_all(directory: Path) -> None:
    deadline = time.monotonic() + END_SECONDS
    while left := family(directory):
        assert time.monotonic() < deadline, left
        time.sleep(0.2)


@missing.needs(missing.PROC)
@missing.needs(missing.CURL)
def test_the_printed_commands_work_as_pasted_and_ctrl_c_ends_every_process(tmp_path: Path) -> None:
    with run_aws(tmp_path) as process:
        await_ready(process, tmp_path)
        commands = [line.strip() for line in said(tmp_path).splitlines() if line.startswith("  ")]
        (curl,) = [line for line in commands if line.startswith("curl ")]
        (admin,) = [line for line in commands if "gateway-admin" in line]
        answers = [
            subprocess.run(command, shell=True, cwd=ROOT, capture_output=True, check=True, timeout=120).stdout
            for command in (curl, admin)
        ]
        assert json.loads(answers[0])["text"] == SENTENCE
        assert b"local run" in answers[1]
        assert len(family(tmp_path)) > 5
        process.send_signal(signal.SIGINT)
        assert process.wait(END_SECONDS) == 0
        await_end_of_all(tmp_path)


@missing.needs(missing.PROC)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_run_that_ends_while_it_starts_leaves_no_emulator(tmp_path: Path, number: signal.Signals) -> None:
    with run_aws(tmp_path) as process:
        await_ready(process, tmp_path, "Building the functions")
        process.send_signal(number)
        assert process.wait(END_SECONDS) == (0 if number == signal.SIGINT else -number)
        await_end_of_all(tmp_path)
