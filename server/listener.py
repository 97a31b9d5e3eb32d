"""uvicorn with the settings of every HTTP server in this project."""

import argparse
import asyncio
import json
import socket
import uuid
from typing import Any

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from server.body import REFUSED

HOST = "127.0.0.1"
# A connection without a complete request head by then is closed.
HEAD_SECONDS = 20.0
MAX_HEAD_BYTES = 64 * 1024
# A client that reads nothing of a waiting answer for this long is gone, or holds the connection on purpose.
WRITE_SECONDS = 30.0
KEEP_ALIVE_SECONDS = 75
# What the usual limit of 1,024 open files leaves besides the environments' sockets. One more connection ends the
# one that has been idle longest, so connections that are only held, or not read, cannot keep callers out.
MAX_CONNECTIONS = 400
SHUTDOWN_SECONDS = 10
# Parsing costs the one event loop about 40 microseconds per chunk of any size: one-byte chunks would keep it busy
# for minutes. A body's chunks must average this size; a few extra are allowed for a slow start.
MIN_CHUNK_BYTES = 128
SMALL_CHUNKS = 100
# Read and parsed before the next connection's turn.
READ_BYTES = 32 * 1024


class _Connection(h11.Connection):
    """h11's connection; refuses a body in too many pieces."""

    _pieces = 0
    _size = 0

    def next_event(self) -> Any:
        """Raises RemoteProtocolError for it, as for non-HTTP."""
        event = super().next_event()
        if isinstance(event, h11.Request):
            self._pieces = self._size = 0
        elif isinstance(event, h11.Data):
            self._pieces += 1
            self._size += len(event.data)
            if self._pieces > SMALL_CHUNKS + self._size / MIN_CHUNK_BYTES:
                raise h11.RemoteProtocolError("The body comes in too many small chunks.")
        return event


class _Protocol(H11Protocol):
    """uvicorn's protocol; also limits the wait for each request's head and the number of connections, and sends
    errors in our format."""

    _head_timer: asyncio.TimerHandle | None = None
    _write_timer: asyncio.TimerHandle | None = None
    _idle_since = 0.0

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.conn = _Connection(h11.SERVER, MAX_HEAD_BYTES)

    def connection_made(self, transport: Any) -> None:
        transport.max_size = READ_BYTES
        super().connection_made(transport)
        self._idle_since = self.loop.time()
        self._watch_head()
        if len(self.connections) > MAX_CONNECTIONS:
            self._make_room()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch_head()

    def on_response_complete(self) -> None:
        self._idle_since = self.loop.time()
        super().on_response_complete()

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
        waiting = [each for each in self.connections if isinstance(each, _Protocol) and each.is_waiting]
        min(waiting, key=lambda each: each._idle_since).transport.abort()

    def send_400_response(self, msg: str) -> None:
        """Answers non-HTTP in our error format, unless an answer has already started."""
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.close()
            return
        error = {"message": msg, "type": "invalid_request_error", "param": None, "code": None}
        body = json.dumps({"error": error}).encode()
        headers = [
            ("content-type", "application/json"),
            ("content-length", str(len(body))),
            ("x-request-id", str(uuid.uuid4())),
            ("connection", "close"),
        ]
        events = [h11.Response(status_code=400, headers=headers), h11.Data(data=body), h11.EndOfMessage()]
        for event in events:
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()


class PortInUse(Exception):
    """Another program listens on the port."""


def bind(port: int, host: str = HOST) -> socket.socket:
    """A socket bound to the port (0: any free one). Raises PortInUse."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise PortInUse(f"Port {port} on {host} cannot be used: {error.strerror}.") from error
    return listener


def add_arguments(parser: argparse.ArgumentParser, port: int) -> None:
    """`--port` for people; `--fd` and `--lifeline` for a parent process."""
    parser.add_argument("--port", type=int, default=port)
    parser.add_argument("--fd", type=int, help="a bound socket, inherited, in place of --port")
    parser.add_argument("--lifeline", action="store_true", help="end when standard input ends")


def listener_of(arguments: argparse.Namespace) -> socket.socket:
    """The socket given by the arguments. Raises PortInUse."""
    return bind(arguments.port) if arguments.fd is None else socket.socket(fileno=arguments.fd)


def serve(app: ASGIApp, listener: socket.socket) -> None:
    """Serves until SIGTERM or SIGINT; requests in flight have SHUTDOWN_SECONDS to finish."""
    new_server(app).run(sockets=[listener])


def new_server(app: ASGIApp) -> uvicorn.Server:
    """A server that can also run in a thread, until its `should_exit` is set."""
    config = uvicorn.Config(
        app,
        http=_Protocol,
        ws="none",
        lifespan="on",
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        h11_max_incomplete_event_size=MAX_HEAD_BYTES,
    )
    return uvicorn.Server(config)
