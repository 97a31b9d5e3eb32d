"""OpenAI's Uploads, from create to file_id, for audio that one request cannot carry (contract section 6)."""

import hashlib
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gateway.errors import Conflict, FileTooLarge, InvalidRequest, NotFound, RateLimited
from gateway.multipart import Part
from gateway.transcription.media import MAX_AUDIO_BYTES

if TYPE_CHECKING:
    from gateway.store.ports import UploadStore

PENDING, COMPLETED, CANCELLED, EXPIRED = "pending", "completed", "cancelled", "expired"
# The SDKs' FilePurpose. All are accepted, because uploads are only ever transcribed.
PURPOSES = ("assistants", "batch", "fine-tune", "vision", "user_data", "evals")
LIFETIME_SECONDS = 3600
MAX_OPEN = 20
# 100 parts of 256 KiB are exactly 25 MB. More, smaller parts would be slow to read.
MAX_PARTS = 100
_MAX_FILENAME_CHARACTERS = 255
_TRIES = 5
_MEDIA_TYPE = re.compile(r"([A-Za-z0-9!#$&^_.+-]{1,63}/[A-Za-z0-9!#$&^_.+-]{1,63})[ \t]*(?:;.{0,127})?")
_MD5 = re.compile(r"[0-9a-fA-F]{32}")
_UPLOAD_ID = re.compile(r"upload_([0-9a-f]{32})")
_FILE_ID = re.compile(r"file-([0-9a-f]{32})")
# Stops the SDKs from repeating a call that cannot succeed.
_NO_RETRY = {"x-should-retry": "false"}


@dataclass(frozen=True, slots=True)
class StoredPart:
    """A part that has arrived: its size, and when it first arrived, in epoch seconds."""

    bytes: int
    created_at: int


@dataclass(frozen=True, slots=True)
class Upload:
    """A stored upload. Times are epoch seconds. `part_ids` and `md5` are those of its completion."""

    id: str
    user_id: str
    bytes: int
    filename: str
    media_type: str
    purpose: str
    created_at: int
    expires_at: int
    status: str = PENDING
    parts: Mapping[str, StoredPart] = field(default_factory=dict)
    part_ids: tuple[str, ...] = ()
    md5: str | None = None
    completed_at: int | None = None

    @property
    def received(self) -> int:
        """Bytes of all parts received, each counted once."""
        return sum(part.bytes for part in self.parts.values())

    def status_at(self, now: float) -> str:
        """The status at `now`. All uploads expire except cancelled ones."""
        return EXPIRED if self.status != CANCELLED and now >= self.expires_at else self.status


