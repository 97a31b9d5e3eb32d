"""One HTTP connection, on uvicorn's protocol: limits on heads, bodies, waiting and the number of connections."""

import asyncio
import json
import uuid
from functools import partial
from typing import Any, cast

import httptools
from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from server.body import FILL, REFUSED, Intake, declared_length

# A connection without a complete request head by then is closed.
HEAD_SECONDS = 20.0
MAX_HEAD_BYTES = 64 * 1024
# As others limit them: the one event loop would read 64 KiB of parameters or headers of a byte for 20 ms.
MAX_URL_BYTES = 8 * 1024
MAX_HEADERS = 256
# A client that reads nothing of a waiting answer for this long is gone, or holds the connection on purpose.
WRITE_SECONDS = 30.0
# What the usual limit of 1,024 open files leaves besides providers' connections and the database. One more
# connection ends the one that has been idle longest, so connections that are only held, or not read, cannot keep
# callers out.
MAX_CONNECTIONS = 400
INVALID = "This is not a valid HTTP request."
# Each chunk costs the one event loop about a microsecond, whatever its size: 25 MB in chunks of one byte would keep it
# busy for half a minute. A body's pieces must average this size; a few extra are allowed for a slow start.
MIN_CHUNK_BYTES = 128
SMALL_CHUNKS = 100
# Read and parsed before the next connection's turn.
READ_BYTES = 64 * 1024
BODY_READ_BYTES = 512 * 1024
SLICE_BYTES = 8 * 1024
# The headers that say where a body ends.
_FRAMING = (b"content-length", b"transfer-encoding")


class _Refused(Exception):
    """The parser must not go on: the body comes in too many small pieces, or the head has too many headers or too long
    a URL."""


