"""A speech-to-text provider that costs as little as possible: `python -m bench.peers.stub FD`, a listening socket.

One process and one thread. It answers every POST with the number of bytes that it received, at once; below `/slow/`,
after SLOW_SECONDS. The kernel discards the body without a copy (MSG_TRUNC, tcp(7)).
"""

import heapq
import itertools
import json
import selectors
import socket
import sys
import time

from bench.peers.http import content_length

SLOW_SECONDS = 10.0
_DISCARDED = bytearray(4 * 1024 * 1024)


class Connection:
    """One caller's connection: reads a request's head, then discards its body."""

    def __init__(self, caller: socket.socket) -> None:
        caller.setblocking(False)
        caller.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = caller
        self.is_slow = False
        self._head = bytearray()
        self._is_head_complete = False
        self._length = self._left = 0

    def read(self) -> bool:
        """Read what there is. True when the request is complete. Raises EOFError when the caller has closed."""
        count = self._discard() if self._left else self._read_head()
        if count == 0:
            raise EOFError
        return self._is_head_complete and self._left == 0

    def answer(self) -> None:
        """Answer the request, and expect the next one."""
        body = json.dumps(
            {
                "text": f"received {self._length} bytes",
                "usage": {"type": "duration", "seconds": 3},
            }
        ).encode()
        self._head.clear()
        self._is_head_complete = False
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
        self.socket.send(head + body)

    def _discard(self) -> int:
        count = self.socket.recv_into(_DISCARDED, min(self._left, len(_DISCARDED)), socket.MSG_TRUNC)
        self._left -= count
        return count

    def _read_head(self) -> int:
        received = self.socket.recv(65536)
        self._head += received
        end = self._head.find(b"\r\n\r\n")
        if end >= 0:
            self._is_head_complete = True
            self.is_slow = b" /slow/" in self._head[:end]
            self._length = content_length(bytes(self._head[:end])) or 0
            self._left = self._length - (len(self._head) - end - 4)
        return len(received)


def serve(listener: socket.socket) -> None:
    """Answer until the process is ended."""
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ)
    waiting: list[tuple[float, int, Connection]] = []
    numbers = itertools.count()
    while True:
        pause = max(0.0, waiting[0][0] - time.monotonic()) if waiting else None
        for key, _ in selector.select(pause):
            if key.data is None:
                accepted = Connection(listener.accept()[0])
                selector.register(accepted.socket, selectors.EVENT_READ, accepted)
            elif _is_complete(key.data, selector):
                if key.data.is_slow:
                    heapq.heappush(waiting, (time.monotonic() + SLOW_SECONDS, next(numbers), key.data))
                else:
                    key.data.answer()
        while waiting and waiting[0][0] <= time.monotonic():
            _answer_late(heapq.heappop(waiting)[2])


def _is_complete(connection: Connection, selector: selectors.BaseSelector) -> bool:
    try:
        return connection.read()
    except (EOFError, ConnectionError):
        selector.unregister(connection.socket)
        connection.socket.close()
        return False


def _answer_late(connection: Connection) -> None:
    try:
        connection.answer()
    except OSError:
        return  # the caller has closed in the meantime


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
