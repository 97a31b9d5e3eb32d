"""The faults of the misbehaving server that happen once a request has arrived, by name."""

import functools
import gzip
import itertools
import json
import socket
import struct
import threading
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field

TEXT = "one two three"
STATUSES = (302, 400, 401, 403, 404, 408, 413, 415, 422, 429, 500, 503)

_CONNECTIONS = itertools.count(1)


@dataclass(slots=True)
class Received:
    """One request as it arrived; the body's parts are there once the fault has read it."""

    fault: str
    line: str
    headers: list[tuple[str, str]]
    connection: int
    server_name: str | None
    fields: list[tuple[str, str]] = field(default_factory=list)
    file: bytes | None = None
    filename: str | None = None
    file_content_type: str | None = None
    body: bytes = b""

    def header(self, name: str) -> str | None:
        """The value of the header, None without it."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)


class Exchange:
    """One request on one connection, and the ways to answer it."""

    def __init__(self, sock: socket.socket, requests: list[Received], stopping: threading.Event) -> None:
        self.sock = sock
        self.stopping = stopping
        self.received: Received
        self.count = 0
        self._number = next(_CONNECTIONS)
        self._requests = requests
        self._buffer = bytearray()

    def read_head(self) -> bool:
        """Read and record the head of the next request; False at the end of the connection."""
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            if not self._fill():
                return False
        line, *lines = bytes(self._buffer[:end]).decode("latin-1").split("\r\n")
        del self._buffer[: end + 4]
        headers = [(name, value.strip()) for name, _, value in (text.partition(":") for text in lines)]
        name = getattr(self.sock, "server_name_seen", None)
        fault = line.split(" ")[1].split("/")[1]
        self.received = Received(fault, line, headers, self._number, name)
        self.count += 1
        self._requests.append(self.received)
        return True

    def read_body(self) -> None:
        """Read the whole body and take the form apart."""
        length = int(self.received.header("content-length") or 0)
        while len(self._buffer) < length:
            if not self._fill():
                return
        body = self.received.body = bytes(self._buffer[:length])
        del self._buffer[:length]
        boundary = (self.received.header("content-type") or "").partition("boundary=")[2].encode()
        for part in (b"\r\n" + body).split(b"\r\n--" + boundary)[1:-1]:
            self._record_part(*part.removeprefix(b"\r\n").split(b"\r\n\r\n", 1))

    def _record_part(self, head: bytes, content: bytes) -> None:
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        parameters = dict(
            item.split("=", 1)
            for item in headers["Content-Disposition"].removeprefix("form-data; ").split("; ")
        )
        if parameters["name"] == '"file"':
            self.received.file = content
            self.received.filename = parameters["filename"].strip('"')
            self.received.file_content_type = headers["Content-Type"]
        else:
            self.received.fields.append((parameters["name"].strip('"'), content.decode()))

    def _fill(self) -> bool:
        data = self.sock.recv(65536)
        self._buffer += data
        return bool(data)

    def head(self, status: int, *headers: str) -> bytes:
        """A status line with headers."""
        return "\r\n".join([f"HTTP/1.1 {status} Status", *headers, "", ""]).encode("latin-1")

    def answer(self, status: int, body: bytes, *headers: str, content_type: str = "application/json") -> bool:
        """A whole and proper answer; the connection stays open."""
        length = f"Content-Length: {len(body)}"
        self.sock.sendall(self.head(status, f"Content-Type: {content_type}", length, *headers) + body)
        return True

    def transcript(self) -> bytes:
        """What a proper server says, in the format that was asked for."""
        if ("response_format", "verbose_json") not in self.received.fields:
            return json.dumps({"text": TEXT}).encode()
        words = [{"word": word, "start": i / 2, "end": i / 2 + 0.4} for i, word in enumerate(TEXT.split())]
        segments = [{"id": 0, "start": 0.0, "end": 1.5, "text": TEXT, "avg_logprob": -0.2}]
        verbose = {"task": "transcribe", "language": "en", "duration": 1.5, "text": TEXT}
        return json.dumps({**verbose, "segments": segments, "words": words}).encode()

    def drip(self, data: bytes) -> bool:
        """A byte a second until the server stops or the peer is gone."""
        for value in data:
            if self.pause(1.0):
                break
            self.sock.sendall(bytes([value]))
        return False

    def pause(self, seconds: float) -> bool:
        """Wait, but not longer than the server runs; True when it stops."""
        return self.stopping.wait(seconds)

    def reset(self) -> bool:
        """End the connection with RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()
        return False


