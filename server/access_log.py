"""The access log: one JSON line for each request, without keys and without paths as they were sent."""

import json
import threading
from collections import deque
from dataclasses import dataclass
from typing import TextIO

from gateway.usage.record import timestamp

# Lines wait for at most this long, so that a request neither waits for the log nor wakes a thread.
FLUSH_SECONDS = 0.2
# When whoever reads the log is slower than this many lines per flush, later lines are counted, not kept.
MAX_WAITING = 10_000
CLOSE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Line:
    """One request; `route` is the template of its path, None for a path that is no route."""

    at: float
    request_id: str
    method: str
    route: str | None
    status: int
    milliseconds: float
    user_id: str | None
    received: int
    sent: int

    def text(self) -> str:
        """The line of JSON."""
        return json.dumps(
            {
                "time": timestamp(self.at),
                "request_id": self.request_id,
                "method": self.method,
                "route": self.route,
                "status": self.status,
                "ms": round(self.milliseconds, 1),
                "user": self.user_id,
                "bytes_in": self.received,
                "bytes_out": self.sent,
            },
            separators=(",", ":"),
        )


class AccessLog:
    """Writes lines from a thread of its own."""

    def __init__(self, output: TextIO) -> None:
        self._output = output
        self._waiting: deque[Line] = deque()
        self._lost = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="access-log", daemon=True)
        self._thread.start()

    def add(self, line: Line) -> None:
        """Takes a line; returns at once."""
        if len(self._waiting) < MAX_WAITING:
            self._waiting.append(line)
        else:
            self._lost += 1

    def close(self) -> None:
        """Writes what is left, unless nobody reads: then it gives up, because the server is to end."""
        self._ended.set()
        self._thread.join(CLOSE_SECONDS)

    def _run(self) -> None:
        while not self._ended.wait(FLUSH_SECONDS):
            self._flush()
        self._flush()

    def _flush(self) -> None:
        lines = [self._waiting.popleft().text() for _ in range(len(self._waiting))]
        if self._lost:
            lines.append(json.dumps({"message": "access log lines were lost", "count": self._lost}))
            self._lost = 0
        if lines:
            try:
                self._output.write("\n".join(lines) + "\n")
                self._output.flush()
            except OSError:
                return  # a full disk or a closed pipe: requests go on without their log
