"""The load generator: a process of its own with one thread, which sends prepared requests over kept connections."""

import json
import re
import selectors
import socket
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self

from bench.peers.http import Response, parse_response

_RECEIVED = re.compile(rb"received (\d+) bytes")
# No answer at all for so long: the gateway hangs.
_STALL_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Job:
    """What to send, and for how long. The request is the head and the content of the file `form` ("" for none)."""

    port: int
    head: str
    form: str
    least_bytes: int  # how many bytes the provider must say that it received; 0 for other routes
    clients: int
    seconds: float  # each client sends at least one request


@dataclass(slots=True)
class Outcome:
    """Milliseconds of each request that succeeded, the failures, and the seconds until the last answer."""

    milliseconds: list[float] = field(default_factory=list)
    failures: int = 0
    first_failure: str = ""
    seconds: float = 0.0


class Client:
    """The load generator's process, seen from the benchmark."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.peers.client"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def run(self, job: Job) -> Outcome:
        """Do a job."""
        self.begin(job)
        return self.finish()

    def begin(self, job: Job) -> None:
        """Start a job and return."""
        assert self._process.stdin
        self._process.stdin.write(json.dumps(asdict(job)).encode() + b"\n")
        self._process.stdin.flush()

    def finish(self) -> Outcome:
        """Wait for the end of the job that was started."""
        assert self._process.stdout
        return Outcome(**json.loads(self._process.stdout.readline()))


class Call:
    """One client: a connection, and the request that is under way on it."""

    def __init__(self, job: Job, request: memoryview) -> None:
        self._job, self._request = job, request
        self.connect()

    def connect(self) -> None:
        """Open a connection."""
        self.socket = socket.create_connection(("127.0.0.1", self._job.port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)

    def begin(self) -> None:
        """Start a request."""
        self.began, self._sent, self._received = time.perf_counter(), 0, b""

    @property
    def is_sent(self) -> bool:
        return self._sent == len(self._request)

    def send(self) -> None:
        """Send as much as the connection takes."""
        self._sent += self.socket.send(self._request[self._sent :])

    def receive(self) -> Response | None:
        """The response, when it is complete. Raises OSError or ValueError when there will be none."""
        received = self.socket.recv(65536)
        if not received:
            raise ConnectionError("the connection was closed")
        self._received += received
        return parse_response(self._received)

    def problem(self, response: Response) -> str:
        """Why the response is not what was asked for; empty when it is."""
        found = _RECEIVED.search(response.body)
        if response.status != 200 or (self._job.least_bytes and not found):
            return f"{response.status} {response.body[:200].decode(errors='replace')}"
        if found and int(found[1]) < self._job.least_bytes:
            return f"the provider received only {int(found[1])} bytes"
        return ""


def run(job: Job) -> Outcome:
    """Send requests on `clients` connections, each after the answer to the one before."""
    form = Path(job.form).read_bytes() if job.form else b""
    request = memoryview(job.head.encode() + form)
    selector, outcome = selectors.DefaultSelector(), Outcome()
    calls = [Call(job, request) for _ in range(job.clients)]
    began = time.perf_counter()
    for call in calls:
        call.begin()
        selector.register(call.socket, selectors.EVENT_READ | selectors.EVENT_WRITE, call)
    while selector.get_map():
        ready = selector.select(_STALL_SECONDS)
        if not ready:
            outcome.failures += len(selector.get_map())
            outcome.first_failure = outcome.first_failure or f"no answer for {_STALL_SECONDS:g} s"
            break
        for key, events in ready:
            if _advance(key.data, events, selector, outcome):
                outcome.seconds = time.perf_counter() - began
                _continue(key.data, selector, until=began + job.seconds)
    for call in calls:
        call.socket.close()
    selector.close()
    return outcome


def _advance(call: Call, events: int, selector: selectors.BaseSelector, outcome: Outcome) -> bool:
    """Send and receive what is possible. True when the request has ended, well or not."""
    try:
        response = call.receive() if events & selectors.EVENT_READ else None
        if response is None and events & selectors.EVENT_WRITE:
            call.send()
            if call.is_sent:
                selector.modify(call.socket, selectors.EVENT_READ, call)
    except (OSError, ValueError) as error:
        problem = str(error)
    else:
        if response is None:
            return False
        problem = call.problem(response)
    if problem:
        outcome.failures += 1
        outcome.first_failure = outcome.first_failure or problem
        # The answer may have come before the request was sent.
        selector.unregister(call.socket)
        call.socket.close()
        call.connect()
        selector.register(call.socket, selectors.EVENT_READ, call)
    else:
        outcome.milliseconds.append((time.perf_counter() - call.began) * 1000)
    return True


def _continue(call: Call, selector: selectors.BaseSelector, *, until: float) -> None:
    if time.perf_counter() < until:
        call.begin()
        selector.modify(call.socket, selectors.EVENT_READ | selectors.EVENT_WRITE, call)
    else:
        selector.unregister(call.socket)


def main() -> None:
    """Read jobs from standard input, one a line, and print their outcomes."""
    for line in sys.stdin:
        print(json.dumps(asdict(run(Job(**json.loads(line))))), flush=True)


if __name__ == "__main__":
    main()
