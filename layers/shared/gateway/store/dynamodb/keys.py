"""Store API keys and users. One table:

| pk | sk | holds |
|---|---|---|
| `key#<sha256>` | `key` | the key's record, read by the authorizer |
| `key_id#<key id>` | `key` | the key's hash, to revoke it by its public name |
| `user#<user id>` | `key#<key id>` | the key's hash, to list a user's keys |
| `user#<user id>` | `user` | preference and limits |
"""

import os
import time
from dataclasses import replace
from functools import cache
from typing import Any

from gateway.accounts import keys
from gateway.accounts.keys import CHANGES_PER_MINUTE, Caller, KeyRecord, Limits
from gateway.store.dynamodb import aws


class KeyStore:
    """Keys and users in the table named `table`."""

    def __init__(self, table: str) -> None:
        self.table = table

    def identify(self, key: str, now: float) -> Caller | None:
        """The caller that the key identifies at `now` (epoch seconds); None when unknown, revoked or expired."""
        item = aws.get(self.table, f"key#{keys.hash_key(key)}", "key")
        if item is None or not _record(item).is_valid(now):
            return None
        preference, limits = self.user(item["user_id"])
        return Caller(item["user_id"], item["key_id"], preference, limits)

    def knows(self, key: str) -> bool:
        """Whether this gateway issued the key, valid or not."""
        return keys.is_wellformed(key) and aws.get(self.table, f"key#{keys.hash_key(key)}", "key") is not None

    def user(self, user_id: str) -> tuple[str, Limits]:
        """Preference and limits; the defaults if none were set."""
        item = aws.get(self.table, f"user#{user_id}", "user") or {}
        limits = Limits(
            item.get("requests_per_minute"),
            item.get("audio_seconds_per_day"),
            item.get("changes_per_minute", CHANGES_PER_MINUTE),
        )
        return item.get("preference", "any"), limits

    def users(self) -> "list[str]":
        """The ids of everyone who has a key or settings, sorted. Scans the table, because only administrators ask."""
        pages = (
            aws.client("dynamodb")
            .get_paginator("scan")
            .paginate(
                TableName=self.table,
                FilterExpression="begins_with(pk, :user)",
                ExpressionAttributeValues={":user": {"S": "user#"}},
                ProjectionExpression="pk",
            )
        )
        return sorted({item["pk"]["S"].removeprefix("user#") for page in pages for item in page["Items"]})

    def set_user(self, user_id: str, preference: str, limits: Limits) -> None:
        """Replace a user's preference and limits."""
        aws.put(
            self.table,
            {
                "pk": f"user#{user_id}",
                "sk": "user",
                "preference": preference,
                "requests_per_minute": limits.requests_per_minute,
                "audio_seconds_per_day": limits.audio_seconds_per_day,
                "changes_per_minute": limits.changes_per_minute,
            },
        )

    def create(
        self, user_id: str, *, name: str = "", expires_at: int | None = None, key: str | None = None
    ) -> tuple[str, KeyRecord]:
        """Create a key. Returns it in clear, the only time, with its record. `key` sets its value (local run)."""
        key = key or keys.generate_key()
        key_hash = keys.hash_key(key)
        key_id = keys.key_id_of(key_hash)
        record = KeyRecord(key_id, user_id, name, int(time.time()), expires_at)
        items: list[dict[str, Any]] = [
            {
                "pk": f"key#{key_hash}",
                "sk": "key",
                "key_id": key_id,
                "user_id": user_id,
                "name": name,
                "created_at": record.created_at,
                "expires_at": expires_at,
            },
            {"pk": f"key_id#{key_id}", "sk": "key", "key_hash": key_hash},
            {"pk": f"user#{user_id}", "sk": f"key#{key_id}", "key_hash": key_hash},
        ]
        aws.client("dynamodb").transact_write_items(
            TransactItems=[{"Put": {"TableName": self.table, "Item": aws.encode(item)}} for item in items]
        )
        return key, record

    def list(self, user_id: str) -> "list[KeyRecord]":
        """All keys of a user, oldest first, including revoked and expired ones."""
        pointers = aws.query(self.table, f"user#{user_id}", prefix="key#")
        items = aws.batch_get(self.table, [(f"key#{pointer['key_hash']}", "key") for pointer in pointers])
        return sorted(map(_record, items), key=lambda record: record.created_at)

    def revoke(self, key_id: str) -> KeyRecord | None:
        """Revoke a key by its public name; None when there is no such key. A second call keeps the first time."""
        pointer = aws.get(self.table, f"key_id#{key_id}", "key")
        item = pointer and aws.get(self.table, f"key#{pointer['key_hash']}", "key", consistent=True)
        if not item:
            return None
        record = _record(item)
        if record.revoked_at is None:
            record = replace(record, revoked_at=int(time.time()))
            aws.put(self.table, {**item, "revoked_at": record.revoked_at})
        return record


def _record(item: dict[str, Any]) -> KeyRecord:
    return KeyRecord(
        key_id=item["key_id"],
        user_id=item["user_id"],
        name=item.get("name", ""),
        created_at=item["created_at"],
        expires_at=item.get("expires_at"),
        revoked_at=item.get("revoked_at"),
    )


@cache
def key_store() -> KeyStore:
    """The store of the table in KEYS_TABLE."""
    return KeyStore(os.environ["KEYS_TABLE"])
