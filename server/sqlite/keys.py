"""Store API keys, by their hash, and users."""

import time
from collections.abc import Callable, Sequence
from dataclasses import astuple

import apsw

from gateway.accounts import keys
from gateway.accounts.keys import CHANGES_PER_MINUTE, Caller, KeyChange, KeyRecord, Limits, NewKey
from server.sqlite.database import Database, Row

# In the order of KeyRecord's fields.
_RECORD = "key_id, user_id, name, created_at, expires_at, revoked_at, made_by"
_OF_A_USER = f"SELECT {_RECORD} FROM keys WHERE user_id = ? ORDER BY created_at, key_id"  # noqa: S608
_LIMITS = "requests_per_minute, audio_seconds_per_day, changes_per_minute"


class KeyStore:
    """Keys and users in the main database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def identify(self, key: str, now: float) -> Caller | None:
        """The caller that the key identifies at `now` (epoch seconds); None when unknown, revoked or expired."""
        found = self._database.row(
            f"SELECT k.user_id, key_id, preference, {_LIMITS} FROM keys k LEFT JOIN users u USING (user_id) "  # noqa: S608
            "WHERE key_hash = ? AND revoked_at IS NULL AND (expires_at IS NULL OR ? < expires_at)",
            (keys.hash_key(key), now),
        )
        if found is None:
            return None
        user_id, key_id, *user = found
        return Caller(user_id, key_id, *_preference_and_limits(user))

    def knows(self, key: str) -> bool:
        """Whether this gateway issued the key, valid or not."""
        return keys.is_wellformed(key) and bool(
            self._database.row("SELECT 1 FROM keys WHERE key_hash = ?", (keys.hash_key(key),))
        )

    def user(self, user_id: str) -> tuple[str, Limits]:
        """Preference and limits; the defaults if none were set."""
        found = self._database.row(f"SELECT preference, {_LIMITS} FROM users WHERE user_id = ?", (user_id,))  # noqa: S608
        return _preference_and_limits(found or (None, None, None, None))

    def users(self) -> "list[str]":
        """The ids of everyone who has a key or settings, sorted."""
        found = self._database.rows(
            "SELECT user_id FROM keys UNION SELECT user_id FROM users ORDER BY user_id"
        )
        return [user_id for (user_id,) in found]

    def set_user(self, user_id: str, preference: str, limits: Limits) -> None:
        """Replace a user's preference and limits."""
        values = (
            user_id,
            preference,
            limits.requests_per_minute,
            limits.audio_seconds_per_day,
            limits.changes_per_minute,
        )
        sql = f"INSERT OR REPLACE INTO users (user_id, preference, {_LIMITS}) VALUES (?, ?, ?, ?, ?)"  # noqa: S608
        self._database.write(lambda connection: connection.execute(sql, values))

    def create(
        self, user_id: str, *, name: str = "", expires_at: int | None = None, key: str | None = None
    ) -> tuple[str, KeyRecord]:
        """Create a key. Returns it in clear, the only time, with its record. `key` sets its value (local run)."""
        key = key or keys.generate_key()
        new = NewKey.of(key, user_id, name, created_at=int(time.time()), expires_at=expires_at)
        self.change(user_id, lambda _: KeyChange(made=(new,)))
        return key, new.record

    def list(self, user_id: str) -> "list[KeyRecord]":
        """All keys of a user, oldest first, including revoked and expired ones."""
        return [KeyRecord(*each) for each in self._database.rows(_OF_A_USER, (user_id,))]

    def revoke(self, key_id: str) -> KeyRecord | None:
        """Revoke a key by its public name, and what it made; None when there is no such key. A second call keeps the
        first time."""
        owner = self._database.row("SELECT user_id FROM keys WHERE key_id = ?", (key_id,))
        if owner is None:
            return None
        self.change(owner[0], lambda records: keys.revocation(records, key_id, time.time()))
        found = self._database.row(f"SELECT {_RECORD} FROM keys WHERE key_id = ?", (key_id,))  # noqa: S608
        return KeyRecord(*found) if found else None

    def change(self, user_id: str, decide: Callable[[Sequence[KeyRecord]], KeyChange]) -> KeyChange:
        """Make the change that `decide` returns for all keys of a user, in one transaction. Returns it."""

        def write(connection: apsw.Connection) -> KeyChange:
            change = decide([KeyRecord(*each) for each in connection.execute(_OF_A_USER, (user_id,))])
            for new in change.made:
                connection.execute(
                    f"INSERT OR REPLACE INTO keys (key_hash, {_RECORD}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
                    (new.key_hash, *astuple(new.record)),
                )
            for key_id in change.revoked:
                connection.execute(
                    "UPDATE keys SET revoked_at = ? WHERE key_id = ?", (change.revoked_at, key_id)
                )
            for key_id in change.forgotten:
                connection.execute("DELETE FROM keys WHERE key_id = ?", (key_id,))
            return change

        return self._database.write(write)


def _preference_and_limits(user: "Row | list[object]") -> tuple[str, Limits]:
    """From the columns of `users`; all are NULL when nothing was set for the user."""
    preference, requests, seconds, changes = user
    if preference is None:
        return "any", Limits(changes_per_minute=CHANGES_PER_MINUTE)
    return str(preference), Limits(requests, seconds, changes)  # type: ignore[arg-type]