Fault = Callable[[Exchange], bool]  # True: the connection can take another request


def _after_body(then: Fault) -> Fault:
    def fault(exchange: Exchange) -> bool:
        exchange.read_body()
        return then(exchange)

    return fault


def _status(status: int) -> Fault:
    extra = {
        302: ["Location: https://127.0.0.1:1/elsewhere"],
        429: ["Retry-After: 7"],
        503: ["Retry-After: 3"],
    }
    error = {"message": f"status {status} for you", "type": "some_error", "param": None, "code": None}
    body = json.dumps({"error": error}).encode()
    return _after_body(lambda exchange: exchange.answer(status, body, *extra.get(status, [])))


def _body(body: bytes, *headers: str, content_type: str = "application/json") -> Fault:
    return _after_body(lambda exchange: exchange.answer(200, body, *headers, content_type=content_type))


def _raw(data: bytes, *, keep: bool = False) -> Fault:
    def fault(exchange: Exchange) -> bool:
        exchange.sock.sendall(data)
        return keep

    return _after_body(fault)


def _ok(exchange: Exchange) -> bool:
    return exchange.answer(200, exchange.transcript())


def _refuses_verbose(exchange: Exchange) -> bool:
    if ("response_format", "verbose_json") in exchange.received.fields:
        return exchange.answer(400, b'{"error": {"message": "verbose_json is not supported"}}')
    return _ok(exchange)


def _slow(exchange: Exchange) -> bool:
    exchange.pause(1.0)
    return _ok(exchange)


def _reset_mid_request(exchange: Exchange) -> bool:
    exchange.sock.recv(1000)
    return exchange.reset()


def _reset_mid_response(exchange: Exchange) -> bool:
    exchange.sock.sendall(exchange.head(200, "Content-Length: 1000") + b'{"text": "one')
    exchange.pause(0.05)
    return exchange.reset()


def _never_answer(exchange: Exchange) -> bool:
    exchange.pause(600)
    return False


def _endless(first: bytes, piece: bytes) -> Fault:
    def fault(exchange: Exchange) -> bool:
        exchange.sock.sendall(first)
        while not exchange.stopping.is_set():
            exchange.sock.sendall(piece)
        return False

    return _after_body(fault)


def _drip_body(exchange: Exchange) -> bool:
    exchange.sock.sendall(exchange.head(200, "Content-Length: 25"))
    return exchange.drip(_JSON)


def _bomb(exchange: Exchange) -> bool:
    return exchange.answer(200, _bomb_body(), "Content-Encoding: gzip")


@functools.cache
def _bomb_body() -> bytes:
    return gzip.compress(b'{"text": "' + b" " * 50_000_000 + b'"}', compresslevel=1)  # 0.2 MB


def _early_close(exchange: Exchange) -> bool:
    exchange.answer(413, b'{"error": {"message": "too large"}}', "Connection: close")
    exchange.pause(0.05)
    return False  # closing with unread bytes resets the connection


def _early_open(exchange: Exchange) -> bool:
    exchange.answer(401, b'{"error": {"message": "no"}}')
    exchange.pause(600)
    return False


def _interim(exchange: Exchange) -> bool:
    exchange.sock.sendall(exchange.head(100))
    exchange.read_body()
    exchange.sock.sendall(exchange.head(103, "Link: </x>") + exchange.head(102))
    return _ok(exchange)


def _closes_idle(exchange: Exchange) -> bool:
    _ok(exchange)
    return False


def _speaks_when_idle(exchange: Exchange) -> bool:
    """Some servers take their leave of an idle connection with an answer to nobody."""
    _ok(exchange)
    exchange.pause(0.02)
    return exchange.answer(408, b"", "Connection: close")


def _408_on_reuse(exchange: Exchange) -> bool:
    return _ok(exchange) if exchange.count < 2 else exchange.answer(408, b"", "Connection: close")


