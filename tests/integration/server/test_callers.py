"""Callers of the HTTP front: which pages may call, and that no caller keeps out another."""

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from server.app import MAX_AUDIO_CALLS
from tests.integration.server.echo import GOOD, EchoServer, echo_server, key_of
from tests.running import error_type


@pytest.fixture(scope="module")
def server() -> Iterator[EchoServer]:
    with echo_server() as running:
        yield running


# --- pages

ROUTES = [
    ("GET", "/healthz", {}),
    ("GET", "/v1/models", GOOD),
    ("GET", "/v1/models", {}),
    ("POST", "/v1/echo/x", GOOD),
    ("GET", "/nope", {}),
    ("OPTIONS", "/v1/models", {}),
]


@pytest.mark.parametrize(("method", "path", "headers"), ROUTES)
@pytest.mark.parametrize(
    "foreign",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Host": "evil.example:3000"},
        {"Host": "evil.example:3000", "Origin": "http://evil.example:3000"},
    ],
    ids=["origin", "null", "host", "both"],
)
def test_a_foreign_page_is_refused_everywhere(
    server: EchoServer, method: str, path: str, headers: dict[str, str], foreign: dict[str, str]
) -> None:
    answer = server.call(method, path, headers={**headers, **foreign})
    assert (answer.status, error_type(answer.body)) == (403, "permission_error")
    assert answer.headers["x-request-id"]
    assert not [name for name in answer.headers if name.startswith("access-control-")]


@pytest.mark.parametrize(("method", "path", "headers"), ROUTES)
@pytest.mark.parametrize("origin", ["http://localhost:5173", "https://page.example"])
def test_our_own_page_can_read_every_answer(
    server: EchoServer, method: str, path: str, headers: dict[str, str], origin: str
) -> None:
    answer = server.call(method, path, headers={**headers, "Origin": origin})
    assert answer.status != 403
    assert answer.headers["access-control-allow-origin"] == origin
    assert answer.headers["vary"] == "origin"


@pytest.mark.parametrize(("method", "path", "headers"), ROUTES)
def test_a_caller_that_is_not_a_page_is_served_as_usual(
    server: EchoServer, method: str, path: str, headers: dict[str, str]
) -> None:
    answer = server.call(method, path, headers=headers)
    assert answer.status != 403
    assert "access-control-allow-origin" not in answer.headers


# --- places


# A caller may hold four times as many places as are free, so four fifths, rounded up.
MAX_OF_ONE_CALLER = -(-MAX_AUDIO_CALLS * 4 // 5)


def hold(server: EchoServer, request: str, count: int, held: ExitStack) -> list[socket.socket]:
    """Sends requests without their bodies; returns when the server has read the heads."""
    head = f"{request} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\nExpect: 100-continue\r\n"
    connections = []
    for _ in range(count):
        connection = held.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=30))
        connection.sendall(f"{head}Authorization: {GOOD['Authorization']}\r\n\r\n".encode())
        connections.append(connection)
    for connection in connections:
        # The server sends "100 Continue" when it has a place and starts to read the body.
        assert b" 100 " in connection.recv(65536) or count > MAX_OF_ONE_CALLER
    return connections


TRANSCRIPTIONS = "/v1/audio/transcriptions"


@pytest.mark.parametrize(
    ("request_line", "open_to_the_same_caller"),
    [
        (f"POST {TRANSCRIPTIONS}", ["GET /healthz", "GET /v1/models", "POST /v1/echo/x"]),
        ("POST /v1/echo/x", ["GET /healthz", f"POST {TRANSCRIPTIONS}"]),
        ("GET /v1/models", ["GET /healthz", f"POST {TRANSCRIPTIONS}"]),
        ("GET /healthz", ["GET /healthz", "GET /v1/models", f"POST {TRANSCRIPTIONS}"]),
    ],
)
def test_bodies_that_never_arrive_do_not_keep_out_other_kinds_of_route_or_other_callers(
    server: EchoServer, request_line: str, open_to_the_same_caller: list[str]
) -> None:
    other = key_of("other")
    calls = [(line, GOOD) for line in open_to_the_same_caller]
    calls += [(line, other) for line in ("GET /v1/models", "POST /v1/echo/x", f"POST {TRANSCRIPTIONS}")]
    with ExitStack() as held:
        hold(server, request_line, MAX_OF_ONE_CALLER + 6, held)
        for line, headers in calls:
            method, path = line.split()
            began = time.monotonic()
            assert server.call(method, path, headers=headers).status == 200, line
            # A call that waited for a place would wait for the end of a body, 30 s.
            assert time.monotonic() - began < 20


def test_a_caller_with_too_many_calls_is_told_to_retry(server: EchoServer) -> None:
    with ExitStack() as held:
        hold(server, "POST /v1/audio/transcriptions", MAX_OF_ONE_CALLER + 6, held)
        answer = server.call("POST", "/v1/audio/transcriptions", headers=GOOD)
        assert answer.status == 429
    deadline = time.monotonic() + 30
    while server.call("POST", "/v1/audio/transcriptions", headers=GOOD).status == 429:
        assert time.monotonic() < deadline


def test_calls_that_wait_for_a_provider_do_not_keep_out_other_routes(server: EchoServer) -> None:
    path = "/v1/audio/transcriptions?seconds=4"
    with ThreadPoolExecutor(40) as threads:
        waiting = [threads.submit(server.call, "POST", path, headers=GOOD) for _ in range(40)]
        time.sleep(1)
        began = time.monotonic()
        assert server.call("GET", "/v1/models", headers=GOOD).status == 200
        assert time.monotonic() - began < 3
        assert not all(call.done() for call in waiting)
        assert {call.result().status for call in waiting} == {200}


def test_a_body_sent_to_a_route_without_a_key_is_not_waited_for_and_not_passed_on(server: EchoServer) -> None:
    with ExitStack() as held:
        [connection] = hold(server, "GET /healthz", 1, held)
        connection.sendall(b"123456789")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
    assert server.call("GET", "/healthz", b"a body").json["bytes"] == 0
