"""`keys`: create, list and revoke users' API keys."""

import time
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any

import typer

from admin.target import AsJson, DataDir, Stack, opened
from admin.terminal import fail, show_json, show_table, time_of
from gateway import manifest
from gateway.accounts import keys
from gateway.accounts.keys import KeyRecord

app = typer.Typer(name="keys", help="Users' API keys.", no_args_is_help=True, rich_markup_mode=None)

MAX_NAME = 100


def user_id_of(text: str) -> str:
    """For typer: a user id. Raises BadParameter."""
    if not manifest.is_url_safe(text):
        raise typer.BadParameter(f"the user id {manifest.URL_SAFE}")
    return text


def end_of(text: str, now: float) -> int:
    """For --expires: the epoch second at which a key stops working. A date alone is its last day (UTC).
    Raises BadParameter."""
    try:
        if len(text) == len("2026-12-31"):
            moment = datetime.combine(date.fromisoformat(text) + timedelta(days=1), datetime.min.time(), UTC)
        else:
            moment = datetime.fromisoformat(text)
            moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        end = int(moment.timestamp())
    except (ValueError, OverflowError):
        raise typer.BadParameter(
            "--expires must be a date such as 2026-12-31, or a time such as 2026-12-31T18:00Z"
        ) from None
    if end <= now:
        raise typer.BadParameter("--expires must be in the future")
    return end


User = Annotated[str, typer.Argument(help="The user's id.", parser=user_id_of, show_default=False)]


@app.command()
def create(  # noqa: PLR0913, PLR0917 (each is an option of the command)
    user: User,
    name: Annotated[str, typer.Option(help="A name for the key, shown in listings.")] = "",
    expires: Annotated[
        str | None, typer.Option(metavar="DATE", help="The key's last day (UTC), or its end time.")
    ] = None,
    stack: Stack = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Create a key. It is printed once, on stdout, and stored only as a hash."""
    if len(name) > MAX_NAME or not (name.isprintable() or name == ""):
        fail(f"--name must be at most {MAX_NAME} printable characters")
    ends = None if expires is None else end_of(expires, time.time())
    with opened(stack, data_dir) as gateway:
        key, record = gateway.keys().create(user, name=name, expires_at=ends)
    if as_json:
        show_json({"key": key} | _row(record))
        return
    typer.echo(f"{record.key_id} for {user}, shown only once:", err=True)
    typer.echo(key)


@app.command("list")
def list_keys(user: User, stack: Stack = None, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List a user's keys, oldest first, including expired and revoked keys. `made_by` is the key that made a key over
    the API; it is empty for those of an administrator."""
    with opened(stack, data_dir) as gateway:
        rows = [_row(record) for record in gateway.keys().list(user)]
    if as_json:
        show_json(rows)
    else:
        columns = ("id", "name", "state", "created_at", "expires_at", "revoked_at", "made_by")
        show_table(columns, rows, nothing=f"{user} has no keys")


@app.command()
def revoke(
    key_id: Annotated[
        str, typer.Argument(help="The key's id from `keys list`, or the key itself.", show_default=False)
    ],
    stack: Stack = None,
    data_dir: DataDir = None,
) -> None:
    """Revoke a key permanently, and all keys that it made."""
    if keys.is_wellformed(key_id):
        key_id = keys.key_id_of(keys.hash_key(key_id))
    with opened(stack, data_dir) as gateway:
        record = gateway.keys().revoke(key_id)
        revocation = gateway.revocation
    if record is None:
        fail("there is no key with this id: `keys list USER` shows them")
    typer.echo(
        f"{record.key_id} of {record.user_id} is revoked since {time_of(record.revoked_at)}: {revocation}"
    )


def _row(record: KeyRecord) -> dict[str, Any]:
    return {
        "id": record.key_id,
        "user": record.user_id,
        "name": record.name,
        "state": _state(record),
        "created_at": time_of(record.created_at),
        "expires_at": time_of(record.expires_at),
        "revoked_at": time_of(record.revoked_at),
        "made_by": record.made_by,
    }


def _state(record: KeyRecord) -> str:
    if record.revoked_at is not None:
        return "revoked"
    return "active" if record.is_valid(time.time()) else "expired"
