"""Reads a request body up to a limit, and sends an early refusal so that the client receives it."""

import asyncio
import contextlib
import time

from starlette.requests import Request
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


class BodyTooLarge(Exception):
    """The body, or its stated length, is over the limit."""


class BodyStalled(Exception):
    """The client stopped in the middle of its body, or sent it too slowly."""


class ClientGone(Exception):
    """The client closed the connection before its body was complete."""


async def read_body(request: Request, limit: int, idle_seconds: float = IDLE_SECONDS) -> bytes | bytearray:
    """The whole body, at most `limit` bytes.

    Refuses a Content-Length over the limit before reading a byte, and a chunked body once the count passes it.
    Raises BodyTooLarge, BodyStalled (silent for too long, or too slow overall), ClientGone.
    """
    began = time.monotonic()
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit:
        raise BodyTooLarge
    body = bytearray()
    more = True
    while more:
        allowed = idle_seconds + len(body) / MIN_BYTES_PER_SECOND
        remaining = began + allowed - time.monotonic()
        try:
            async with asyncio.timeout(min(idle_seconds, remaining)):
                message = await request.receive()
        except TimeoutError as timeout:
            raise BodyStalled from timeout
        if message["type"] == "http.disconnect":
            raise ClientGone
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > limit:
            raise BodyTooLarge
    return body


class RefusalResponse(Response):
    """An answer to a request whose body was not fully read.

    A small body is read and dropped, and the connection stays open. With a large one, closing the socket on
    unread bytes would make the kernel send a reset, which can destroy the answer before the client reads it. So
    this sends the complete answer, drains the body for a bounded time and size, and only then closes the
    connection.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[REFUSED] = True
        if _is_small(Request(scope)) and await _drain(receive):
            await super().__call__(scope, receive, send)
            return
        headers = [*self.raw_headers, (b"connection", b"close")]
        await send({"type": "http.response.start", "status": self.status_code, "headers": headers})
        await send({"type": "http.response.body", "body": bytes(self.body), "more_body": True})
        await _drain(receive)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _is_small(request: Request) -> bool:
    if "transfer-encoding" in request.headers:
        return False
    declared = request.headers.get("content-length", "0")
    return declared.isdecimal() and int(declared) <= SMALL_BYTES


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
