"""Store API keys and users. One table:

| pk | sk | holds |
|---|---|---|
| `key#<sha256>` | `key` | the key's record, read by the authorizer |
| `key_id#<key id>` | `key` | the key's hash, to revoke it by its public name |
| `user#<user id>` | `key#<key id>` | the key's hash, to list a user's keys |
| `user#<user id>` | `keys` | the number of changes to the user's keys, so that concurrent ones do not miss each other |
| `user#<user id>` | `user` | preference and limits |
"""

import os
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from gateway import deadline
from gateway.accounts import keys
from gateway.accounts.keys import CHANGES_PER_MINUTE, Caller, KeyChange, KeyRecord, Limits, NewKey
from gateway.store.dynamodb import aws

# A try fails only if another change came first. A thief can make 30 keys a minute, and a revocation must outlast that.
_CHANGE_TRIES = 40


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
        new = NewKey.of(key, user_id, name, created_at=int(time.time()), expires_at=expires_at)
        self.change(user_id, lambda _: KeyChange(made=(new,)))
        return key, new.record

    def list(self, user_id: str) -> "list[KeyRecord]":
        """All keys of a user, oldest first, including revoked and expired ones."""
        return list(self._records(user_id).values())

    def revoke(self, key_id: str) -> KeyRecord | None:
        """Revoke a key by its public name, and what it made; None when there is no such key. A second call keeps the
        first time."""
        pointer = aws.get(self.table, f"key_id#{key_id}", "key")
        item = pointer and aws.get(self.table, f"key#{pointer['key_hash']}", "key")
        if not item:
            return None
        self.change(item["user_id"], lambda records: keys.revocation(records, key_id, time.time()))
        item = aws.get(self.table, item["pk"], item["sk"], consistent=True)
        return _record(item) if item else None

    def change(self, user_id: str, decide: Callable[[Sequence[KeyRecord]], KeyChange]) -> KeyChange:
        """Make the change that `decide` returns for all keys of a user, in one transaction. Returns it. Raises a
        StoreError when other changes came first too often."""
        for _ in range(_CHANGE_TRIES):
            # Read the count before the keys: a change after this read makes the transaction fail.
            roster = aws.get(self.table, f"user#{user_id}", "keys", consistent=True) or {}
            records = self._records(user_id)
            change = decide(list(records.values()))
            if not change or self._try_to_change(user_id, roster.get("changes", 0), change, records):
                return change
            pause = secrets.randbelow(100) / 1000
            if pause > deadline.left():
                break
            time.sleep(pause)
        raise aws.LeftUndoneError

    def _records(self, user_id: str) -> dict[str, KeyRecord]:
        """The records of a user's keys by hash, oldest first."""
        pointers = aws.query(self.table, f"user#{user_id}", prefix="key#", consistent=True)
        places = [(f"key#{pointer['key_hash']}", "key") for pointer in pointers]
        items = aws.batch_get(self.table, places, consistent=True)
        items.sort(key=lambda item: (item["created_at"], item["key_id"]))
        return {item["pk"].removeprefix("key#"): _record(item) for item in items}

    def _try_to_change(
        self, user_id: str, changes: int, change: KeyChange, records: Mapping[str, KeyRecord]
    ) -> bool:
        """Write the change; False when another one came after `changes`, the count of earlier ones, was read."""
        actions = [self._count(user_id, changes), *self._actions(change, records)]
        try:
            aws.client("dynamodb").transact_write_items(TransactItems=actions)
        except aws.StoreError as error:
            if aws.error_code(error) not in ("TransactionCanceledException", "TransactionConflictException"):
                raise
            return False
        return True

    def _actions(self, change: KeyChange, records: Mapping[str, KeyRecord]) -> Iterator[dict[str, Any]]:
        hashes = {record.key_id: key_hash for key_hash, record in records.items()}
        for new in change.made:
            for item in _items(new):
                yield self._action("Put", Item=aws.encode(item))
        for key_id in change.revoked:
            yield self._action(
                "Update",
                Key=aws.key(f"key#{hashes[key_id]}", "key"),
                UpdateExpression="SET revoked_at = :at",
                ExpressionAttributeValues=aws.encode({":at": change.revoked_at}),
            )
        for key_hash in (hashes[key_id] for key_id in change.forgotten):
            for item in _items(NewKey(key_hash, records[key_hash])):
                yield self._action("Delete", Key=aws.key(item["pk"], item["sk"]))

    def _count(self, user_id: str, changes: int) -> dict[str, Any]:
        """The action that counts a change, and fails when there were others after the first `changes`."""
        values = {":next": changes + 1} | ({":read": changes} if changes else {})
        return self._action(
            "Update",
            Key=aws.key(f"user#{user_id}", "keys"),
            UpdateExpression="SET changes = :next",
            ConditionExpression="changes = :read" if changes else "attribute_not_exists(pk)",
            ExpressionAttributeValues=aws.encode(values),
        )

    def _action(self, kind: str, **arguments: Any) -> dict[str, Any]:
        return {kind: {"TableName": self.table, **arguments}}


def _items(new: NewKey) -> list[dict[str, Any]]:
    """The items of a key: its record, and its hash in two places."""
    record = new.record
    return [
        {
            "pk": f"key#{new.key_hash}",
            "sk": "key",
            "key_id": record.key_id,
            "user_id": record.user_id,
            "name": record.name,
            "created_at": record.created_at,
            "expires_at": record.expires_at,
            "made_by": record.made_by,
        },
        {"pk": f"key_id#{record.key_id}", "sk": "key", "key_hash": new.key_hash},
        {"pk": f"user#{record.user_id}", "sk": f"key#{record.key_id}", "key_hash": new.key_hash},
    ]


def _record(item: dict[str, Any]) -> KeyRecord:
    return KeyRecord(
        key_id=item["key_id"],
        user_id=item["user_id"],
        name=item.get("name", ""),
        created_at=item["created_at"],
        expires_at=item.get("expires_at"),
        revoked_at=item.get("revoked_at"),
        made_by=item.get("made_by"),
    )


@cache
def key_store() -> KeyStore:
    """The store of the table in KEYS_TABLE."""
    return KeyStore(os.environ["KEYS_TABLE"])
