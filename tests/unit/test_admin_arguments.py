"""What `gateway-admin` refuses before it looks at any table."""

from typing import Any

import pytest
from typer.testing import CliRunner

from admin.cli import app
from admin.key_commands import end_of


@pytest.fixture(autouse=True)
def no_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KEYS_TABLE", "PROVIDERS_TABLE", "STT_GATEWAY_STACK"):
        monkeypatch.delenv(name, raising=False)


def refused(*arguments: str, status: int = 2) -> Any:
    result = CliRunner().invoke(app, list(arguments), terminal_width=200)
    assert result.exit_code == status, result.output
    return result


@pytest.mark.parametrize("expires", ["2020-01-01", "tomorrow", "2026-13-01", "9999-12-31", ""])
def test_an_invalid_expiry_is_refused(expires: str):
    # Also an empty one: a script with an unset variable must not create a key that never expires.
    assert "--expires" in refused("keys", "create", "alice", "--expires", expires).stderr


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1970-01-02", 172_800), ("1970-01-01T12:00", 43_200), ("1970-01-01T12:00:00+02:00", 36_000)],
)
def test_a_date_is_the_last_day_of_a_key_and_a_time_is_that_time(text: str, seconds: int):
    assert end_of(text, 0) == seconds


@pytest.mark.parametrize("user", ["a/b", "a#b", "", "..", "x" * 65, "alice@example.com"])
@pytest.mark.parametrize(
    "command", [("keys", "create"), ("keys", "list"), ("users", "show"), ("users", "set")]
)
def test_an_invalid_user_id_is_refused(command: tuple[str, str], user: str):
    assert "the user id must be 1 to 64 of the characters" in refused(*command, user).stderr


@pytest.mark.parametrize("limit", ["0", "-1", "1.5", "many", "", "1" * 16])
def test_an_invalid_limit_is_refused(limit: str):
    assert "whole number from 1" in refused("users", "set", "alice", "--requests-per-minute", limit).stderr


def test_setting_nothing_is_a_mistake():
    assert "nothing to set" in refused("users", "set", "alice", status=1).stderr


def test_an_unnamed_table_is_asked_for():
    assert "--stack NAME, or set KEYS_TABLE" in refused("keys", "list", "alice", status=1).stderr


def test_an_invalid_owner_is_refused():
    assert "the user id must be" in refused("providers", "list", "--owner", "a/b").stderr
    assert "the user id must be" in refused("providers", "list", "--owner", "").stderr


def test_no_command_prints_the_list_of_commands():
    listed = refused().output
    assert all(command in listed for command in ("validate", "publish", "keys", "users", "providers"))
