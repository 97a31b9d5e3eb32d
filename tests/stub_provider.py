"""A speech-to-text server that says what it is told to and remembers what it was asked."""

import json
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.e2e.wire import Part, read_form

TEXT = "said by the stub"
ANSWER = {
    "task": "transcribe",
    "language": "en",
    "duration": 2.5,
    "text": TEXT,
    "segments": [{"id": 0, "start": 0.0, "end": 2.5, "text": TEXT, "avg_logprob": -0.1}],
    "words": [{"word": "said", "start": 0.0, "end": 0.5}, {"word": "stub", "start": 2.0, "end": 2.5}],
}


@dataclass(frozen=True)
class Asked:
    """One request as it arrived."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def parts(self) -> list[Part]:
        return read_form(self.headers["content-type"], self.body)

    @property
    def fields(self) -> list[tuple[str, str]]:
        """The text fields, in order."""
        return [(part.name, part.content.decode()) for part in self.parts if part.name != "file"]

    @property
    def file(self) -> Part:
        return next(part for part in self.parts if part.name == "file")


@dataclass(frozen=True)
class Say:
    """An answer; a body that is no bytes becomes JSON."""

    status: int = 200
    body: Any = field(default_factory=lambda: ANSWER)
    headers: Mapping[str, str] = field(default_factory=dict)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # The class's backlog is 5, and a whole crowd may connect at once.
    request_queue_size = 128


class StubProvider:
    """Listens on a free port of 127.0.0.1. Gives `answers` in turn, then what `say` returns."""

    def __init__(self, say: Callable[[Asked], Say] = lambda _: Say()) -> None:
        self.asked: list[Asked] = []
        self.answers: deque[Say] = deque()
        stub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                asked = Asked(self.path, headers, body)
                stub.asked.append(asked)
                answer = stub.answers.popleft() if stub.answers else say(asked)
                content = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
                self.send_response(answer.status)
                given = {"content-type": "application/json", "content-length": str(len(content))}
                for name, value in {**given, **answer.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        self._server = _Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """The base URL that a manifest declares."""
        return f"http://127.0.0.1:{self.port}/v1"

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
