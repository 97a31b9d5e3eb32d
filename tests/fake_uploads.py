"""Uploads in memory, and a user who makes them, for tests of the use case."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gateway.multipart import Part
from gateway.uploads import COMPLETED, PENDING, StoredPart, Upload, Uploads

NOW = 1_700_000_000


@dataclass
class FakeUploadStore:
    """Uploads in memory, with the store's conditions."""

    kept: dict[tuple[str, str], Upload] = field(default_factory=dict)
    objects: dict[tuple[str, str], bytes] = field(default_factory=dict)
    # Runs once, between the use case's read and its next change: what another request does meanwhile.
    meanwhile: Callable[[], Any] | None = None

    def upload(self, user_id: str, upload_id: str) -> Upload | None:
        return self.kept.get((user_id, upload_id))

    def open(self, upload: Upload, limit: int, now: float) -> int | None:
        ends = [
            each.expires_at
            for (user, _), each in self.kept.items()
            if user == upload.user_id and each.status_at(now) == PENDING
        ]
        if len(ends) >= limit:
            return min(ends)
        self.kept[upload.user_id, upload.id] = upload
        return None

    def write_part(self, upload: Upload, part_id: str, content: memoryview) -> None:
        self.objects[upload.id, part_id] = bytes(content)

    def note_part(self, upload: Upload, part_id: str, part: StoredPart, limit: int) -> bool:
        known = self._known(upload)
        fits = known.received + part.bytes <= known.bytes and len(known.parts) < limit
        if known.status != PENDING or part_id in known.parts or not fits:
            return False
        self._keep(replace(known, parts={**known.parts, part_id: part}))
        return True

    def complete(self, upload: Upload, part_ids: Sequence[str], md5: str | None, now: int) -> bool:
        known = self._known(upload)
        if known != upload or known.status != PENDING:
            return False
        self._keep(replace(known, status=COMPLETED, part_ids=tuple(part_ids), md5=md5, completed_at=now))
        return True

    def cancel(self, upload: Upload) -> bool:
        known = self._known(upload)
        if known.status != PENDING:
            return False
        self._keep(replace(known, status="cancelled"))
        return True

    def erase(self, upload: Upload) -> None:
        for part_id in upload.parts:
            self.objects.pop((upload.id, part_id), None)

    def read(self, upload: Upload, part_ids: Sequence[str]) -> bytearray:
        return bytearray(b"".join(self.objects[upload.id, part_id] for part_id in part_ids))

    def _known(self, upload: Upload) -> Upload:
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile:
            meanwhile()
        return self.kept[upload.user_id, upload.id]

    def _keep(self, upload: Upload) -> None:
        self.kept[upload.user_id, upload.id] = upload


class Caller:
    """A user at some second, with a store in memory."""

    def __init__(
        self, store: FakeUploadStore | None = None, user_id: str = "alice", part_bytes: int = 1000
    ) -> None:
        self.store = store or FakeUploadStore()
        self.user_id = user_id
        self.part_bytes = part_bytes
        self.now: float = NOW

    @property
    def uploads(self) -> Uploads:
        return Uploads(self.user_id, self.store, self.now, self.part_bytes)

    def create(self, size: int = 6, **changes: Any) -> str:
        body = {"bytes": size, "filename": "talk.mp3", "mime_type": "audio/mpeg", "purpose": "user_data"}
        return str(self.uploads.create(body | changes)["id"])

    def send(self, upload_id: str, content: bytes) -> str:
        return str(self.uploads.add_part(upload_id, [data(content)])["id"])

    def upload(self, *contents: bytes) -> tuple[str, list[str]]:
        upload_id = self.create(sum(map(len, contents)))
        return upload_id, [self.send(upload_id, content) for content in contents]

    def complete(self, upload_id: str, part_ids: list[str], **more: Any) -> dict[str, Any]:
        return self.uploads.complete(upload_id, {"part_ids": part_ids} | more)


def data(content: bytes, name: str = "data") -> Part:
    return Part(name, "application/octet-stream", memoryview(content))
