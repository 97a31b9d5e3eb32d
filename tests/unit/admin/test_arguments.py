"""What `gateway-admin` refuses before it looks at any table."""

from typing import Any

import pytest
from typer.testing import CliRunner

from admin.cli import app
from admin.key_commands import end_of


@pytest.fixture(autouse=True)
def no_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STT_GATEWAY_STACK", raising=False)
    monkeypatch.setenv("DATA_DIR", "/nowhere")


def refused(*arguments: str, status: int = 2) -> Any:
    result = CliRunner().invoke(app, list(arguments), terminal_width=200)
    assert result.exit_code == status, result.output
    return result


@pytest.mark.parametrize("expires", ["2020-01-01", "tomorrow", "2026-13-01", "9999-12-31", ""])
def test_an_invalid_expiry_is_refused(expires: str) -> None:
    # An empty one too: a script whose variable is unset must not make a key that lives for ever.
    assert "--expires" in refused("keys", "create", "alice", "--expires", expires).stderr


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1970-01-02", 172_800), ("1970-01-01T12:00", 43_200), ("1970-01-01T12:00:00+02:00", 36_000)],
)
def test_a_date_is_the_last_day_of_a_key_and_a_time_is_that_time(text: str, seconds: int) -> None:
    assert end_of(text, 0) == seconds


@pytest.mark.parametrize("user", ["a/b", "a#b", "", "..", "x" * 65, "alice@example.com"])
@pytest.mark.parametrize(
    "command", [("keys", "create"), ("keys", "list"), ("users", "show"), ("users", "set")]
)
def test_an_invalid_user_id_is_refused(command: tuple[str, str], user: str) -> None:
    assert "the user id must be 1 to 64 of the characters" in refused(*command, user).stderr


@pytest.mark.parametrize("limit", ["0", "-1", "1.5", "many", "", "1" * 16])
def test_an_invalid_limit_is_refused(limit: str) -> None:
    assert "whole number from 1" in refused("users", "set", "alice", "--requests-per-minute", limit).stderr


def test_setting_nothing_is_a_mistake() -> None:
    assert "nothing to set" in refused("users", "set", "alice", status=1).stderr


@pytest.mark.parametrize(
    "command", [("keys", "list", "alice"), ("users", "list"), ("providers", "list"), ("unpublish", "a/b")]
)
def test_where_no_gateway_is_the_ways_to_name_one_are_told(command: tuple[str, ...]) -> None:
    told = refused(*command, status=1).stderr
    assert told.startswith("there is no gateway in /nowhere: ")
    assert all(way in told for way in ("make run", "make serve", "--data-dir", "--stack"))


def test_an_invalid_owner_is_refused() -> None:
    assert "the user id must be" in refused("providers", "list", "a/b").stderr
    assert "the user id must be" in refused("providers", "list", "").stderr


def test_no_command_prints_the_list_of_commands() -> None:
    listed = refused().output
    assert all(
        command in listed
        for command in (
            "validate",
            "publish",
            "unpublish",
            "backup",
            "restore",
            "keys",
            "users",
            "providers",
            "usage",
        )
    )
