"""The HTTP front, with routes of its own: events in, answers in API Gateway's wording out."""

import hashlib
import http.client
import json
import os
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from gateway.errors import GatewayError
from server import refusals
from server.app import CLIENT_GONE
from tests.integration.server.echo import GOOD, EchoServer, echo_server, key_of
from tests.running import Answer, error_type, multipart

MAX_AUDIO = 26_214_400 + 512 * 1024
MAX_OTHER = 10 * 1024 * 1024
PARTS = "/v1/uploads/x/parts"


@pytest.fixture(scope="module")
def server() -> Iterator[EchoServer]:
    with echo_server() as running:
        yield running


def echoed(server: EchoServer, path: str, headers: dict[str, str] | None = None) -> Any:
    answer = server.call("GET", path, headers={**GOOD, **(headers or {})})
    assert answer.status == 200, answer.body
    return answer.json


# --- events


def test_a_route_gets_the_event_that_api_gateway_would_send(server: EchoServer) -> None:
    event = echoed(server, "/v1/echo/one?a=1&a=2&b=%C3%A9+x&c", headers={"X-Test": "yes"})["event"]
    assert event["resource"] == "/v1/echo/{name}"
    assert event["path"] == "/v1/echo/one"
    assert event["httpMethod"] == "GET"
    assert event["pathParameters"] == {"name": "one"}
    assert event["queryStringParameters"] == {"a": "2", "b": "é x", "c": ""}
    assert event["multiValueQueryStringParameters"] == {"a": ["1", "2"], "b": ["é x"], "c": [""]}
    assert event["headers"]["x-test"] == "yes"
    assert event["multiValueHeaders"]["x-test"] == ["yes"]
    assert event["stageVariables"] is None
    assert event["isBase64Encoded"] is False
    context = event["requestContext"]
    assert context["resourcePath"] == "/v1/echo/{name}"
    assert context["identity"]["sourceIp"] == "127.0.0.1"


def test_an_absent_query_and_parameter_are_null(server: EchoServer) -> None:
    event = echoed(server, "/v1/models")["event"]
    assert event["queryStringParameters"] is None
    assert event["pathParameters"] is None


def test_the_caller_is_passed_as_the_authorizer_would(server: EchoServer) -> None:
    report = echoed(server, "/v1/models")
    assert report["caller"] == "good"
    assert all(isinstance(value, str) for value in report["event"]["requestContext"]["authorizer"].values())


def test_the_request_id_is_the_same_for_the_route_the_caller_and_the_log(server: EchoServer) -> None:
    answer = server.call("GET", "/v1/models", headers={**GOOD, "x-request-id": "chosen-by-the-client"})
    assert answer.json["request_id"] == answer.headers["x-request-id"] != "chosen-by-the-client"
    assert server.line_of(answer).user_id == "good"


def test_a_route_has_the_request_budget(server: EchoServer) -> None:
    assert 500 < echoed(server, "/v1/models")["left"] <= 600


@pytest.mark.parametrize(
    "path", ["/v1/models/a/b", "/v1/models/a%2Fb", "/v1/models/a/b/", "/v1/models/a%2fb"]
)
def test_a_greedy_parameter_takes_slashes_raw_and_encoded(server: EchoServer, path: str) -> None:
    event = echoed(server, path)["event"]
    assert event["pathParameters"] == {"id": "a/b"}
    assert event["path"] == path


def test_a_parameter_is_decoded_once(server: EchoServer) -> None:
    assert echoed(server, "/v1/models/a%252Fb")["event"]["pathParameters"] == {"id": "a%2Fb"}


def test_a_trailing_slash_is_the_same_route(server: EchoServer) -> None:
    assert echoed(server, "/v1/models/")["event"]["resource"] == "/v1/models"


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("size", [0, 1, 65_536, 100_000, 3_000_000])
def test_a_body_arrives_as_the_bytes_that_were_sent(server: EchoServer, chunked: bool, size: int) -> None:
    body = os.urandom(size)
    sent: Any = (body[start : start + 50_000] for start in range(0, size, 50_000)) if chunked else body
    report = server.call("POST", "/v1/echo/x", sent, GOOD, chunked=chunked).json
    assert (report["bytes"], report["sha256"]) == (size, hashlib.sha256(body).hexdigest())


