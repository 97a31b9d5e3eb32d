"""Reads a request body up to a limit, and sends an early refusal so that the client receives it."""

import asyncio
import contextlib
import time
from collections.abc import Callable

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

# A client that sends nothing for this long is gone or malicious.
IDLE_SECONDS = 30.0
# A whole body gets IDLE_SECONDS, plus a second for each 32 KiB received. An uplink of 0.3 Mbit/s is fast enough
# (25 MB in 12 minutes); a client that sends a byte now and then holds a place for half a minute.
MIN_BYTES_PER_SECOND = 32 * 1024
# How long, and how much, a refused client may keep sending before the connection is cut.
DRAIN_SECONDS = 5.0
DRAIN_BYTES = 64 * 1024 * 1024
SMALL_BYTES = 1024 * 1024
# Set in the scope of a refused request: only the rest of its body is pending.
REFUSED = "stt_gateway.refused"
# In the scope of a request of our listener: a function that lets the body's bytes go straight into an Intake, until it
# is called with None. The request's task then wakes up for the end of the body only.
FILL = "stt_gateway.fill"
Fill = Callable[["Intake | None"], None]
# How much of a body's declared length is reserved at first. The rest is reserved when that much has arrived.
FIRST_STEP_BYTES = 1024 * 1024


class BodyTooLarge(Exception):
    """The body, or its stated length, is over the limit."""


class BodyStalled(Exception):
    """The client stopped in the middle of its body, or sent it too slowly."""


class ClientGone(Exception):
    """The client closed the connection before its body was complete."""


class Intake:
    """The body of one request as it arrives, in one buffer.

    A body of a known length has its place reserved in two steps: a client that only declares 25 MB does not get
    them. More steps would copy what has arrived each time, into memory that is new to the process: the faults of its
    pages cost more than the copies.
    """

    def __init__(self, limit: int, expected: int | None = None) -> None:
        """`expected` is the body's length in bytes, if it is known."""
        self.arrived_at = time.monotonic()
        self._limit = limit
        self._expected = expected
        self._size = 0
        self._buffer = bytearray()

    def __len__(self) -> int:
        return self._size

    @property
    def is_over(self) -> bool:
        """Whether the body has more bytes than its route accepts."""
        return self._size > self._limit

    def room(self, limit: int) -> memoryview:
        """Where the next bytes of a body of known length go, at most this many. Say how many with `took`."""
        assert self._expected is not None
        if self._size == len(self._buffer):
            larger = bytearray(self._expected if self._size else min(self._expected, FIRST_STEP_BYTES))
            larger[: self._size] = self._buffer
            self._buffer = larger
        return memoryview(self._buffer)[self._size : self._size + limit]

    def took(self, count: int) -> None:
        """Note bytes that were written to `room`."""
        self._size += count
        self.arrived_at = time.monotonic()

    def take(self, piece: bytes | bytearray) -> None:
        """Add the next bytes."""
        if self._expected is None:
            self._buffer += piece
            self.took(len(piece))
            return
        rest = memoryview(piece)
        while rest:
            room = self.room(len(rest))
            room[:] = rest[: len(room)]
            self.took(len(room))
            rest = rest[len(room) :]

    def whole(self) -> bytearray:
        """The body, once it is complete."""
        return self._buffer


async def read_body(
    scope: Scope, receive: Receive, limit: int, idle_seconds: float = IDLE_SECONDS
) -> bytearray:
    """The whole body, at most `limit` bytes.

    Refuses a Content-Length over the limit before reading a byte, and a chunked body once the count passes it.
    Raises BodyTooLarge, BodyStalled (silent for too long, or too slow overall), ClientGone.
    """
    declared = declared_length(scope)
    if (declared or 0) > limit:
        raise BodyTooLarge
    fill: Fill = scope.get(FILL, lambda _: None)
    intake = Intake(limit, declared)
    began = time.monotonic()
    more = True
    fill(intake)
    try:
        while more and not intake.is_over:
            allowed = idle_seconds + len(intake) / MIN_BYTES_PER_SECOND
            until = min(intake.arrived_at + idle_seconds, began + allowed)
            try:
                async with asyncio.timeout(until - time.monotonic()):
                    message = await receive()
            except TimeoutError as timeout:
                if min(intake.arrived_at, began + len(intake) / MIN_BYTES_PER_SECOND) + idle_seconds > until:
                    continue  # bytes arrived during the wait: allow the time that they earn
                raise BodyStalled from timeout
            if message["type"] == "http.disconnect":
                raise ClientGone
            if piece := message.get("body", b""):
                intake.take(piece)
            more = message.get("more_body", False)
    finally:
        fill(None)
    if intake.is_over:
        raise BodyTooLarge
    return intake.whole()


def declared_length(scope: Scope) -> int | None:
    """The request's Content-Length; None without a valid one."""
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value) if value.isdigit() else None
    return None


class RefusalResponse(Response):
    """An answer to a request whose body was not fully read.

    A small body is read and dropped, and the connection stays open. With a large one, closing the socket on
    unread bytes would make the kernel send a reset, which can destroy the answer before the client reads it. So
    this sends the complete answer, drains the body for a bounded time and size, and only then closes the
    connection.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[REFUSED] = True
        if _is_small(scope) and await _drain(receive):
            await super().__call__(scope, receive, send)
            return
        headers = [*self.raw_headers, (b"connection", b"close")]
        await send({"type": "http.response.start", "status": self.status_code, "headers": headers})
        await send({"type": "http.response.body", "body": bytes(self.body), "more_body": True})
        await _drain(receive)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _is_small(scope: Scope) -> bool:
    if any(name == b"transfer-encoding" for name, _ in scope["headers"]):
        return False
    return (declared_length(scope) or 0) <= SMALL_BYTES


async def _drain(receive: Receive) -> bool:
    """Drops the rest of a body; returns whether it ended in time."""
    drained = 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_SECONDS):
            while drained <= DRAIN_BYTES:
                message = await receive()
                if message["type"] == "http.disconnect" or not message.get("more_body", False):
                    return True
                drained += len(message.get("body", b""))
    return False