@dataclass(frozen=True, slots=True)
class Uploads:
    """One user's uploads at `now` (epoch seconds). `part_bytes` is the max size of a part."""

    user_id: str
    store: "UploadStore"
    now: float
    part_bytes: int = MAX_AUDIO_BYTES

    def create(self, body: Any) -> dict[str, Any]:
        """Create an upload. Raises InvalidRequest, FileTooLarge, RateLimited."""
        fields = _object(body)
        created_at = int(self.now)
        upload = Upload(
            id=f"upload_{secrets.token_hex(16)}",
            user_id=self.user_id,
            bytes=_declared_bytes(fields.get("bytes")),
            filename=_filename(fields.get("filename")),
            media_type=_media_type(fields.get("mime_type")),
            purpose=_purpose(fields.get("purpose")),
            created_at=created_at,
            expires_at=created_at + LIFETIME_SECONDS,
        )
        first_expiry = self.store.open(upload, MAX_OPEN, self.now)
        if first_expiry is not None:
            wait = {"retry-after": str(max(1, first_expiry - created_at))}
            raise RateLimited(
                f"This user has {MAX_OPEN} open uploads, the limit. Complete or cancel one, or let it expire.",
                code="quota_exceeded",
                headers=_NO_RETRY | wait,
            )
        return self._view(upload)

    def add_part(self, upload_id: str, form: Sequence[Part]) -> dict[str, Any]:
        """Add one part. The same bytes are the same part, so a repeated request changes nothing.

        Raises NotFound, Conflict, FileTooLarge, InvalidRequest.
        """
        content = self._data(form)
        # A hash of the content as the id makes a repeated request harmless.
        digest = hashlib.sha256(upload_id.encode("utf-8", "replace"))
        digest.update(content)
        part_id, part = f"part_{digest.hexdigest()[:32]}", StoredPart(len(content), int(self.now))
        written = False
        for _ in range(_TRIES):
            upload = self._pending(upload_id)
            if part_id in upload.parts:
                return _part_view(upload, part_id, upload.parts[part_id])
            _check_room(upload, part.bytes)
            if not written:
                self.store.write_part(upload, part_id, content)
                written = True
            if self.store.note_part(upload, part_id, part, MAX_PARTS):
                return _part_view(upload, part_id, part)
        raise _busy()

    def complete(self, upload_id: str, body: Any) -> dict[str, Any]:
        """Join the parts into a file, in the order given. An identical call gets the same answer.

        Raises NotFound, Conflict, InvalidRequest.
        """
        part_ids, md5 = _completion(_object(body))
        for _ in range(_TRIES):
            upload = self._own(upload_id)
            same = (upload.part_ids, upload.md5) == (part_ids, md5)
            if same and upload.status_at(self.now) == COMPLETED:
                return self._view(upload)
            self._check_pending(upload)
            _check_parts(upload, part_ids)
            if md5 is not None:
                found = hashlib.md5(self.store.read(upload, part_ids), usedforsecurity=False).hexdigest()
                if found != md5:
                    raise InvalidRequest("The parts do not match 'md5': check their order.", param="md5")
            # The next round reads the result, or a change by another request.
            self.store.complete(upload, part_ids, md5, int(self.now))
        raise _busy()

    def cancel(self, upload_id: str) -> dict[str, Any]:
        """Cancel an upload and delete its parts. A second call gets the same answer. Raises NotFound, Conflict."""
        for _ in range(_TRIES):
            upload = self._own(upload_id)
            if upload.status == CANCELLED:
                self.store.erase(upload)
                return self._view(upload)
            self._check_pending(upload)
            self.store.cancel(upload)
        raise _busy()

    def open_file(self, file_id: str) -> tuple[memoryview, str]:
        """Read a completed upload's bytes and media type, by file id or upload id. Raises NotFound."""
        match = _FILE_ID.fullmatch(file_id) or _UPLOAD_ID.fullmatch(file_id)
        upload = self.store.upload(self.user_id, f"upload_{match[1]}") if match else None
        if upload is None or upload.status_at(self.now) != COMPLETED:
            raise NotFound(
                "No file has this file_id: it is unknown, not completed, or older than an hour. "
                "Upload the audio again with POST /v1/uploads.",
                param="file_id",
            )
        return memoryview(self.store.read(upload, upload.part_ids)).toreadonly(), upload.media_type

    def _own(self, upload_id: str) -> Upload:
        """Read the user's upload. Raises NotFound, for other users' uploads too."""
        known = _UPLOAD_ID.fullmatch(upload_id)
        upload = self.store.upload(self.user_id, upload_id) if known else None
        if upload is None:
            raise NotFound("No upload has this id. Create one with POST /v1/uploads.", param="upload_id")
        return upload

    def _pending(self, upload_id: str) -> Upload:
        upload = self._own(upload_id)
        self._check_pending(upload)
        return upload

    def _check_pending(self, upload: Upload) -> None:
        status = upload.status_at(self.now)
        if status == EXPIRED:
            raise Conflict(
                f"The upload expired after {LIFETIME_SECONDS} seconds. Create another.",
                headers=_NO_RETRY,
            )
        if status != PENDING:
            raise Conflict(f"The upload is {status}: create another.", headers=_NO_RETRY)

    def _data(self, form: Sequence[Part]) -> memoryview:
        found = [part.content for part in form if part.name == "data"]
        if len(found) != 1 or not len(found[0]):
            raise InvalidRequest(
                "The part must be a multipart/form-data body with one field 'data' that is not empty.",
                param="data",
            )
        if len(found[0]) > self.part_bytes:
            raise FileTooLarge(
                f"The part is larger than {self.part_bytes} bytes, the limit of one request here. "
                "Send smaller parts (part_size in the SDK).",
                param="data",
            )
        return found[0]

    def _view(self, upload: Upload) -> dict[str, Any]:
        """OpenAI's Upload object, with its File once completed."""
        view = {
            "id": upload.id,
            "object": "upload",
            "bytes": upload.bytes,
            "created_at": upload.created_at,
            "filename": upload.filename,
            "purpose": upload.purpose,
            "status": upload.status_at(self.now),
            "expires_at": upload.expires_at,
        }
        return view | {"file": _file_view(upload) if upload.status == COMPLETED else None}


