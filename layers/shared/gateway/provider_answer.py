"""A provider's answer, read from a connection and bounded in size and time."""

import http.client
import io
import math
import re
import socket
import time
import zlib
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import cast

from gateway.provider_connection import Connection, Deadline, Inbound, ProviderFailure

_OVERHEAD_BYTES = 256 * 1024  # status lines, headers, chunk sizes and trailers, together
_READ_BYTES = 64 * 1024
_GZIP_MEMBERS = 64


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer of any status; `retry_after` is in seconds from now."""

    status: int
    body: bytes
    content_type: str | None
    retry_after: float | None


class _Stream(io.BufferedReader):
    """A buffer that http.client cannot close, so that what is left in it can be seen afterwards."""

    def makefile(self, *_: object) -> "_Stream":
        return self

    def close(self) -> None:
        pass


def read_answer(connection: Connection, deadline: Deadline, limit: int) -> tuple[Answer, bool]:
    """The answer, its body decoded and at most `limit` bytes, and whether the connection can be used again.

    Raises ProviderFailure. http.client does the parsing (and limits lines to 64 KiB and headers to 100);
    the bytes come from the connection, under the deadline.
    """
    inbound = Inbound(connection, deadline, limit + _OVERHEAD_BYTES)
    stream = _Stream(inbound, _READ_BYTES)
    try:
        response = _final_response(stream)
        body = _read_body(response, limit)
    except http.client.IncompleteRead:
        raise ProviderFailure("reset", "the connection ended in the middle of the answer") from None
    except http.client.RemoteDisconnected:
        raise ProviderFailure("reset", "the connection ended before the answer") from None
    except (http.client.HTTPException, ValueError) as error:
        raise ProviderFailure("protocol", f"the answer is not HTTP ({type(error).__name__})") from None
    inbound.paused = True
    reusable = not response.will_close and not stream.peek(1)
    answer = Answer(
        status=response.status,
        body=_decoded(body, response.getheader("content-encoding", ""), limit),
        content_type=response.getheader("content-type"),
        retry_after=_retry_after(response.getheader("retry-after", "")),
    )
    return answer, reusable


def _final_response(stream: _Stream) -> http.client.HTTPResponse:
    """The first response that is not an interim one (http.client itself skips 100 alone)."""
    while True:
        response = http.client.HTTPResponse(cast(socket.socket, stream), method="POST")
        response.begin()
        if response.status >= 200:
            return response


def _read_body(response: http.client.HTTPResponse, limit: int) -> bytes:
    if response.length is not None and response.length > limit:
        raise ProviderFailure("oversized", f"the answer has {response.length} bytes")
    body = bytearray()
    while data := response.read(_READ_BYTES):
        body += data
        if len(body) > limit:
            raise ProviderFailure("oversized", f"the answer has more than {limit} bytes")
    if response.length:
        raise http.client.IncompleteRead(b"", response.length)
    return bytes(body)


def _decoded(body: bytes, encoding: str, limit: int) -> bytes:
    """The body without its content encoding, of which it is told that none is wanted."""
    encoding = encoding.strip().lower()
    if encoding in {"", "identity"} or not body:
        return body
    try:
        if encoding in {"gzip", "x-gzip"}:
            return _inflated(body, 16 + zlib.MAX_WBITS, limit)
        if encoding == "deflate":
            # RFC 9110 means zlib's format; some servers send the bare one.
            zlib_format = body[0] & 0x0F == 8 and int.from_bytes(body[:2], "big") % 31 == 0
            return _inflated(body, zlib.MAX_WBITS if zlib_format else -zlib.MAX_WBITS, limit)
    except zlib.error:
        raise ProviderFailure("encoding", f"the {encoding} body is damaged") from None
    raise ProviderFailure("encoding", "the answer has an unknown content encoding")


def _inflated(body: bytes, window_bits: int, limit: int) -> bytes:
    plain = bytearray()
    rest = body
    for _ in range(_GZIP_MEMBERS):
        inflater = zlib.decompressobj(window_bits)
        plain += inflater.decompress(rest, limit + 1 - len(plain))
        if len(plain) > limit:
            raise ProviderFailure("oversized", f"the answer has more than {limit} bytes once decompressed")
        if not inflater.eof:
            raise zlib.error("truncated")
        rest = inflater.unused_data
        if not rest.startswith(b"\x1f\x8b"):
            return bytes(plain)
    raise zlib.error("too many members")


def _retry_after(value: str) -> float | None:
    """Seconds, from a number or an HTTP date; None if it is neither."""
    value = value.strip()
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", value):
        return float(value)
    try:
        seconds = parsedate_to_datetime(value).timestamp() - time.time()
    except (ValueError, OverflowError):
        return None
    return max(0.0, seconds) if math.isfinite(seconds) else None
