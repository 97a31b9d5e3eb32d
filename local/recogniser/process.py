"""A child process that answers one request at a time over a socket pair.

A message is an 8-byte head length, an 8-byte body length, the head (JSON) and the body (raw bytes). Python's
own `multiprocessing.Connection` allocates the whole remaining size for every read, which is slow for 25 MB.
Here the receiver allocates once and reads into place.
"""

import contextlib
import multiprocessing
import multiprocessing.connection
import signal
import socket
import struct
import time
from collections.abc import Callable, Sequence
from typing import Any

_LENGTHS = struct.Struct("!QQ")
_FORKSERVER = multiprocessing.get_context("forkserver")
# Long enough for a child that imports everything on a busy machine.
START_SECONDS = 60.0

Bytes = bytes | bytearray | memoryview


class WorkerCrashed(Exception):
    """The child ended, or broke the protocol, before it answered."""


class WorkerTimeout(Exception):
    """The child did not answer in time and was killed."""


def preload(modules: Sequence[str]) -> None:
    """Sets what the fork server imports once, so every child starts with it in memory."""
    _FORKSERVER.set_forkserver_preload(list(modules))


def send_message(connection: socket.socket, head: bytes, body: Bytes = b"") -> None:
    """Writes one message."""
    connection.sendall(_LENGTHS.pack(len(head), len(body)) + head)
    if body:
        connection.sendall(body)


def receive_message(connection: socket.socket, deadline: float | None = None) -> tuple[bytes, bytearray]:
    """Reads one message; `deadline` is on the monotonic clock.

    Raises EOFError if the other side is gone, TimeoutError after the deadline.
    """
    head_length, body_length = _LENGTHS.unpack(_receive(connection, _LENGTHS.size, deadline))
    head = _receive(connection, head_length, deadline)
    return bytes(head), _receive(connection, body_length, deadline)


def _receive(connection: socket.socket, length: int, deadline: float | None) -> bytearray:
    data = bytearray(length)
    view = memoryview(data)
    while view:
        if deadline is not None:
            connection.settimeout(max(deadline - time.monotonic(), 0.001))
        count = connection.recv_into(view)
        if count == 0:
            raise EOFError
        view = view[count:]
    return data


def _run(connection: socket.socket, target: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    # Ctrl-C reaches every process in a terminal; the parent decides when this one ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # The parent's death or close() ends the socket, which ends this process without a traceback.
    with contextlib.suppress(EOFError, ConnectionError):
        target(connection, *arguments)


class Worker:
    """One child process that runs `target(connection, *arguments)`; its first message means it is ready."""

    def __init__(self, target: Callable[..., None], *arguments: Any) -> None:
        self._connection, theirs = socket.socketpair()
        self._process = _FORKSERVER.Process(target=_run, args=(theirs, target, arguments), daemon=True)
        try:
            self._process.start()
        except BaseException:
            self._connection.close()
            raise
        finally:
            theirs.close()

    @property
    def pid(self) -> int | None:
        """The child's process id."""
        return self._process.pid

    def is_alive(self) -> bool:
        """Whether an idle child still runs. It sends nothing, so a readable socket means it has ended."""
        return not multiprocessing.connection.wait([self._connection], timeout=0)

    def wait_until_ready(self) -> None:
        """Waits for the child's first message. Raises WorkerCrashed or WorkerTimeout."""
        self._guard(lambda deadline: receive_message(self._connection, deadline), START_SECONDS)

    def exchange(self, head: bytes, body: Bytes, timeout_seconds: float) -> tuple[bytes, bytearray]:
        """One request and its answer. Raises WorkerCrashed or WorkerTimeout; the child is then gone."""

        def send_and_receive(deadline: float) -> tuple[bytes, bytearray]:
            self._connection.settimeout(timeout_seconds)
            send_message(self._connection, head, body)
            return receive_message(self._connection, deadline)

        return self._guard(send_and_receive, timeout_seconds)

    def _guard(
        self, action: Callable[[float], tuple[bytes, bytearray]], seconds: float
    ) -> tuple[bytes, bytearray]:
        try:
            return action(time.monotonic() + seconds)
        except TimeoutError as timeout:
            self.stop(kill=True)
            raise WorkerTimeout from timeout
        except (EOFError, OSError) as end:
            self.stop(kill=True)
            raise WorkerCrashed from end

    def stop(self, *, kill: bool = False) -> None:
        """Ends the child by closing its socket; kills one that is busy or stuck."""
        self._connection.close()
        if kill:
            self._process.kill()
        self._process.join(timeout=2)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._process.close()
