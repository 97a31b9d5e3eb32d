"""Servers for the tests: a speech provider that answers what it is told to, and a gateway below a stage path."""

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

import requests

from tests.stub_provider import Asked, Say, StubProvider

TIMEOUT_SECONDS = 10


@dataclass
class PublishedStub:
    """One service with one model. `answer(fields)` makes the body from the text fields that arrived."""

    gateway_url: str
    key: str
    features: list[str]
    answer: Callable[[bytes], dict[str, Any]]
    delay_seconds: float = 0
    refuses_verbose: bool = False
    model: str = field(default_factory=lambda: f"stub/{uuid.uuid4().hex[:8]}")
    name: str = field(default_factory=lambda: f"stub-{uuid.uuid4().hex[:8]}")

    def __enter__(self) -> Self:
        self._stub = StubProvider(self._say)
        service = {
            "name": "speech",
            "type": "stt",
            "engine": "other",
            "url": self._stub.url,
            "features": self.features,
            "models": [{"id": self.model}],
        }
        manifest = {
            "schema_version": 1,
            "agent": {"name": self.name},
            "hosts": [{"id": "host", "services": [service]}],
        }
        self._call("PUT", "/api/inference/agent/manifest/", json={"raw_yaml": "", "parsed": manifest})
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.withdraw()
        self._stub.stop()

    def withdraw(self) -> None:
        """Takes the provider away from the gateway; a second time is no error."""
        self._call("DELETE", f"/v1/providers/{self.name}", allowed=(200, 404))

    def _call(self, method: str, path: str, allowed: tuple[int, ...] = (200,), **options: Any) -> None:
        headers = {"Authorization": f"Bearer {self.key}"}
        reply = requests.request(
            method, self.gateway_url + path, headers=headers, timeout=TIMEOUT_SECONDS, **options
        )
        assert reply.status_code in allowed, reply.text

    @property
    def bodies(self) -> list[bytes]:
        """The bodies of the requests that arrived."""
        return [asked.body for asked in self._stub.asked]

    def _say(self, asked: Asked) -> Say:
        time.sleep(self.delay_seconds)
        if self.refuses_verbose and b"verbose_json" in asked.body:
            return Say(400, {"error": {"message": "verbose_json is not supported"}})
        return Say(200, self.answer(asked.body))


def read_body(handler: BaseHTTPRequestHandler) -> bytes:
    """The request's body, whether it has a length or comes in chunks."""
    if handler.headers.get("transfer-encoding", "").lower() != "chunked":
        return handler.rfile.read(int(handler.headers.get("content-length") or 0))
    body = b""
    while size := int(handler.rfile.readline().split(b";")[0], 16):
        body += handler.rfile.read(size)
        handler.rfile.readline()
    handler.rfile.readline()
    return body


@contextmanager
def below_a_path(target: str, prefix: str) -> Iterator[str]:
    """A reverse proxy to `target` whose paths all begin with `prefix`; yields its base URL."""

    class Forward(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def forward(self) -> None:
            path = self.path.removeprefix(prefix)
            if path == self.path:
                self.send_error(403)
                return
            kept = {
                name: self.headers[name] for name in ("authorization", "content-type") if name in self.headers
            }
            reply = requests.request(
                self.command,
                target + path,
                headers=kept,
                data=read_body(self),
                timeout=60,
                allow_redirects=False,
            )
            self.send_response(reply.status_code)
            for name, value in reply.headers.items():
                if name.lower() not in (
                    "content-length",
                    "transfer-encoding",
                    "content-encoding",
                    "connection",
                    "date",
                ):
                    self.send_header(name, value)
            self.send_header("content-length", str(len(reply.content)))
            self.end_headers()
            self.wfile.write(reply.content)

        do_GET = do_POST = forward  # noqa: N815 - the names that http.server calls

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Forward)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}{prefix}"
    finally:
        server.shutdown()
        server.server_close()
