"""How every HTTP server of this project handles connections."""

import contextlib
import select
import socket
import sys
import threading
import time
from collections.abc import Iterator

import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from server import protocol
from server.body import RefusalResponse
from server.listener import bind, new_server

GET = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        while (await receive()).get("more_body"):
            pass
        await PlainTextResponse("hello")(scope, receive, send)


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A server that waits one second for a head and accepts 20 connections."""
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 1.0)
    monkeypatch.setattr(protocol, "MAX_CONNECTIONS", 20)
    bound, server = bind(0), new_server(_with_lifespan)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield bound.getsockname()[1]
    server.should_exit = True
    thread.join()
    bound.close()


async def _with_lifespan(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        for kind in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{kind}.complete"})
        return
    await app(scope, receive, send)


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=30)


def is_ended(connection: socket.socket) -> bool:
    """Whether the server ends a connection that the client keeps open."""
    try:
        return connection.recv(65536) == b""
    except ConnectionError:
        return True


def answer(connection: socket.socket) -> bytes:
    received = b""
    while not received.endswith(b"hello"):
        piece = connection.recv(65536)
        if not piece:
            break
        received += piece
    return received


@pytest.mark.parametrize(
    ("before", "head"),
    [(b"", b""), (b"", b"G"), (b"", GET[:-4]), (GET, b"G"), (GET, GET[:-4])],
    ids=["nothing", "first begun", "first cut", "second begun", "second cut"],
)
def test_a_head_that_never_arrives_ends_its_connection(port: int, before: bytes, head: bytes) -> None:
    with connect(port) as connection:
        if before:
            connection.sendall(before)
            assert answer(connection).startswith(b"HTTP/1.1 200")
        connection.sendall(head)
        assert is_ended(connection)


def test_a_head_that_arrives_in_drips_ends_its_connection(port: int) -> None:
    with connect(port) as connection:
        connection.settimeout(0.1)
        began = time.monotonic()
        ended = False
        while not ended and time.monotonic() - began < 30:
            try:
                connection.sendall(b"G")
                ended = connection.recv(1) == b""
            except TimeoutError:
                continue
            except ConnectionError:
                ended = True
        assert ended


def test_a_connection_in_use_outlives_the_wait_for_a_head(port: int) -> None:
    with connect(port) as connection:
        for _ in range(8):
            connection.sendall(GET)
            assert answer(connection).startswith(b"HTTP/1.1 200")
            time.sleep(0.2)


def test_idle_connections_make_room_for_a_caller(port: int) -> None:
    held = [connect(port) for _ in range(40)]
    with connect(port) as caller:
        caller.sendall(GET)
        assert answer(caller).startswith(b"HTTP/1.1 200")
    for connection in held:
        connection.close()


def is_answered(port: int) -> bool:
    """Whether a new caller gets its answer."""
    with connect(port) as caller:
        try:
            caller.sendall(GET)
            return answer(caller).startswith(b"HTTP/1.1 200")
        except ConnectionError:
            return False


def test_connections_that_arrive_together_are_limited_too(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    is_busy = threading.Event()

    async def busy(scope: Scope, receive: Receive, send: Send) -> None:
        is_busy.set()
        time.sleep(1)  # the connections of this second are accepted in one turn of the loop
        await PlainTextResponse("hello")(scope, receive, send)

    monkeypatch.setattr(sys.modules[__name__], "app", busy)
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 60.0)
    with connect(port) as caller, contextlib.ExitStack() as opened:
        caller.sendall(GET)
        assert is_busy.wait(20)
        held = [opened.enter_context(connect(port)) for _ in range(200)]
        assert answer(caller).startswith(b"HTTP/1.1 200")
        deadline = time.monotonic() + 20
        while len(ended(held)) < 180 and time.monotonic() < deadline:
            time.sleep(0.1)
        assert len(ended(held)) >= 180


def ended(connections: list[socket.socket]) -> list[socket.socket]:
    """Those that the server has ended; nothing was sent on any of them."""
    return select.select(connections, [], [], 0)[0]


def never_reads(port: int) -> socket.socket:
    """A connection whose answers fill every buffer, because the client reads none."""
    connection = connect(port)
    connection.setblocking(False)
    with contextlib.suppress(OSError):
        while True:
            connection.send(GET * 400)
    return connection


def test_connections_that_never_read_make_room_for_a_caller(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules[__name__], "app", PlainTextResponse("x" * 60_000 + "hello"))
    held = [never_reads(port) for _ in range(20)]
    deadline = time.monotonic() + 25
    # Until their buffers are full, the server works for these connections, and a new one is the one that waits.
    while not is_answered(port):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    for connection in held:
        connection.close()


@pytest.mark.parametrize("size", [1_000, 20_000_000])
def test_refused_requests_whose_bodies_never_arrive_make_room_for_a_caller(
    port: int, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    async def refusing(scope: Scope, receive: Receive, send: Send) -> None:
        kind = RefusalResponse if scope["method"] == "POST" else PlainTextResponse
        await kind("hello")(scope, receive, send)

    monkeypatch.setattr(sys.modules[__name__], "app", refusing)
    held = [connect(port) for _ in range(20)]
    for connection in held:
        connection.sendall(b"POST" + GET[3:-2] + b"Content-Length: %d\r\n\r\n" % size)
    time.sleep(1)
    for _ in range(3):
        with connect(port) as caller:
            caller.sendall(GET)
            assert answer(caller).startswith(b"HTTP/1.1 200")
    for connection in held:
        connection.close()


def test_a_connection_that_never_reads_is_ended(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "app", PlainTextResponse("x" * 60_000))
    monkeypatch.setattr(protocol, "WRITE_SECONDS", 1.0)
    with never_reads(port) as connection:
        connection.settimeout(30)
        time.sleep(3)
        with pytest.raises(ConnectionError):
            while connection.recv(65536):
                pass


def test_pipelined_requests_are_answered_in_order(port: int) -> None:
    with connect(port) as connection:
        connection.sendall(GET * 500)
        received = b""
        while received.count(b"hello") < 500:
            received += connection.recv(65536)
        assert received.count(b"HTTP/1.1 200") == 500


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"GET /?" + b"a=&" * 300_000 + GET[5:], id="query"),
        pytest.param(GET[:-2] + b"X: " + b"y" * 700_000 + b"\r\n\r\n", id="header"),
        pytest.param(GET[:-2] + b"X: y\r\n" * 120_000 + b"\r\n", id="headers"),
        pytest.param(b"GET /?" + b"a=&" * 4_000 + GET[5:], id="parameters"),
        pytest.param(GET[:-2] + b"X: y\r\n" * 500 + b"\r\n", id="500 headers"),
    ],
)
def test_a_head_that_is_much_too_large_is_not_served(port: int, sent: bytes) -> None:
    with connect(port) as connection:
        received = b""
        try:
            connection.sendall(sent)
            while piece := connection.recv(65536):
                received += piece
        except ConnectionError:
            pass  # the server did not read it all
        assert not received.startswith(b"HTTP/1.1 200")


def test_a_head_of_a_usual_size_is_served(port: int) -> None:
    with connect(port) as connection:
        connection.sendall(b"GET /?" + b"a=&" * 2_000 + GET[5:-2] + b"X: y\r\n" * 200 + b"\r\n")
        assert answer(connection).startswith(b"HTTP/1.1 200")


CHUNKED = GET[:-2].replace(b"GET", b"POST") + b"Transfer-Encoding: chunked\r\n\r\n"


def test_a_body_in_too_many_small_chunks_is_refused(port: int) -> None:
    with connect(port) as connection:
        connection.sendall(CHUNKED + b"1\r\nx\r\n" * 5_000)
        received = b""
        try:
            while piece := connection.recv(65536):
                received += piece
        except ConnectionError:
            pass  # the server did not read it all
        assert received == b"" or b"invalid_request_error" in received


@pytest.mark.parametrize(("size", "count"), [(1, 90), (160, 5_000), (65_536, 20)])
def test_a_body_in_chunks_of_a_usual_size_is_read(port: int, size: int, count: int) -> None:
    chunk = b"%x\r\n" % size + b"x" * size + b"\r\n"
    with connect(port) as connection:
        for _ in range(2):
            connection.sendall(CHUNKED + chunk * count + b"0\r\n\r\n")
            assert answer(connection).startswith(b"HTTP/1.1 200")


def test_an_upgrade_to_a_websocket_is_an_ordinary_request(port: int) -> None:
    with connect(port) as connection:
        connection.sendall(
            GET[:-2] + b"Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        assert answer(connection).startswith(b"HTTP/1.1 200")
