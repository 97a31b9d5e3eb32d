"""Read a provider's HTTP/1.1 answer from a connection, within limits of size and time."""

import math
import re
import time
import zlib
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from gateway.upstream.connection import Connection, Deadline, ProviderError

_HEAD_BYTES = 64 * 1024  # all headers, and all trailers
_LINE_BYTES = 4 * 1024  # a status line, or the size of a chunk with its extensions
_INTERIM_ANSWERS = 16
_MAX_CHUNKS = 131_072  # 5 MiB in chunks of 40 bytes; one-byte chunks would cost seconds of CPU time
_GZIP_MEMBERS = 64
_STATUS_LINE = re.compile(r"HTTP/1\.([01]) ([1-9][0-9]{2})( .*)?")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(;.*)?")


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer of any status; `retry_after` is in seconds from now."""

    status: int
    body: bytes
    retry_after: float | None


@dataclass(frozen=True, slots=True)
class _Head:
    minor_version: int
    status: int
    headers: dict[str, str]  # lower-case names; repeated ones are joined with ", "


def read_answer(connection: Connection, deadline: Deadline, limit: int) -> tuple[Answer, bool]:
    """Read the answer, its decoded body of at most `limit` bytes, and whether the connection is reusable.

    Raises ProviderError. Framing follows RFC 9112, sections 6 and 7.
    """
    reader = _Reader(connection, deadline, 2 * limit + 256 * 1024)
    head = reader.head()
    for _ in range(_INTERIM_ANSWERS):
        if head.status >= 200 or head.status == 101:
            break
        head = reader.head()
    if head.status < 200:
        raise ProviderError("protocol", "an interim answer is not followed by the answer")
    body, delimited = _read_body(reader, head, limit)
    answer = Answer(
        status=head.status,
        body=_decoded(body, head.headers.get("content-encoding", ""), limit),
        retry_after=_retry_after(head.headers.get("retry-after", "")),
    )
    persistent = head.minor_version == 1 and "close" not in head.headers.get("connection", "").lower()
    return answer, persistent and delimited and reader.is_drained()


class _Reader:
    """Reads the bytes of one answer: a line, a number of bytes, or all to the end."""

    def __init__(self, connection: Connection, deadline: Deadline, limit: int) -> None:
        self._connection = connection
        self._deadline = deadline
        self._left = limit
        self._buffer = bytearray()

    def is_drained(self) -> bool:
        """Whether all received bytes have been read."""
        return not self._buffer

    def head(self) -> _Head:
        """Read a status line and its headers."""
        match = _STATUS_LINE.fullmatch(self.line(_LINE_BYTES).decode("latin-1"))
        if match is None:
            raise ProviderError("protocol", "the answer does not begin with a status line of HTTP/1.1")
        headers: dict[str, str] = {}
        for text in self.lines():
            name, colon, value = text.partition(":")
            if not colon or not name or name != name.strip():
                raise ProviderError("protocol", "the answer has a malformed header")
            name, value = name.lower(), value.strip()
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        return _Head(int(match[1]), int(match[2]), headers)

    def lines(self) -> list[str]:
        """Read the lines up to an empty one, at most 64 KiB in total."""
        lines: list[str] = []
        left = _HEAD_BYTES
        while line := self.line(left):
            left -= len(line) + 1
            lines.append(line.decode("latin-1"))
        return lines

    def line(self, limit: int) -> bytes:
        """Read a line without its end. A bare line feed ends it too (RFC 9112, section 2.2)."""
        searched = 0
        while (end := self._buffer.find(b"\n", searched)) < 0:
            searched = len(self._buffer)
            if searched > limit:
                break
            self._receive()
        if not 0 <= end <= limit:
            raise ProviderError("protocol", "the answer has a line or headers that are too long")
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return line.removesuffix(b"\r")

    def exactly(self, size: int) -> bytes:
        """Read `size` bytes."""
        while len(self._buffer) < size:
            self._receive()
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data

    def to_the_end(self, limit: int) -> bytes:
        """Read to the end of the stream, at most `limit` bytes."""
        while len(self._buffer) <= limit and self._receive(may_end=True):
            pass
        _check_size(len(self._buffer), limit)
        data, self._buffer = bytes(self._buffer), bytearray()
        return data

    def _receive(self, *, may_end: bool = False) -> bool:
        data = self._connection.receive(self._deadline)
        if not data and not may_end:
            moment = "in the middle of the answer" if self._connection.received else "before the answer"
            raise ProviderError("reset", f"the connection ended {moment}")
        self._left -= len(data)
        if self._left < 0:
            raise ProviderError("oversized", "the framing of the answer is larger than the answer may be")
        self._buffer += data
        return bool(data)


def _read_body(reader: _Reader, head: _Head, limit: int) -> tuple[bytes, bool]:
    """Read the raw body, and whether its end was marked without closing."""
    if head.status in {204, 304}:
        return b"", True
    coding = head.headers.get("transfer-encoding", "identity").lower()
    length = head.headers.get("content-length")
    if coding == "chunked":
        return _read_chunks(reader, limit), length is None
    if coding != "identity":
        raise ProviderError("protocol", "the answer has a transfer encoding that was not asked for")
    if length is None:
        return reader.to_the_end(limit), False
    sizes = {size.strip() for size in length.split(",")}
    size = sizes.pop()
    if sizes or not re.fullmatch(r"[0-9]{1,18}", size):
        raise ProviderError("protocol", "the answer has a malformed content length")
    _check_size(int(size), limit)
    return reader.exactly(int(size)), True


def _read_chunks(reader: _Reader, limit: int) -> bytes:
    body = bytearray()
    for _ in range(_MAX_CHUNKS):
        match = _CHUNK_SIZE.fullmatch(reader.line(_LINE_BYTES))
        if match is None:
            raise ProviderError("protocol", "the answer has a malformed chunk")
        size = int(match[1], 16)
        if size == 0:
            reader.lines()  # trailers
            return bytes(body)
        _check_size(len(body) + size, limit)
        body += reader.exactly(size)
        if reader.line(1):
            raise ProviderError("protocol", "the answer has a chunk of another size than it says")
    raise ProviderError("oversized", f"the answer has {_MAX_CHUNKS} chunks or more")


def _check_size(size: int, limit: int) -> None:
    if size > limit:
        raise ProviderError("oversized", f"the answer has more than {limit} bytes")


def _decoded(body: bytes, encoding: str, limit: int) -> bytes:
    """Decode the content encoding, which some servers use although the request asks for none."""
    encoding = encoding.strip().lower()
    if encoding in {"", "identity"} or not body:
        return body
    try:
        if encoding in {"gzip", "x-gzip"}:
            return _inflated(body, 16 + zlib.MAX_WBITS, limit)
        if encoding == "deflate":
            # RFC 9110 means zlib's format, but some servers send raw deflate.
            zlib_format = body[0] & 0x0F == 8 and int.from_bytes(body[:2], "big") % 31 == 0
            return _inflated(body, zlib.MAX_WBITS if zlib_format else -zlib.MAX_WBITS, limit)
    except zlib.error:
        raise ProviderError("encoding", f"the {encoding} body is damaged") from None
    raise ProviderError("encoding", "the answer has an unknown content encoding")


def _inflated(body: bytes, window_bits: int, limit: int) -> bytes:
    plain = bytearray()
    rest = body
    for _ in range(_GZIP_MEMBERS):
        inflater = zlib.decompressobj(window_bits)
        plain += inflater.decompress(rest, limit + 1 - len(plain))
        _check_size(len(plain), limit)
        if not inflater.eof:
            raise zlib.error("truncated")
        rest = inflater.unused_data
        if not rest.startswith(b"\x1f\x8b"):
            return bytes(plain)
    raise zlib.error("too many members")


def _retry_after(value: str) -> float | None:
    """Parse a number or an HTTP date into seconds from now; None if it is neither."""
    value = value.strip()
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", value):
        return float(value)
    try:
        seconds = parsedate_to_datetime(value).timestamp() - time.time()
    except (ValueError, OverflowError):
        return None
    return max(0.0, seconds) if math.isfinite(seconds) else None