def test_the_largest_audio_arrives_whole_and_uncopied(server: EchoServer) -> None:
    body = os.urandom(MAX_AUDIO)
    report = server.call("POST", PARTS, body, GOOD).json
    assert (report["bytes"], report["sha256"]) == (MAX_AUDIO, hashlib.sha256(body).hexdigest())
    assert report["kind"] == "bytearray"


def test_a_request_after_a_large_body_is_read_on_the_same_connection(server: EchoServer) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    for size in (5_000_000, 10, 700_000):
        body = os.urandom(size)
        connection.request("POST", PARTS, body, GOOD)
        assert json.loads(connection.getresponse().read())["sha256"] == hashlib.sha256(body).hexdigest()
    connection.close()


def next_answer(answers: BinaryIO) -> Any:
    """The body of the next answer on a connection."""
    length = 0
    while (line := answers.readline()).strip():
        name, _, value = line.partition(b":")
        length = int(value) if name == b"content-length" else length
    return json.loads(answers.read(length))


def test_pipelined_bodies_stay_apart(server: EchoServer) -> None:
    bodies = [os.urandom(size) for size in (200_000, 0, 300_000, 70_000)]
    head = f"POST {PARTS} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {GOOD['Authorization']}\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        sent = b"".join(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body for body in bodies)
        with ThreadPoolExecutor(1) as threads, connection.makefile("rb") as answers:
            sending = threads.submit(connection.sendall, sent)
            # One reader: an HTTPResponse for each would keep what it has read of the next.
            answers = connection.makefile("rb")
            for body in bodies:
                assert next_answer(answers)["sha256"] == hashlib.sha256(body).hexdigest()
            sending.result()


@pytest.mark.parametrize("size", [0, 2, 5_000, 300_000])
@pytest.mark.parametrize("framing", ["length", "chunks"])
@pytest.mark.parametrize("pause", [0.0, 0.2], ids=["at once", "body later"])
def test_the_body_of_a_request_that_asks_for_another_protocol_is_no_request(
    server: EchoServer, size: int, framing: str, pause: float
) -> None:
    # Java's client asks for HTTP/2 like this. A body that passed for a request would smuggle one past a proxy.
    smuggled = b"GET /v1/models HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    body = (smuggled * (size // len(smuggled) + 1))[:size]
    head = (
        f"POST {PARTS} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {GOOD['Authorization']}\r\n"
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"
    )
    if framing == "length":
        head, sent = f"{head}Content-Length: {size}\r\n\r\n", body
    else:
        head, sent = f"{head}Transfer-Encoding: chunked\r\n\r\n", b"0\r\n\r\n"
        sent = b"%x\r\n%b\r\n" % (size, body) + sent if size else sent
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        for _ in range(2):
            if pause:
                connection.sendall(head.encode())
                time.sleep(pause)
                connection.sendall(sent)
            else:
                connection.sendall(head.encode() + sent)
            answer = http.client.HTTPResponse(connection)
            answer.begin()
            assert json.loads(answer.read())["sha256"] == hashlib.sha256(body).hexdigest()


def test_a_request_that_follows_one_for_another_protocol_is_answered(server: EchoServer) -> None:
    request = (
        f"GET /v1/models HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {GOOD['Authorization']}\r\n".encode()
    )
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(request + b"Connection: upgrade\r\nUpgrade: websocket\r\n\r\n" + request + b"\r\n")
        answers = connection.makefile("rb")
        assert [next_answer(answers)["caller"] for _ in range(2)] == ["good", "good"]


def test_a_trailer_is_no_header(server: EchoServer) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(
            f"POST /v1/echo/x HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {GOOD['Authorization']}\r\n"
            "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nX-Trailer: 1\r\n\r\n".encode()
        )
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        report = json.loads(answer.read())
    assert report["bytes"] == 2
    assert "x-trailer" not in report["event"]["headers"]


def test_a_form_keeps_its_content_type(server: EchoServer) -> None:
    body, headers = multipart([("model", "m")], os.urandom(1000))
    event = server.call("POST", "/v1/echo/x", body, {**GOOD, **headers}).json["event"]
    assert event["headers"]["content-type"] == headers["Content-Type"]


# --- bodies that are refused


