"""Static files of the playground, and the headers that keep it and its visitors safe."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from gateway.errors import NotFound

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data: blob:; "
    "media-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    # Asked for every time, mostly answered with 304: old and new modules of a deploy never mix.
    "cache-control": "no-cache",
}
MAX_NAME_CHARACTERS = 255
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".json": "application/json",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """A file as it is served; `etag` is quoted."""

    text: str
    content_type: str
    etag: str


def asset(folder: Path, name: str) -> Asset:
    """A file below `folder`. Raises NotFound for anything else, whatever the path tries."""
    # No file has such a name, and resolving 30,000 folders takes seconds.
    if len(name) > MAX_NAME_CHARACTERS or not name.isprintable():
        raise NotFound("No such file.")
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()) or path.suffix not in _TYPES or not path.is_file():
        raise NotFound("No such file.")
    return text_asset(path.read_text("utf-8"), _TYPES[path.suffix])


def text_asset(text: str, content_type: str) -> Asset:
    """An asset made of text; its etag is a hash of it."""
    return Asset(text, content_type, f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"')