def _file_view(upload: Upload) -> dict[str, Any]:
    return {
        "id": "file-" + upload.id.removeprefix("upload_"),
        "object": "file",
        "bytes": upload.bytes,
        "created_at": upload.completed_at,
        "expires_at": upload.expires_at,
        "filename": upload.filename,
        "purpose": upload.purpose,
        "status": "processed",
        "status_details": None,
    }


def _part_view(upload: Upload, part_id: str, part: StoredPart) -> dict[str, Any]:
    return {
        "id": part_id,
        "object": "upload.part",
        "created_at": part.created_at,
        "upload_id": upload.id,
    }


def _check_room(upload: Upload, size: int) -> None:
    """Raise InvalidRequest when a new part exceeds the max number of parts or the declared bytes."""
    if len(upload.parts) >= MAX_PARTS:
        raise InvalidRequest(
            f"The upload has {MAX_PARTS} parts, which is the limit: send fewer, larger parts.", param="data"
        )
    if upload.received + size > upload.bytes:
        raise InvalidRequest(
            f"With this part the upload would have {upload.received + size} bytes, but {upload.bytes} were "
            "declared when it was created.",
            param="data",
        )


def _check_parts(upload: Upload, part_ids: Sequence[str]) -> None:
    """Raise InvalidRequest unless these are all of the upload's parts and add up to the declared bytes."""
    for position, part_id in enumerate(part_ids):
        if part_id not in upload.parts:
            raise InvalidRequest(f"part_ids[{position}] is not a part of this upload.", param="part_ids")
    total = sum(upload.parts[part_id].bytes for part_id in part_ids)
    if total != upload.bytes:
        raise InvalidRequest(
            f"These parts have {total} bytes, but {upload.bytes} were declared when the upload was created.",
            param="part_ids",
        )
    left_out = len(upload.parts.keys() - set(part_ids))
    if left_out:
        raise InvalidRequest(
            f"{left_out} of the uploaded parts are not in 'part_ids': list every part, in order.",
            param="part_ids",
        )


def _busy() -> Conflict:
    return Conflict("Other requests are changing the upload. Send this request again.")


def _object(body: Any) -> Mapping[str, Any]:
    if not isinstance(body, dict):
        raise InvalidRequest("The body must be a JSON object.")
    return body


def _declared_bytes(value: Any) -> int:
    if type(value) is not int or value < 1:
        raise InvalidRequest("'bytes' must be the size of the file, an integer of at least 1.", param="bytes")
    if value > MAX_AUDIO_BYTES:
        raise FileTooLarge(
            f"The file is over the limit of {MAX_AUDIO_BYTES} bytes (25 MB): compress it.", param="bytes"
        )
    return value


def _filename(value: Any) -> str:
    """Check the name. It is only echoed, and never becomes part of a path or key."""
    if not isinstance(value, str) or not 1 <= len(value) <= _MAX_FILENAME_CHARACTERS or not _is_text(value):
        raise InvalidRequest(
            f"'filename' must be text of 1 to {_MAX_FILENAME_CHARACTERS} characters.", param="filename"
        )
    return value


def _media_type(value: Any) -> str:
    match = _MEDIA_TYPE.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise InvalidRequest("'mime_type' must be a media type such as 'audio/mpeg'.", param="mime_type")
    return match[1].lower()


def _purpose(value: Any) -> str:
    if not isinstance(value, str) or value not in PURPOSES:
        raise InvalidRequest(
            f"'purpose' must be one of {', '.join(PURPOSES)}; use user_data for audio.", param="purpose"
        )
    return value


def _completion(fields: Mapping[str, Any]) -> tuple[tuple[str, ...], str | None]:
    part_ids, md5 = fields.get("part_ids"), fields.get("md5")
    if not isinstance(part_ids, list) or not part_ids or not all(isinstance(each, str) for each in part_ids):
        raise InvalidRequest(
            "'part_ids' must be a list of one or more part ids, in the file's order.", param="part_ids"
        )
    if len(part_ids) > MAX_PARTS:
        raise InvalidRequest(f"'part_ids' must have at most {MAX_PARTS} ids.", param="part_ids")
    if md5 is not None and not (isinstance(md5, str) and _MD5.fullmatch(md5)):
        raise InvalidRequest("'md5' must be 32 hexadecimal digits.", param="md5")
    return tuple(part_ids), md5.lower() if md5 else None


def _is_text(value: str) -> bool:
    """Whether the text can be encoded as UTF-8; a lone surrogate cannot."""
    return value.isascii() or not any("\ud800" <= character <= "\udfff" for character in value)
