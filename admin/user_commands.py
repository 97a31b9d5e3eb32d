"""`users`: routing preference and limits."""

import re
import time
from enum import StrEnum
from typing import Annotated, Any

import typer

from admin.key_commands import User
from admin.target import AsJson, DataDir, Stack, Target, opened
from admin.terminal import fail, show_json, show_table
from gateway.accounts.keys import PREFERENCES, Limits

app = typer.Typer(
    name="users", help="Users' routing and limits.", no_args_is_help=True, rich_markup_mode=None
)

NO_LIMIT = "none"
Preference = StrEnum("Preference", {name: name for name in PREFERENCES})  # type: ignore[misc]


def limit_of(text: str) -> str:
    """For typer: a whole number from 1, or `none`. Raises BadParameter."""
    if not re.fullmatch(rf"{NO_LIMIT}|[1-9][0-9]{{0,14}}", text):
        raise typer.BadParameter("must be a whole number from 1, or none to remove the limit")
    return text


def _limit_option(what: str) -> Any:
    return typer.Option(
        parser=limit_of, metavar="N|none", help=f"{what}; none removes the limit.", show_default=False
    )


@app.command("set")
def set_user(  # noqa: PLR0913, PLR0917 - each is an option
    user: User,
    preference: Annotated[
        Preference | None,
        typer.Option(help="Which providers the user's requests may use.", show_default=False),
    ] = None,
    requests_per_minute: Annotated[str | None, _limit_option("Transcriptions per minute")] = None,
    audio_seconds_per_day: Annotated[str | None, _limit_option("Seconds of audio per day (UTC)")] = None,
    changes_per_minute: Annotated[
        str | None, _limit_option("Register, manifest and PATCH calls per minute")
    ] = None,
    stack: Stack = None,
    data_dir: DataDir = None,
) -> None:
    """Set the given options and keep the others."""
    given = (preference, requests_per_minute, audio_seconds_per_day, changes_per_minute)
    if all(each is None for each in given):
        fail(
            "nothing to set: give --preference, --requests-per-minute, --audio-seconds-per-day or "
            "--changes-per-minute"
        )
    with opened(stack, data_dir) as gateway:
        store = gateway.keys()
        current, limits = store.user(user)
        store.set_user(
            user,
            preference.value if preference else current,
            Limits(
                _limit(requests_per_minute, limits.requests_per_minute),
                _limit(audio_seconds_per_day, limits.audio_seconds_per_day),
                _limit(changes_per_minute, limits.changes_per_minute),
            ),
        )
        row = _row(gateway, user)
    _table([row])


@app.command()
def show(user: User, stack: Stack = None, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Show a user's preference and limits, or the defaults if none are set."""
    with opened(stack, data_dir) as gateway:
        row = _row(gateway, user)
    if as_json:
        show_json(row)
    else:
        _table([row])


@app.command("list")
def list_users(stack: Stack = None, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List everyone who has a key or settings. On AWS this reads the whole table of keys."""
    with opened(stack, data_dir) as gateway:
        rows = [_row(gateway, user) for user in gateway.keys().users()]
    if as_json:
        show_json(rows)
    else:
        _table(rows)


def _limit(given: str | None, current: int | None) -> int | None:
    if given is None:
        return current
    return None if given == NO_LIMIT else int(given)


def _row(gateway: Target, user: str) -> dict[str, Any]:
    now = time.time()
    preference, limits = gateway.keys().user(user)
    return {
        "user": user,
        "active_keys": sum(record.is_valid(now) for record in gateway.keys().list(user)),
        "preference": preference,
        "requests_per_minute": limits.requests_per_minute,
        "audio_seconds_per_day": limits.audio_seconds_per_day,
        "changes_per_minute": limits.changes_per_minute,
    }


def _table(rows: list[dict[str, Any]]) -> None:
    limits = ("requests_per_minute", "audio_seconds_per_day", "changes_per_minute")
    told = [row | {name: row[name] or NO_LIMIT for name in limits} for row in rows]
    show_table(("user", "active_keys", "preference", *limits), told, nothing="there are no users")
