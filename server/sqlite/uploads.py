"""Keep the state of uploads in the main database and the bytes of their parts in files."""

import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import apsw

from gateway.accounts.limits import DAY_SECONDS
from gateway.errors import RateLimited
from gateway.uploads import CANCELLED, COMPLETED, PENDING, StoredPart, Upload
from server.sqlite import files
from server.sqlite.database import Database
from server.sqlite.failure import explained

# An upload's state is kept for a day after it expires, so that late calls are told why they fail.
_KEPT_SECONDS = DAY_SECONDS
# A request that found the upload in its last second may still be reading the parts.
_READ_SECONDS = 60
# Any user may upload; when uploads have filled the disk, no request of any user can be recorded.
_RESERVED_BYTES = 1024 * 1024 * 1024
_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_CREATED = "id, user_id, bytes, filename, media_type, purpose, created_at, expires_at, status"


class UploadStore:
    """Uploads in the main database, parts in files: `<directory>/<upload id>/<part id>`."""

    def __init__(self, database: Database, directory: Path) -> None:
        self._database = database
        self._directory = directory

    def upload(self, user_id: str, upload_id: str) -> Upload | None:
        """The user's upload; None when there is none with this id."""
        with self._database.snapshot():
            row = self._database.row(
                f"SELECT {_CREATED}, part_ids, md5, completed_at FROM uploads WHERE id = ? AND user_id = ?",  # noqa: S608
                (upload_id, user_id),
            )
            parts = self._database.rows(
                "SELECT part_id, bytes, created_at FROM upload_parts WHERE upload = ?", (upload_id,)
            )
        if row is None:
            return None
        names = [*_CREATED.split(", "), "part_ids", "md5", "completed_at"]
        stored: dict[str, Any] = dict(zip(names, row, strict=True))
        stored["part_ids"] = tuple(json.loads(stored["part_ids"]))
        stored["parts"] = {part_id: StoredPart(size, created_at) for part_id, size, created_at in parts}
        return Upload(**stored)

    def open(self, upload: Upload, limit: int, now: float) -> int | None:
        """Store a new upload. When the user already has `most` open uploads, store nothing and return the epoch second
        at which the first of them expires."""
        values = (
            *(upload.id, upload.user_id, upload.bytes, upload.filename, upload.media_type, upload.purpose),
            *(upload.created_at, upload.expires_at, upload.status),
        )

        def write(connection: apsw.Connection) -> int | None:
            count, first_expiry = connection.execute(
                "SELECT count(*), min(expires_at) FROM uploads WHERE user_id = ? AND status = ? AND expires_at > ?",
                (upload.user_id, PENDING, now),
            ).get
            if count >= limit:
                return int(first_expiry)
            connection.execute(
                f"INSERT INTO uploads ({_CREATED}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
                values,
            )
            return None

        return self._database.write(write)

    def write_part(self, upload: Upload, part_id: str, content: memoryview) -> None:
        """Write a part's bytes to the disk. They count once the part is noted. Raises StoreError, and RateLimited when
        the disk has no room for uploads."""
        path = self._path(upload, part_id)
        self._check_room(len(content))
        with explained(path):
            files.make_directory(path.parent)
            files.write(path, content)

    def note_part(self, upload: Upload, part_id: str, part: StoredPart, limit: int) -> bool:
        """Add a new part to a pending upload that has room for it; otherwise change nothing and return False."""

        def write(connection: apsw.Connection) -> bool:
            count, received = connection.execute(
                "SELECT count(*), coalesce(sum(bytes), 0) FROM upload_parts WHERE upload = ?", (upload.id,)
            ).get
            if not _is_pending(connection, upload) or count >= limit or received + part.bytes > upload.bytes:
                return False
            connection.execute(
                "INSERT INTO upload_parts VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
                (upload.id, part_id, part.bytes, part.created_at),
            )
            return bool(connection.changes())

        noted = self._database.write(write)
        if not noted:
            self._erase_unknown(upload, part_id)
        return noted

    def _erase_unknown(self, upload: Upload, part_id: str) -> None:
        """Delete the bytes of a part for which an upload has no room, and never will. Another request may have noted
        the same part."""
        sql = "SELECT 1 FROM upload_parts WHERE upload = ? AND part_id = ?"
        if self._database.row(sql, (upload.id, part_id)) is None:
            path = self._path(upload, part_id)
            with explained(path):
                path.unlink(missing_ok=True)

    def complete(self, upload: Upload, part_ids: Sequence[str], md5: str | None, now: int) -> bool:
        """Complete a pending upload that got no part since it was read; False otherwise."""
        values = (COMPLETED, json.dumps(list(part_ids)), md5, now, upload.id, upload.user_id, PENDING, now)

        def write(connection: apsw.Connection) -> bool:
            connection.execute(
                "UPDATE uploads SET status = ?, part_ids = ?, md5 = ?, completed_at = ? "
                "WHERE id = ? AND user_id = ? AND status = ? AND expires_at > ? "
                "AND (SELECT coalesce(sum(bytes), 0) FROM upload_parts WHERE upload = uploads.id) = ?",
                (*values, upload.received),
            )
            return bool(connection.changes())

        return self._database.write(write)

    def cancel(self, upload: Upload) -> bool:
        """Cancel a pending upload; False when it is no longer pending."""

        def write(connection: apsw.Connection) -> bool:
            connection.execute(
                "UPDATE uploads SET status = ? WHERE id = ? AND user_id = ? AND status = ?",
                (CANCELLED, upload.id, upload.user_id, PENDING),
            )
            return bool(connection.changes())

        return self._database.write(write)

    def erase(self, upload: Upload) -> None:
        """Delete the parts' bytes. The sweep deletes a part that arrives later."""
        for part_id in upload.parts:
            path = self._path(upload, part_id)
            with explained(path):
                path.unlink(missing_ok=True)

    def read(self, upload: Upload, part_ids: Sequence[str]) -> bytearray:
        """Read the parts into one buffer of exactly their size. Raises StoreError, and ValueError when a file does not
        have the size that was noted."""
        content = bytearray(sum(upload.parts[part_id].bytes for part_id in part_ids))
        rest = memoryview(content)
        for part_id in part_ids:
            place, rest = rest[: upload.parts[part_id].bytes], rest[upload.parts[part_id].bytes :]
            path = self._path(upload, part_id)
            with explained(path), path.open("rb", buffering=0) as file:
                _fill(place, file)
        return content

    def sweep(self, now: float) -> None:
        """Delete the files of uploads that are expired, cancelled or unknown, and the state of those long expired."""
        with explained(self._directory):
            for folder in self._directory.iterdir():
                if not self._is_needed(folder.name, now):
                    shutil.rmtree(folder, ignore_errors=True)
        self._database.write(
            lambda connection: connection.execute(
                "DELETE FROM uploads WHERE expires_at <= ?", (now - _KEPT_SECONDS,)
            )
        )

    def _check_room(self, size: int) -> None:
        """Raise RateLimited when a part of this size would take what the disk keeps for the database."""
        with explained(self._directory):
            disk = shutil.disk_usage(self._directory)
        if disk.free - size < min(_RESERVED_BYTES, disk.total // 10):
            raise RateLimited(
                "The gateway has no room for more uploads. Uploads are deleted an hour after they were created: try "
                "again later.",
                code="quota_exceeded",
                headers={"retry-after": "600", "x-should-retry": "false"},
            )

    def _is_needed(self, upload_id: str, now: float) -> bool:
        row = self._database.row(
            "SELECT 1 FROM uploads WHERE id = ? AND status <> ? AND expires_at > ?",
            (upload_id, CANCELLED, now - _READ_SECONDS),
        )
        return row is not None

    def _path(self, upload: Upload, part_id: str) -> Path:
        """The file of a part. Raises ValueError for ids that are not plain names, which could lead elsewhere."""
        if not (_ID.fullmatch(upload.id) and _ID.fullmatch(part_id)):
            raise ValueError("an upload's or a part's id is not a plain name")
        return self._directory / upload.id / part_id


def _is_pending(connection: apsw.Connection, upload: Upload) -> bool:
    sql = "SELECT 1 FROM uploads WHERE id = ? AND user_id = ? AND status = ?"
    return connection.execute(sql, (upload.id, upload.user_id, PENDING)).get is not None


def _fill(place: memoryview, file: Any) -> None:
    """Read a file into `place`. Raises ValueError when the sizes differ."""
    while place:
        size = file.readinto(place)
        if not size:
            raise ValueError("a stored part is shorter than was noted")
        place = place[size:]
    if file.read(1):
        raise ValueError("a stored part is longer than was noted")