def unsent(server: EchoServer, path: str, headers: dict[str, str], length: int) -> tuple[int, bytes]:
    """The answer to a request that declares a body and never sends it."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.putrequest("POST", path)
    for name, value in {**headers, "Content-Length": str(length)}.items():
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    status, body = answer.status, answer.read()
    connection.close()
    return status, body


@pytest.mark.parametrize(("path", "limit"), [(PARTS, MAX_AUDIO), ("/v1/echo/x", MAX_OTHER)])
def test_a_declared_length_over_the_limit_is_refused_before_a_byte_is_sent(
    server: EchoServer, path: str, limit: int
) -> None:
    status, body = unsent(server, path, GOOD, limit + 1)
    assert (status, error_type(body)) == (413, "file_too_large")


@pytest.mark.parametrize("chunked", [False, True])
def test_a_client_that_keeps_sending_still_reads_the_refusal(server: EchoServer, chunked: bool) -> None:
    piece = bytes(1024 * 1024)
    body: Any = (piece for _ in range(32)) if chunked else piece * 32
    answer = server.call("POST", PARTS, body, GOOD, chunked=chunked)
    assert answer.status == 413
    assert error_type(answer.body) == "file_too_large"
    assert answer.headers["connection"] == "close"


def test_a_body_without_audio_has_api_gateways_own_limit(server: EchoServer) -> None:
    assert server.call("POST", "/v1/echo/x", b"1" * MAX_OTHER, GOOD).status == 200
    assert server.call("POST", "/v1/echo/x", b"1" * (MAX_OTHER + 1), GOOD).status == 413


def test_a_missing_key_is_reported_before_the_body_is_read(server: EchoServer) -> None:
    status, body = unsent(server, PARTS, {}, MAX_AUDIO)
    assert (status, error_type(body)) == (401, "authentication_error")


def test_a_refused_small_body_leaves_the_connection_usable(server: EchoServer) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    local_ports = []
    for _ in range(2):
        connection.request("POST", "/v1/echo/x", b"hello")
        local_ports.append(connection.sock.getsockname()[1])
        answer = connection.getresponse()
        assert (answer.status, error_type(answer.read())) == (401, "authentication_error")
    assert len(set(local_ports)) == 1
    connection.close()


def test_a_client_that_leaves_during_its_body_affects_nobody_and_is_logged(server: EchoServer) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(
            f"POST /v1/echo/x HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {GOOD['Authorization']}\r\n"
            "Content-Length: 9\r\n\r\nx".encode()
        )
    until = time.monotonic() + 20
    while not any(line.status == CLIENT_GONE for line in server.lines):
        assert time.monotonic() < until
        time.sleep(0.01)
    assert server.call("GET", "/healthz").status == 200


def test_a_body_with_two_lengths_is_not_served(server: EchoServer) -> None:
    for lengths in (
        "Content-Length: 1\r\nContent-Length: 2\r\n",
        "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
    ):
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
            connection.sendall(f"POST /v1/echo/x HTTP/1.1\r\nHost: 127.0.0.1\r\n{lengths}\r\nxx".encode())
            assert connection.recv(65536).startswith(b"HTTP/1.1 400")


# --- what the front answers by itself


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/nope"),
        ("GET", "/"),
        ("DELETE", "/v1/models"),
        ("PROPFIND", "/v1/models"),
        ("GET", "/v1//models"),
    ],
)
def test_an_unknown_path_or_method_is_not_found(server: EchoServer, method: str, path: str) -> None:
    answer = server.call(method, path, headers=GOOD)
    assert answer.status == 404
    assert error_type(answer.body) == "not_found"


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\0 hello\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nBad Header: x\r\n\r\n",
        b"BREW /v1/models HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"GET /\xc3\xa9 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    ],
)
def test_non_http_is_answered_in_the_same_format(server: EchoServer, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(sent)
        head, _, body = b"".join(iter(lambda: connection.recv(65536), b"")).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400")
    assert b"x-request-id: " in head
    assert error_type(body) == "invalid_request_error"


def test_a_head_request_gets_only_headers(server: EchoServer) -> None:
    answer = server.call("HEAD", "/healthz")
    assert (answer.status, answer.body) == (404, b"")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer bad"},
        key_of("nobody"),
        {"Authorization": f"Basic {GOOD['Authorization']}"},
    ],
)
def test_a_call_without_a_good_key_is_unauthorized(server: EchoServer, headers: dict[str, str]) -> None:
    answer = server.call("GET", "/v1/models", headers=headers)
    assert answer.status == 401
    assert error_type(answer.body) == "authentication_error"
    assert server.line_of(answer).user_id is None


def test_a_key_that_cannot_be_checked_is_a_server_error(server: EchoServer) -> None:
    answer = server.call("GET", "/v1/models", headers={"Authorization": "Bearer sk-broken-000000000000"})
    assert (answer.status, error_type(answer.body)) == (500, "api_error")
    assert b"disk" not in answer.body


def test_a_route_that_fails_is_answered_without_its_details(server: EchoServer) -> None:
    answer = server.call("GET", "/v1/fail/defect", headers=GOOD)
    assert (answer.status, error_type(answer.body)) == (500, "api_error")
    assert b"secret" not in answer.body
    assert server.call("GET", "/v1/echo/fine", headers=GOOD).status == 200


def test_an_error_of_the_domain_keeps_its_status_and_headers(server: EchoServer) -> None:
    answer = server.call("GET", "/v1/fail/expected", headers=GOOD)
    assert (answer.status, error_type(answer.body), answer.headers["x-own"]) == (409, "conflict", "2")


def test_a_preflight_needs_no_key(server: EchoServer) -> None:
    answer = server.call("OPTIONS", "/v1/models/a/b", headers={"Origin": "http://localhost:5173"})
    assert answer.status == 200
    assert answer.headers["access-control-allow-origin"] == "http://localhost:5173"
    assert "PATCH" in answer.headers["access-control-allow-methods"]
    assert "authorization" in answer.headers["access-control-allow-headers"]


def test_a_preflight_of_an_unknown_path_is_not_found(server: EchoServer) -> None:
    assert server.call("OPTIONS", "/nope").status == 404


# --- threads


def test_sequential_calls_stay_on_one_thread(server: EchoServer) -> None:
    assert len({echoed(server, "/v1/models")["thread"] for _ in range(5)}) == 1


def test_concurrent_calls_do_not_wait_for_each_other(server: EchoServer) -> None:
    with ThreadPoolExecutor(40) as threads:
        began = time.monotonic()
        answers = list(
            threads.map(lambda _: server.call("GET", "/v1/sleep?seconds=1", headers=GOOD), range(40))
        )
        assert time.monotonic() - began < 20
    assert {answer.status for answer in answers} == {200}


# --- a server that is not ready, or about to end


def test_health_says_that_the_server_is_not_ready() -> None:
    ready: list[bool] = []
    with echo_server(is_ready=lambda: bool(ready)) as server:
        assert server.call("GET", "/healthz").status == 503
        assert server.call("GET", "/v1/models", headers=GOOD).status == 200
        ready.append(True)
        assert server.call("GET", "/healthz").status == 200


def test_a_server_that_drains_finishes_what_it_accepted_and_refuses_the_rest(tmp_path: Path) -> None:
    draining: list[GatewayError] = []
    marker = tmp_path / "started"
    with (
        echo_server(refusing=lambda: draining[0] if draining else None) as server,
        ThreadPoolExecutor(1) as threads,
    ):
        path = f"/v1/sleep?seconds=1&marker={marker}"
        accepted = threads.submit(server.call, "GET", path, headers=GOOD)
        while not marker.exists():
            time.sleep(0.01)
        draining.append(refusals.draining())
        for refused in (
            server.call("GET", "/healthz"),
            server.call("GET", "/v1/models", headers=GOOD),
            server.call("POST", PARTS, bytes(100), headers=GOOD),
        ):
            assert (refused.status, error_type(refused.body)) == (503, "api_error")
            assert refused.headers["retry-after"] == "1"
        answer: Answer = accepted.result()
        assert answer.status == 200


# --- the log


def test_the_log_has_the_route_and_not_the_path(server: EchoServer) -> None:
    answer = server.call("POST", "/v1/echo/a-secret-name?q=secret", b"12345", GOOD)
    line = server.line_of(answer)
    assert (line.method, line.route, line.status, line.received) == ("POST", "/v1/echo/{name}", 200, 5)
    assert line.sent == len(answer.body)
    assert "secret" not in line.text()
    assert GOOD["Authorization"].split()[1] not in line.text()


def test_a_path_that_is_no_route_is_not_logged(server: EchoServer) -> None:
    line = server.line_of(server.call("GET", "/sk-a-key-in-a-path-0000"))
    assert (line.route, line.status) == (None, 404)
    assert "sk-a-key" not in line.text()
