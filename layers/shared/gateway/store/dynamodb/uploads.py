"""Keep the state of uploads in a table and their bytes in a bucket. The table:

| pk | sk | holds |
|---|---|---|
| `user#<user id>` | `upload#<upload id>` | one upload, the sizes of its parts, and its completion |
| `user#<user id>` | `open` | the set of `<expires_at>#<upload id>` of the user's open uploads |

The bucket holds one object per part, `uploads/<user id>/<upload id>/<part id>`. S3's own multipart upload needs parts
of at least 5 MiB, more than one request carries. Every key starts with the caller's id, so no upload id can reach
another user's upload.
"""

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from contextvars import copy_context
from functools import cache
from typing import Any

from gateway import deadline
from gateway.accounts.limits import DAY_SECONDS
from gateway.store.dynamodb import aws
from gateway.uploads import CANCELLED, COMPLETED, PENDING, StoredPart, Upload

# TTL and the bucket's lifecycle delete uploads within two days. Only `expires_at` decides what is readable.
_KEPT_SECONDS = DAY_SECONDS
_READERS = 8
# S3 answers are read in pieces of this size, so that eight readers use 2 MiB besides the buffer they fill.
_PIECE_BYTES = 262_144
_READ_TRIES = 3


class UploadStore:
    """Uploads in the table named `table`, parts in the bucket named `bucket`."""

    def __init__(self, table: str, bucket: str) -> None:
        self.table = table
        self.bucket = bucket

    def upload(self, user_id: str, upload_id: str) -> Upload | None:
        """The user's upload, read consistently; None when there is none with this id."""
        item = aws.get(self.table, f"user#{user_id}", f"upload#{upload_id}", consistent=True)
        return _upload(user_id, item) if item else None

    def open(self, upload: Upload, limit: int, now: float) -> int | None:
        """Store a new upload. When the user already has `limit` open uploads, store nothing and return the epoch second
        at which the first of them expires."""
        if not self._reserve(upload, limit):
            entries = (aws.get(self.table, f"user#{upload.user_id}", "open", consistent=True) or {}).get(
                "entries", []
            )
            expiries = {entry: int(entry.partition("#")[0]) for entry in entries}
            self._release(upload.user_id, [entry for entry in entries if expiries[entry] <= now])
            if not self._reserve(upload, limit):
                return min((at for at in expiries.values() if at > now), default=upload.expires_at)
        # Take the place first: a failure in between costs the user a place for an hour, but never exceeds the limit.
        aws.put(self.table, _item(upload))
        return None

    def write_part(self, upload: Upload, part_id: str, content: memoryview) -> None:
        """Write a part's bytes. They count once the part is noted. S3 checks the CRC-32 that botocore sends."""
        aws.client("s3").put_object(
            Bucket=self.bucket, Key=_key(upload, part_id), Body=bytes(content), ContentLength=len(content)
        )

    def note_part(self, upload: Upload, part_id: str, part: StoredPart, limit: int) -> bool:
        """Add a new part to a pending upload that has room for it; otherwise change nothing and return False."""
        return self._change(
            upload,
            "SET #parts.#part = :part, received = received + :size",
            "attribute_not_exists(#parts.#part) AND size(#parts) < :limit AND received <= :room",
            names={"#parts": "parts", "#part": part_id},
            values={
                ":part": [part.bytes, part.created_at],
                ":size": part.bytes,
                ":room": upload.bytes - part.bytes,
                ":limit": limit,
            },
        )

    def complete(self, upload: Upload, part_ids: Sequence[str], md5: str | None, now: int) -> bool:
        """Complete a pending upload that got no part since it was read; False otherwise."""
        changed = self._change(
            upload,
            "SET #status = :status, part_ids = :part_ids, md5 = :md5, completed_at = :now",
            "received = :received AND expires_at > :now",
            values={
                ":status": COMPLETED,
                ":part_ids": list(part_ids),
                ":md5": md5,
                ":now": now,
                ":received": upload.received,
            },
        )
        if changed:
            self._release(upload.user_id, [_entry(upload)])
        return changed

    def cancel(self, upload: Upload) -> bool:
        """Cancel a pending upload; False when it is no longer pending."""
        changed = self._change(upload, "SET #status = :status", values={":status": CANCELLED})
        if changed:
            self._release(upload.user_id, [_entry(upload)])
        return changed

    def erase(self, upload: Upload) -> None:
        """Delete the parts' bytes. The bucket's lifecycle deletes a part that arrives later."""
        if upload.parts:
            keys = [{"Key": _key(upload, part_id)} for part_id in upload.parts]
            aws.client("s3").delete_objects(Bucket=self.bucket, Delete={"Objects": keys, "Quiet": True})

    def read(self, upload: Upload, part_ids: Sequence[str]) -> bytearray:
        """Read the parts in parallel into one buffer of exactly their size."""
        sizes = [upload.parts[part_id].bytes for part_id in part_ids]
        content = bytearray(sum(sizes))
        rest, places = memoryview(content), []
        for size in sizes:
            places.append(rest[:size])
            rest = rest[size:]
        keys = [_key(upload, part_id) for part_id in part_ids]
        aws.client("s3")  # create it before the threads, or each creates its own
        with ThreadPoolExecutor(min(_READERS, len(keys)), thread_name_prefix="parts") as readers:
            # A copy of this context gives the thread the request's deadline.
            reads = [
                readers.submit(copy_context().run, self._read_part, key, place)
                for key, place in zip(keys, places, strict=True)
            ]
            for read in reads:
                read.result()
        return content

    def _read_part(self, key: str, place: memoryview) -> None:
        tries = 0
        while True:
            try:
                with closing(aws.client("s3").get_object(Bucket=self.bucket, Key=key)["Body"]) as body:
                    _fill(place, body)
            except aws.StoreError:
                # botocore retries until an answer begins, but not when it breaks off later.
                tries += 1
                if tries == _READ_TRIES:
                    raise
            else:
                return

    def _reserve(self, upload: Upload, limit: int) -> bool:
        return self._update(
            _table_key(upload.user_id, "open"),
            "SET delete_at = :delete_at ADD entries :entries",
            "attribute_not_exists(entries) OR size(entries) < :limit",
            values=aws.encode({":limit": limit, ":delete_at": upload.expires_at + _KEPT_SECONDS})
            | {":entries": {"SS": [_entry(upload)]}},
        )

    def _release(self, user_id: str, entries: Sequence[str]) -> None:
        if entries:
            self._update(
                _table_key(user_id, "open"), "DELETE entries :entries", values={":entries": {"SS": entries}}
            )

    def _change(
        self,
        upload: Upload,
        update: str,
        condition: str = "attribute_exists(pk)",
        *,
        names: Mapping[str, str] | None = None,
        values: Mapping[str, Any],
    ) -> bool:
        """Change an upload if it is still pending and meets the condition; False otherwise."""
        return self._update(
            _table_key(upload.user_id, f"upload#{upload.id}"),
            update,
            f"#status = :pending AND {condition}",
            names={"#status": "status", **(names or {})},
            values=aws.encode({":pending": PENDING, **values}),
        )

    def _update(
        self,
        key: Mapping[str, Any],
        update: str,
        condition: str | None = None,
        *,
        names: Mapping[str, str] | None = None,
        values: Mapping[str, Any],
    ) -> bool:
        given = {"ConditionExpression": condition, "ExpressionAttributeNames": names}
        return aws.conditionally(
            "update_item",
            TableName=self.table,
            Key=key,
            UpdateExpression=update,
            ExpressionAttributeValues=values,
            **{name: value for name, value in given.items() if value is not None},
        ).held


