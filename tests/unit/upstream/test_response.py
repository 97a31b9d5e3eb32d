"""Reading HTTP answers from any bytes, split in any way."""

import gzip
import time
import zlib
from itertools import pairwise
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.upstream.connection import Connection, Deadline, ProviderError
from gateway.upstream.response import Answer, read_answer

LIMIT = 1000
PLAIN = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 13\r\n\r\n"
    + b'{"text":"one"}'[:13]
)
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n1 \r\n!\r\n0\r\nA: b\r\n\r\n"
)
PACKED = gzip.compress(b"hello", mtime=0) + gzip.compress(b", world", mtime=0)


class Recording:
    """Plays the connection: yields the pieces, then the end."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = [piece for piece in pieces if piece]
        self.received = 0

    def receive(self, _deadline: Deadline) -> bytes:
        data = self.pieces.pop(0) if self.pieces else b""
        self.received += len(data)
        return data


def read(*pieces: bytes, limit: int = LIMIT) -> tuple[Answer, bool]:
    deadline = Deadline(time.monotonic() + 5, time.monotonic)
    return read_answer(cast(Connection, Recording(*pieces)), deadline, limit)


def kind_of(data: bytes) -> str:
    with pytest.raises(ProviderError) as caught:
        read(data)
    return caught.value.kind


def with_headers(*headers: str, body: bytes = b"hello") -> bytes:
    return "\r\n".join(["HTTP/1.1 200 OK", *headers, "", ""]).encode() + body


@pytest.mark.parametrize(
    ("data", "reusable"),
    [
        (with_headers("Content-Length: 5"), True),
        (with_headers("content-length:5"), True),
        (with_headers("Content-Length: 5, 5"), True),
        (with_headers("Content-Length: 5", "Content-Length: 5"), True),
        (with_headers("Content-Length: 5").replace(b"\r\n", b"\n"), True),
        (with_headers("Content-Length: 5").replace(b" OK", b""), True),
        (with_headers("Content-Length: 5", "Connection: Close"), False),
        (with_headers("Content-Length: 5").replace(b"1.1", b"1.0"), False),
        (with_headers("Content-Length: 5", body=b"hello HTTP"), False),
        (
            with_headers("Content-Length: 9", "Transfer-Encoding: chunked", body=b"5\r\nhello\r\n0\r\n\r\n"),
            False,
        ),
        (with_headers(), False),
    ],
)
def test_the_framing_decides_the_body_and_whether_the_connection_stays(data: bytes, reusable: bool) -> None:
    answer, stays = read(data)
    assert (answer.status, answer.body, stays) == (200, b"hello", reusable)


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 99 Low\r\n\r\n",
        b"HTTP/1.1 2000 High\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"ICY 200 OK\r\n\r\n",
        b"\r\n\r\n",
        with_headers("no colon"),
        with_headers("Name : x"),
        with_headers(": x"),
        with_headers("Content-Length: -5"),
        with_headers("Content-Length: 5, 6"),
        with_headers("Content-Length: 0x5"),
        with_headers("Content-Length: ٥"),
        with_headers("Transfer-Encoding: gzip, chunked"),
        with_headers("Transfer-Encoding: chunked", body=b"\r\n"),
        with_headers("Transfer-Encoding: chunked", body=b"5_0\r\n"),
        with_headers("Transfer-Encoding: chunked", body=b"4\r\nhello\r\n0\r\n\r\n"),
    ],
)
def test_an_answer_that_is_not_http_is_a_protocol_failure(data: bytes) -> None:
    assert kind_of(data) == "protocol"


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (PACKED, "gzip"),
        (PACKED, "X-GZIP"),
        (PACKED + b"\0\0\0", "gzip"),
        (zlib.compress(b"hello, world"), "deflate"),
        (zlib.compress(b"hello, world", wbits=-15), "deflate"),
        (b"hello, world", "identity"),
    ],
)
def test_an_encoded_body_is_decoded(body: bytes, encoding: str) -> None:
    answer, _ = read(with_headers(f"Content-Encoding: {encoding}", body=body))
    assert answer.body == b"hello, world"


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (PACKED[:-3], "gzip"),
        (b"hello", "gzip"),
        (b"hello", "deflate"),
        (PACKED, "gzip, gzip"),
        (PACKED * 40, "gzip"),
    ],
)
def test_an_encoding_that_cannot_be_undone_is_an_encoding_failure(body: bytes, encoding: str) -> None:
    with pytest.raises(ProviderError) as caught:
        read(with_headers(f"Content-Encoding: {encoding}", body=body), limit=100_000)
    assert caught.value.kind == "encoding"


@pytest.mark.parametrize(
    "data",
    [
        with_headers(body=b"x" * (LIMIT + 1)),
        with_headers(f"Content-Length: {LIMIT + 1}"),
        with_headers("Transfer-Encoding: chunked", body=b"3E9\r\n"),
        with_headers("Transfer-Encoding: chunked", body=b"fffffffffffffff\r\n"),
        with_headers("Content-Encoding: gzip", body=gzip.compress(b"x" * (LIMIT + 1), mtime=0)),
        with_headers("Content-Encoding: gzip", body=gzip.compress(b"x" * 600, mtime=0) * 2),
    ],
)
def test_the_limit_applies_to_every_framing_and_after_decompression(data: bytes) -> None:
    assert kind_of(data) == "oversized"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        ("1.5", 1.5),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        ("-1", None),
        ("soon", None),
        ("inf", None),
        ("nan", None),
        ("1e9", None),
        ("", None),
    ],
)
def test_retry_after_is_seconds_or_nothing(value: str, seconds: float | None) -> None:
    assert read(with_headers(f"Retry-After: {value}"))[0].retry_after == seconds


@settings(deadline=None)
@given(st.sampled_from([PLAIN, CHUNKED]), st.lists(st.integers(1, 120), max_size=8))
def test_an_answer_is_the_same_however_it_is_split(data: bytes, cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(data)]
    pieces = [data[start:end] for start, end in pairwise(edges)]
    assert read(*pieces) == read(data)


@settings(deadline=None)
@given(st.text(max_size=40))
def test_no_retry_after_value_raises_an_error(value: str) -> None:
    head = f"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nRetry-After: {value}\r\n\r\n"
    try:
        answer, _ = read(head.encode())
    except ProviderError:
        return
    assert answer.retry_after is None or answer.retry_after >= 0


PARTS = st.sampled_from(
    [
        *(
            b"HTTP/1.1 200 OK",
            b"HTTP/1.0 503 ",
            b"HTTP/1.1 100",
            b"\r\n",
            b"\n",
            b"\r\n\r\n",
            b": ",
            b"0",
            b"5",
        ),
        *(b"Content-Length", b"Transfer-Encoding", b"chunked", b"Content-Encoding", b"gzip", b"deflate"),
        *(
            b"Retry-After: ",
            b"Mon, 99 Foo 9999 99:99:99 +9999",
            b"Connection: close",
            b"-",
            b"\xff",
            b"hello",
            PACKED,
        ),
    ]
)


@settings(deadline=None, max_examples=500)
@given(st.lists(st.one_of(PARTS, st.binary(max_size=5)), max_size=20))
def test_any_bytes_give_an_answer_or_a_provider_failure(parts: list[bytes]) -> None:
    for start in (b"", b"HTTP/1.1 200 OK\r\n"):
        try:
            answer, _ = read(start + b"".join(parts))
        except ProviderError:
            continue
        assert len(answer.body) <= LIMIT


def test_chunks_are_limited_so_that_tiny_ones_cannot_cost_seconds() -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer, _ = read(head + b"1\r\na\r\n" * 100_000 + b"0\r\n\r\n", limit=1_000_000)
    assert answer.body == b"a" * 100_000
    with pytest.raises(ProviderError) as caught:
        read(head + b"1\r\na\r\n" * 131_072 + b"0\r\n\r\n", limit=1_000_000)
    assert caught.value.kind == "oversized"