def _dies_on_reuse(exchange: Exchange) -> bool:
    return exchange.count < 2 and _ok(exchange)


def _slow_read(exchange: Exchange) -> bool:
    while not exchange.pause(1.0):
        exchange.sock.recv(1)
    return False


def _chunked(*chunks: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + end


def _text(text: str) -> bytes:
    return json.dumps({"text": text}, ensure_ascii=False).encode()


_JSON = b'{"text": "one two three"}'
_OK = b"HTTP/1.1 200 OK\r\n"

FAULTS: dict[str, Fault] = {
    "ok": _after_body(_ok),
    "slow": _after_body(_slow),
    "refuses-verbose": _after_body(_refuses_verbose),
    "slow-reader": _slow_read,
    "reset-mid-request": _reset_mid_request,
    "reset-mid-response": _after_body(_reset_mid_response),
    "close-without-answer": _after_body(lambda _: False),
    "never-answer": _after_body(_never_answer),
    "never-read": _never_answer,
    "drip-headers": _after_body(lambda exchange: exchange.drip(exchange.head(200) + _JSON)),
    "drip-body": _after_body(_drip_body),
    "endless-body": _endless(_OK + b"Content-Type: application/json\r\n\r\n", b" " * 65536),
    "endless-chunks": _endless(_chunked(end=b""), b"4000\r\n" + b" " * 16384 + b"\r\n"),
    "endless-trailers": _endless(_chunked(_JSON, end=b"0\r\n"), b"X: y\r\n" * 1000),
    "endless-headers": _endless(_OK, b"X-More: and more\r\n" * 1000),
    "endless-header-line": _endless(_OK + b"X-More: ", b"x" * 65536),
    "endless-interim": _endless(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100),
    "large-content-length": _raw(_OK + b"Content-Length: 99999999999\r\n\r\n{"),
    "gzip": _body(gzip.compress(_JSON), "Content-Encoding: gzip"),
    "deflate": _body(zlib.compress(_JSON), "Content-Encoding: deflate"),
    "bare-deflate": _body(zlib.compress(_JSON, wbits=-15), "Content-Encoding: deflate"),
    "gzip-bomb": _after_body(_bomb),
    "gzip-damaged": _body(gzip.compress(_JSON)[:-9], "Content-Encoding: gzip"),
    "brotli": _body(b"\x0b\x02\x80{}\x03", "Content-Encoding: br"),
    "invalid-json": _body(b'{"text": "one'),
    "html": _body(b"<!doctype html><title>Sign in</title>", content_type="text/html"),
    "json-list": _body(b'[{"text": "one"}]'),
    "missing-text": _body(b'{"transcript": "one"}'),
    "empty-body": _body(b""),
    "long-text": _after_body(lambda exchange: exchange.answer(200, _text("é" * 2_500_000))),
    "long-text-of-quotes": _after_body(lambda exchange: exchange.answer(200, _text('"' * 2_500_000))),
    "not-http": _raw(b"SSH-2.0-OpenSSH_9.6\r\n"),
    "truncated": _raw(_OK + b"Content-Length: 1000\r\n\r\n" + _JSON),
    "truncated-chunks": _raw(_chunked(_JSON, end=b"")),
    "malformed-chunks": _raw(_chunked(end=b"-5\r\nhello\r\n")),
    "chunked": _raw(_chunked(_JSON[:5], _JSON[5:]), keep=True),
    "http-1.0": _raw(b"HTTP/1.0 200 OK\r\n\r\n" + _JSON),
    "extra-bytes": _raw(_OK + b"Content-Length: 25\r\n\r\n" + _JSON + b"HTTP/1.1 200 OK\r\n", keep=True),
    "retry-date": _body(_JSON, "Retry-After: Wed, 21 Oct 2099 07:28:00 GMT"),
    "early-413-then-close": _early_close,
    "early-401-then-wait": _early_open,
    "interim": _interim,
    "closes-idle": _after_body(_closes_idle),
    "speaks-when-idle": _after_body(_speaks_when_idle),
    "408-on-reuse": _after_body(_408_on_reuse),
    "dies-on-reuse": _after_body(_dies_on_reuse),
    **{str(status): _status(status) for status in STATUSES},
}