class Protocol(HttpToolsProtocol):
    """uvicorn's protocol. It also limits the wait for each request's head, the head's size, the pieces of a body and
    the number of connections, and sends errors in our format.

    A body of a known length goes from the socket into its buffer, without a copy and without the parser.
    """

    _head_timer: asyncio.TimerHandle | None = None
    _write_timer: asyncio.TimerHandle | None = None
    _idle_since = 0.0
    # Of the current request: whether its head is complete; the bytes of a body of known length that are still to
    # come, and whether they pass by the parser; where the body goes; its pieces, its size and the bytes around it.
    _has_head = False
    _left = 0
    _passes_by = False
    _intake: Intake | None = None
    _pieces = 0
    _size = 0
    _framing = 0
    # What follows a request that waits for its turn.
    _held = b""
    # While a fresh parser learns how the body is framed whose head another one has parsed.
    _is_told_framing = False

    def connection_made(self, transport: Any) -> None:
        transport.max_size = READ_BYTES
        super().connection_made(transport)
        self._idle_since = self.loop.time()
        self._watch_head()
        if len(self.connections) > MAX_CONNECTIONS:
            self._make_room()

    def data_received(self, data: bytes) -> None:
        if self._passes_by:  # the rest of a body that nobody wants any more
            piece, data = data[: self._left], data[self._left :]
            super().on_body(piece)
            self.passed_by(len(piece))
        if self._held or self.pipeline:
            self._held += data
        elif data:
            self._feed(data)
        self._watch_head()

    def _feed(self, data: bytes) -> None:
        """Parses data, in slices, up to the first request that has to wait for the one before it: thousands of requests
        sent at once must not hold up other connections."""
        view = memoryview(data)
        while view and not self.transport.is_closing():
            size = max(SLICE_BYTES, self._left)
            piece, view = view[:size], view[size:]
            self._framing += len(piece)
            self._parse(piece)
            if self._framing > MAX_HEAD_BYTES + self._size // 8 and not self.transport.is_closing():
                self.send_400_response("The headers, or the framing of the body, are too large.")
            if self.pipeline:
                self._held = bytes(view)
                return

    def _parse(self, data: memoryview) -> None:
        """Parses data. A request that asks for another protocol, as some clients' first one does, is an ordinary one:
        the parser stops after its head, and what follows is its body, not the next request."""
        self._unset_keepalive_if_required()
        try:
            while data:
                try:
                    self.parser.feed_data(data)
                    return
                except httptools.HttpParserUpgrade as upgrade:
                    data = data[upgrade.args[0] :]
                    self._expect_body()
        except httptools.HttpParserError:
            self.send_400_response(INVALID)

    def _expect_body(self) -> None:
        """Lets a fresh parser read the body of the request whose head is complete, if it has one."""
        framing = self._framing_headers()
        if not framing:
            return
        self._renew_parser()
        self._is_told_framing = True
        self.parser.feed_data(b"POST / HTTP/1.1\r\n" + b"".join(framing) + b"\r\n")

    def _framing_headers(self) -> list[bytes]:
        return [b"%b: %b\r\n" % header for header in self.headers if header[0] in _FRAMING]

    def _renew_parser(self) -> None:
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)

    def _fill(self, cycle: RequestResponseCycle, intake: Intake | None) -> None:
        """Lets a request's body go into `intake`; with None, to the request as usual."""
        if intake is not None:
            intake.take(cycle.body)
            cycle.body = bytearray()
        if cycle is not self.cycle or not cycle.more_body:
            return
        self._intake = intake
        if intake is not None and self._left:
            self._passes_by = True
            self.transport.set_protocol(_IntoPlace(self, intake))
        else:
            self.transport.set_protocol(self)

    def passed_by(self, size: int) -> None:
        """Counts bytes of the body that the parser has not seen."""
        self._left -= size
        try:
            self._count(size)
        except _Refused:
            self.send_400_response(INVALID)
            return
        if not self._left:
            self._passes_by = False
            # The old parser still waits for the bytes that passed it by.
            self._renew_parser()
            self.transport.set_protocol(self)
            self.on_message_complete()

    def _count(self, size: int) -> None:
        """Raises _Refused, which the parser reports as for non-HTTP."""
        self._pieces += 1
        self._size += size
        if self._pieces > SMALL_CHUNKS + self._size / MIN_CHUNK_BYTES:
            raise _Refused

    def on_message_begin(self) -> None:
        if self._is_told_framing:
            return
        self._has_head = False
        self._left = self._pieces = self._size = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        if len(self.url) > MAX_URL_BYTES:
            raise _Refused

    def on_header(self, name: bytes, value: bytes) -> None:
        # A trailer after a chunked body must not pass for a header.
        if self._has_head:
            return
        if len(self.headers) == MAX_HEADERS:
            raise _Refused
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if self._is_told_framing:
            self._is_told_framing = False
            return
        self._has_head = True
        scope = cast(Scope, self.scope)
        self._left = declared_length(scope) or 0
        super().on_headers_complete()
        scope[FILL] = partial(self._fill, self.cycle)

    def on_body(self, body: bytes) -> None:
        self._count(len(body))
        self._framing -= len(body)
        self._left = max(self._left - len(body), 0)
        if self._intake is None:
            super().on_body(body)
            return
        self._intake.take(body)
        if self._intake.is_over:
            self.cycle.message_event.set()

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade() and self._framing_headers():
            return  # the parser skips the body, which is still to come
        self._framing = 0
        self._intake = None
        super().on_message_complete()

    def on_response_complete(self) -> None:
        self._idle_since = self.loop.time()
        super().on_response_complete()
        if self.transport.is_closing():
            return
        if self._held and not self.pipeline:
            held, self._held = self._held, b""
            self._feed(held)
        if self._held or self.pipeline:
            # uvicorn reads on after every answer, which lets a client fill the memory with requests.
            self.flow.pause_reading()

    def pause_writing(self) -> None:
        self._idle_since = self.loop.time()
        self._write_timer = self.loop.call_later(WRITE_SECONDS, self.transport.abort)
        super().pause_writing()

    def resume_writing(self) -> None:
        self._stop_waiting()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_watching()
        self._stop_waiting()
        super().connection_lost(exc)

    @property
    def is_idle(self) -> bool:
        """Whether no request is in progress: its head has not arrived, or its answer is sent."""
        return self.cycle is None or self.cycle.response_complete

    @property
    def is_waiting(self) -> bool:
        """Whether it waits only for its client: silent, not reading, or sending the body of a refused request."""
        return self.is_idle or self.flow.write_paused or REFUSED in self.scope

    def _watch_head(self) -> None:
        # uvicorn's own timer ends at the first byte of a request; this one starts there.
        if not self.is_idle:
            self._stop_watching()
        elif self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_SECONDS, self._close_if_silent)

    def _stop_watching(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _stop_waiting(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    def _close_if_silent(self) -> None:
        self._head_timer = None
        if self.is_idle:
            self.transport.close()

    def _make_room(self) -> None:
        """Ends the connection that has waited longest for its client; it may be this one."""
        waiting = [
            each
            for each in self.connections
            # One that was ended a moment ago is still among the connections.
            if isinstance(each, Protocol) and each.is_waiting and not each.transport.is_closing()
        ]
        min(waiting, key=lambda each: each._idle_since).transport.abort()

    def send_400_response(self, msg: str) -> None:
        """Answers non-HTTP in our error format, unless an answer has already started."""
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            error = {"message": msg, "type": "invalid_request_error", "param": None, "code": None}
            body = json.dumps({"error": error}).encode()
            head = (
                "HTTP/1.1 400 Bad Request\r\n"
                "content-type: application/json\r\n"
                f"content-length: {len(body)}\r\n"
                f"x-request-id: {uuid.uuid4()}\r\n"
                "connection: close\r\n\r\n"
            )
            self.transport.write(head.encode() + body)
        self.transport.close()


class _IntoPlace(asyncio.BufferedProtocol):
    """A connection's protocol while a body arrives: the socket writes into the body's buffer."""

    def __init__(self, protocol: Protocol, intake: Intake) -> None:
        self._protocol = protocol
        self._intake = intake

    def get_buffer(self, _sizehint: int) -> memoryview:
        return self._intake.room(BODY_READ_BYTES)

    def buffer_updated(self, nbytes: int) -> None:
        self._intake.took(nbytes)
        self._protocol.passed_by(nbytes)

    def pause_writing(self) -> None:
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        self._protocol.resume_writing()

    def eof_received(self) -> None:
        self._protocol.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._protocol.connection_lost(exc)
