"""The HTTP front with a few routes of its own, so that it is tested apart from the gateway's functions."""

import hashlib
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gateway import deadline
from gateway.accounts.keys import Caller
from gateway.errors import Conflict
from gateway.http import Event, Response, Route, caller_of, json_response, request_id_of, take_body
from server.access_log import Line
from server.app import Front
from server.listener import bind, new_server
from server.origins import Origins, OwnPagesOnly
from server.routes import Resources
from tests.running import Answer, call

CALLERS = {f"sk-test-{name}-000000000000": name for name in ("good", "other", *map(str, range(64)))}


def key_of(name: str) -> dict[str, str]:
    """The header with a caller's key."""
    return {"Authorization": f"Bearer sk-test-{name}-000000000000"}


GOOD = key_of("good")


def identify(key: str) -> Caller | None:
    if "broken" in key:
        raise OSError("the disk is gone")
    name = CALLERS.get(key)
    return Caller(name, f"key_{name}") if name else None


def echo(event: Event, _context: Any) -> Response:
    """The event, and what the function sees besides it."""
    body = take_body(event)
    context = event["requestContext"]
    identity = context.get("authorizer")
    return json_response(
        {
            "event": event,
            "caller": caller_of(event).user_id if identity else None,
            "request_id": request_id_of(event),
            "kind": type(body).__name__,
            "bytes": len(body),
            "sha256": hashlib.sha256(body).hexdigest(),
            "left": deadline.left(),
            "thread": threading.current_thread().name,
        },
        headers={"x-own": "1"},
    )


def sleep(event: Event, _context: Any) -> Response:
    query = event["queryStringParameters"] or {}
    if "marker" in query:
        Path(query["marker"]).touch()
    time.sleep(float(query.get("seconds", 0)))
    return json_response({"caller": caller_of(event).user_id})


def fail(event: Event, _context: Any) -> Response:
    if event["pathParameters"]["how"] == "expected":
        raise Conflict("This is taken.", headers={"x-own": "2"})
    raise ValueError("a secret detail")


ROUTES = (
    Route("GET", "/healthz", echo),
    Route("GET", "/v1/models", echo),
    Route("GET", "/v1/models/{id+}", echo),
    Route("GET", "/v1/echo/{name}", echo),
    Route("POST", "/v1/echo/{name}", echo),
    Route("GET", "/v1/sleep", sleep),
    Route("GET", "/v1/fail/{how}", fail),
    Route("POST", "/v1/audio/transcriptions", sleep),
    Route("POST", "/v1/uploads/{id}/parts", echo),
)


class EchoServer:
    """The front in a thread of this process."""

    def __init__(self, **options: Any) -> None:
        self.lines: list[Line] = []
        front = Front(
            identify,
            budget_seconds=600,
            log=self.lines.append,
            resources=Resources(ROUTES, frozenset({"/healthz"})),
            **options,
        )
        origins = Origins.read({"CORS_ORIGINS": "https://page.example"})
        self._listener = bind(0)
        self._server = new_server(OwnPagesOnly(front, origins), lifespan="off", drain_seconds=30)
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._listener]})

    def start(self) -> None:
        self._thread.start()
        while not self._server.started:
            time.sleep(0.01)

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._listener.close()

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        *,
        chunked: bool = False,
    ) -> Answer:
        """One request on a connection of its own."""
        return call(self.port, method, path, body, headers, chunked=chunked)

    def line_of(self, answer: Answer) -> Line:
        """What was logged about an answered request."""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            for line in self.lines:
                if line.request_id == answer.headers["x-request-id"]:
                    return line
            time.sleep(0.01)
        raise AssertionError("not logged")


@contextmanager
def echo_server(**options: Any) -> Iterator[EchoServer]:
    server = EchoServer(**options)
    server.start()
    try:
        yield server
    finally:
        server.stop()
