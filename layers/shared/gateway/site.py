"""The playground's static files and security headers."""

import hashlib
from collections.abc import Iterator
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
    # Revalidate every time, mostly with 304, so that old and new modules never mix after a deploy.
    "cache-control": "no-cache",
}
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".json": "application/json",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """A file to serve; `etag` includes its quotes."""

    text: str
    content_type: str
    etag: str


def asset(folder: Path, name: str) -> Asset:
    """Read a file below `folder`. Raises NotFound for any other name.

    The name is compared with existing files and never becomes a path, so it is safe at any length and content.
    """
    path = next((path for path in _files(folder) if path.relative_to(folder).as_posix() == name), None)
    if path is None:
        raise NotFound("No file has this name.")
    return text_asset(path.read_text("utf-8"), _TYPES[path.suffix])


def _files(folder: Path) -> Iterator[Path]:
    candidates = (path for path in folder.rglob("*") if path.suffix in _TYPES)
    return (path for path in candidates if path.is_file() and not path.is_symlink())


def text_asset(text: str, content_type: str) -> Asset:
    """Make an asset from text, with a hash of it as etag."""
    return Asset(text, content_type, f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"')