def _fill(place: memoryview, body: Any) -> None:
    """Read a streamed answer into `place`. Raises ValueError when the sizes differ, and a StoreError when the stream
    breaks off, the deadline passes, or the checksum, which botocore checks at the end, is wrong."""
    while place:
        if deadline.left() <= 0:
            raise aws.DeadlinePassedError
        size = body.readinto(place[:_PIECE_BYTES])
        if not size:
            raise ValueError("a stored part is shorter than was noted")
        place = place[size:]
    if body.read(1):
        raise ValueError("a stored part is longer than was noted")


def _key(upload: Upload, part_id: str) -> str:
    return f"uploads/{upload.user_id}/{upload.id}/{part_id}"


def _entry(upload: Upload) -> str:
    return f"{upload.expires_at}#{upload.id}"


def _table_key(user_id: str, sk: str) -> dict[str, dict[str, str]]:
    return aws.key(f"user#{user_id}", sk)


def _item(upload: Upload) -> dict[str, Any]:
    return {
        "pk": f"user#{upload.user_id}",
        "sk": f"upload#{upload.id}",
        "bytes": upload.bytes,
        "filename": upload.filename,
        "media_type": upload.media_type,
        "purpose": upload.purpose,
        "created_at": upload.created_at,
        "expires_at": upload.expires_at,
        "delete_at": upload.expires_at + _KEPT_SECONDS,
        "status": upload.status,
        "parts": {},
        "received": 0,
    }


def _upload(user_id: str, item: Mapping[str, Any]) -> Upload:
    return Upload(
        id=item["sk"].removeprefix("upload#"),
        user_id=user_id,
        bytes=item["bytes"],
        filename=item["filename"],
        media_type=item["media_type"],
        purpose=item["purpose"],
        created_at=item["created_at"],
        expires_at=item["expires_at"],
        status=item["status"],
        parts={name: StoredPart(*part) for name, part in item["parts"].items()},
        part_ids=tuple(item.get("part_ids", ())),
        md5=item.get("md5"),
        completed_at=item.get("completed_at"),
    )


@cache
def upload_store() -> UploadStore:
    """The store of the table in UPLOADS_TABLE and the bucket in UPLOADS_BUCKET."""
    return UploadStore(os.environ["UPLOADS_TABLE"], os.environ["UPLOADS_BUCKET"])
