"""The little HTTP that the load generator and the stub need: a request's head, a complete response."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Response:
    """A complete response."""

    status: int
    body: bytes


def request_head(method: str, path: str, headers: Mapping[str, str]) -> bytes:
    """The request line and the headers, with the empty line."""
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def content_length(head: bytes) -> int | None:
    """The Content-Length in a head; None when there is none."""
    found = _LENGTH.search(head)
    return int(found[1]) if found else None


def parse_response(received: bytes) -> Response | None:
    """The response in `received`; None when it is not complete. Raises ValueError when it is no HTTP response, or
    does not say where it ends."""
    head, blank, rest = received.partition(b"\r\n\r\n")
    if not blank:
        return None
    version, status, *_ = head.split(None, 2)
    if not version.startswith(b"HTTP/1."):
        raise ValueError("not an HTTP response")
    body = _unchunk(rest) if _CHUNKED.search(head) else _cut(rest, content_length(head))
    return None if body is None else Response(int(status), body)


def _cut(rest: bytes, length: int | None) -> bytes | None:
    if length is None:
        raise ValueError("a response without a length")
    return rest if len(rest) >= length else None


def _unchunk(rest: bytes) -> bytes | None:
    body = b""
    while True:
        size, line_end, rest = rest.partition(b"\r\n")
        if not line_end:
            return None
        length = int(size.split(b";")[0], 16)
        if len(rest) < length + 2:
            return None
        if length == 0:
            return body
        body, rest = body + rest[:length], rest[length + 2 :]
