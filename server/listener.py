"""uvicorn with the settings of every HTTP server in this project."""

import asyncio
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import uvicorn
from starlette.types import ASGIApp

from server.protocol import Protocol

HOST = "127.0.0.1"
# Also when a terminal closes: requests in flight are finished all the same.
ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
KEEP_ALIVE_SECONDS = 75
# asyncio accepts as many as may wait in one turn of its loop, before the connections over the limit are ended: their
# files must be free as well.
BACKLOG = 128
# How long a server without a setting of its own gives its requests in flight.
DRAIN_SECONDS = 10.0
# How long connections may take to close after that.
CLOSE_SECONDS = 1


class PortInUse(Exception):
    """Another program listens on the port."""


def bind(port: int, host: str = HOST) -> socket.socket:
    """A socket bound to the port (0: any free one). Raises PortInUse."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol unnamed, asyncio leaves Nagle's algorithm on, which holds an answer back for 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise PortInUse(f"Port {port} on {host} cannot be used: {error.strerror}.") from error
    return listener


def listener_of(descriptor: int) -> socket.socket:
    """The bound socket that a parent process passed on."""
    return socket.socket(fileno=descriptor)


def serve(app: ASGIApp, listener: socket.socket, **options: Any) -> None:
    """Serves until a signal of ENDING; `options` are those of `new_server`."""
    new_server(app, **options).run(sockets=[listener])


def new_server(
    app: ASGIApp,
    *,
    drain_seconds: float = DRAIN_SECONDS,
    on_drain: Callable[[], object] = lambda: None,
    lifespan: Literal["on", "off"] = "on",
) -> "Server":
    """A server that can also run in a thread, until its `should_exit` is set.

    Then it calls `on_drain` and gives requests in flight `drain_seconds` to finish. The application must refuse new
    ones, which still arrive.
    """
    config = uvicorn.Config(
        app,
        http=Protocol,
        ws="none",
        lifespan=lifespan,
        log_level="error",
        access_log=False,
        backlog=BACKLOG,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=CLOSE_SECONDS,
    )
    return Server(config, drain_seconds, on_drain)


class Server(uvicorn.Server):
    """uvicorn's server; drains before it closes, and ends with exit code 0 when it is told to end."""

    def __init__(self, config: uvicorn.Config, drain_seconds: float, on_drain: Callable[[], object]) -> None:
        super().__init__(config)
        self._drain_seconds = drain_seconds
        self._on_drain = on_drain

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._on_drain()
        until = time.monotonic() + self._drain_seconds
        while self.server_state.tasks and not self.force_exit and time.monotonic() < until:
            await asyncio.sleep(0.05)
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """uvicorn's own raises the signal again at the end, which would end the process by the signal."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {each: signal.signal(each, self._stop) for each in ENDING}
        try:
            yield
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)

    def _stop(self, *_: object) -> None:
        # A second signal does not wait for requests in flight.
        self.force_exit = self.should_exit
        self.should_exit = True
