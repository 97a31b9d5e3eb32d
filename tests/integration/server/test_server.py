"""The HTTP front, with its own small application: events in, API Gateway's answers out."""

import hashlib
import http.client
import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from local.embedded_aws import client_of
from server.template import Template
from tests.integration.project_server import GOOD, PROJECT, error_type, project_aws, project_server
from tests.running import Server, multipart, start

MAX_BODY = 26_214_400 + 512 * 1024


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("server")


@pytest.fixture(scope="module")
def aws() -> Iterator[str]:
    with project_aws() as running:
        yield running


@pytest.fixture(scope="module")
def server(directory: Path, aws: str) -> Iterator[Server]:
    with project_server(directory, aws) as running:
        yield running


def echoed(server: Server, path: str, **arguments: Any) -> Any:
    answer = server.call("GET", path, headers={**GOOD, **arguments.pop("headers", {})}, **arguments)
    assert answer.status == 200, answer.body
    return answer.json


# --- events


def test_a_handler_gets_the_event_that_api_gateway_would_send(server: Server) -> None:
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


def test_an_absent_query_and_body_are_null(server: Server) -> None:
    event = echoed(server, "/v1/models")["event"]
    assert event["queryStringParameters"] is None
    assert event["pathParameters"] is None


def test_the_authorizers_context_is_passed_as_strings(server: Server) -> None:
    context = echoed(server, "/v1/models")["event"]["requestContext"]["authorizer"]
    assert context == {"limit": "5", "vip": "true", "principalId": "somebody"}


def test_the_request_id_is_the_same_in_event_context_and_header(server: Server) -> None:
    answer = server.call("GET", "/v1/models", headers=GOOD)
    assert answer.json["request_id"] == answer.headers["x-request-id"]
    assert answer.json["event"]["requestContext"]["requestId"] == answer.headers["x-request-id"]


def test_the_context_gives_the_function_and_the_time_left(server: Server) -> None:
    report = echoed(server, "/v1/models")
    assert report["function"] == "stt-gateway-local-EchoFunction"
    assert report["memory"] == "256"
    assert 5000 < report["remaining"] <= 6500


def test_the_process_environment_wins_for_variables_that_the_template_declares(server: Server) -> None:
    assert echoed(server, "/v1/models")["environment"]["DEFINED_HERE"] == "process"


@pytest.mark.parametrize(
    "path", ["/v1/models/a/b", "/v1/models/a%2Fb", "/v1/models/a/b/", "/v1/models/a%2fb"]
)
def test_a_greedy_parameter_takes_slashes_raw_and_encoded(server: Server, path: str) -> None:
    event = echoed(server, path)["event"]
    assert event["pathParameters"] == {"id": "a/b"}
    assert event["path"] == path


def test_a_parameter_is_decoded_once(server: Server) -> None:
    assert echoed(server, "/v1/models/a%252Fb")["event"]["pathParameters"] == {"id": "a%2Fb"}


def test_a_trailing_slash_is_the_same_route(server: Server) -> None:
    assert echoed(server, "/v1/models/")["event"]["resource"] == "/v1/models"


def test_text_arrives_as_text_and_invalid_utf8_is_replaced(server: Server) -> None:
    headers = {**GOOD, "Content-Type": "application/json"}
    report = server.call("POST", "/v1/echo/x", "{é}\xff".encode("latin-1"), headers).json
    assert report["event"]["isBase64Encoded"] is False
    assert report["sha256"] == hashlib.sha256("{\ufffd}\ufffd".encode()).hexdigest()


@pytest.mark.parametrize("chunked", [False, True])
def test_a_binary_media_type_arrives_as_base64_byte_for_byte(server: Server, chunked: bool) -> None:
    body, headers = multipart([("model", "m")], os.urandom(100_000))
    sent = iter([body[:50_000], body[50_000:]]) if chunked else body
    report = server.call("POST", "/v1/echo/x", sent, {**GOOD, **headers}, chunked=chunked).json
    assert report["event"]["isBase64Encoded"] is True
    assert report["sha256"] == hashlib.sha256(body).hexdigest()


def test_the_largest_body_arrives_whole(server: Server) -> None:
    body = os.urandom(MAX_BODY)
    headers = {**GOOD, "Content-Type": "Multipart/Form-Data; boundary=x"}
    report = server.call("POST", "/v1/echo/x", body, headers).json
    assert (report["bytes"], report["sha256"]) == (MAX_BODY, hashlib.sha256(body).hexdigest())


# --- bodies that are refused


def unsent(server: Server, headers: dict[str, str], length: int) -> tuple[int, bytes]:
    """The answer to a request that declares a body and never sends it."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.putrequest("POST", "/v1/echo/x")
    for name, value in {**headers, "Content-Length": str(length)}.items():
        connection.putheader(name, value)
    connection.putheader("Content-Type", "multipart/form-data; boundary=x")
    connection.endheaders()
    answer = connection.getresponse()
    status, body = answer.status, answer.read()
    connection.close()
    return status, body


def test_a_declared_length_over_the_limit_is_refused_before_a_byte_is_sent(server: Server) -> None:
    status, body = unsent(server, GOOD, MAX_BODY + 1)
    assert (status, error_type(body)) == (413, "file_too_large")


@pytest.mark.parametrize("chunked", [False, True])
def test_a_client_that_keeps_sending_still_reads_the_refusal(server: Server, chunked: bool) -> None:
    piece = bytes(1024 * 1024)
    headers = {**GOOD, "Content-Type": "multipart/form-data; boundary=x"}
    body: Any = (piece for _ in range(32)) if chunked else piece * 32
    answer = server.call("POST", "/v1/echo/x", body, headers, chunked=chunked)
    assert answer.status == 413
    assert error_type(answer.body) == "file_too_large"
    assert answer.headers["connection"] == "close"


def test_a_text_body_has_api_gateways_own_limit(server: Server) -> None:
    headers = {**GOOD, "Content-Type": "application/json"}
    assert server.call("POST", "/v1/echo/x", b"1" * (10 * 1024 * 1024), headers).status == 200
    assert server.call("POST", "/v1/echo/x", b"1" * (10 * 1024 * 1024 + 1), headers).status == 413


def test_a_missing_key_is_reported_before_the_body_is_read(server: Server) -> None:
    status, body = unsent(server, {}, MAX_BODY)
    assert (status, error_type(body)) == (401, "authentication_error")


def test_a_refused_small_body_leaves_the_connection_usable(server: Server) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    local_ports = []
    for _ in range(2):
        connection.request("POST", "/v1/echo/x", b"hello")
        local_ports.append(connection.sock.getsockname()[1])
        answer = connection.getresponse()
        assert (answer.status, error_type(answer.read())) == (401, "authentication_error")
    assert len(set(local_ports)) == 1
    connection.close()


def test_a_client_that_leaves_during_its_body_affects_nobody(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(
            b"POST /v1/echo/x HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer good\r\nContent-Length: 9\r\n\r\nx"
        )
    assert server.call("GET", "/healthz").status == 200


# --- what API Gateway answers by itself


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/nope"),
        ("GET", "/"),
        ("DELETE", "/v1/models"),
        ("BREW", "/v1/models"),
        ("GET", "/v1//models"),
    ],
)
def test_an_unknown_path_or_method_is_not_found(server: Server, method: str, path: str) -> None:
    answer = server.call(method, path, headers=GOOD)
    assert answer.status == 404
    assert error_type(answer.body) == "not_found"
    assert answer.headers["x-request-id"] in answer.json["error"]["message"]


@pytest.mark.parametrize(
    "sent", [b"\x16\x03\x01\x02\0 hello\r\n\r\n", b"GET /healthz HTTP/1.1\r\nBad Header: x\r\n\r\n"]
)
def test_non_http_is_answered_in_the_same_format(server: Server, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(sent)
        head, _, body = b"".join(iter(lambda: connection.recv(65536), b"")).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400")
    assert b"x-request-id: " in head
    assert error_type(body) == "invalid_request_error"


def test_a_head_request_gets_only_headers(server: Server) -> None:
    answer = server.call("HEAD", "/healthz")
    assert (answer.status, answer.body) == (404, b"")


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer bad"}, {"Authorization": "Bearer denied"}])
def test_a_call_without_a_good_key_is_unauthorized(server: Server, headers: dict[str, str]) -> None:
    answer = server.call("GET", "/v1/models", headers=headers)
    assert answer.status == 401
    assert error_type(answer.body) == "authentication_error"
    assert answer.headers["x-request-id"]


def test_an_authorizer_that_breaks_is_a_server_error(server: Server) -> None:
    answer = server.call("GET", "/v1/models", headers={"Authorization": "Bearer broken"})
    assert (answer.status, error_type(answer.body)) == (500, "api_error")


@pytest.mark.parametrize("name", ["raise", "exit", "malformed", "large"])
def test_a_handler_that_fails_is_answered_without_its_details(server: Server, name: str) -> None:
    answer = server.call("GET", f"/v1/echo/{name}", headers=GOOD)
    assert (answer.status, error_type(answer.body)) == (500, "api_error")
    assert b"secret" not in answer.body
    assert server.call("GET", "/v1/echo/fine", headers=GOOD).status == 200


def test_a_handler_that_overruns_its_budget_is_killed_and_answered(server: Server) -> None:
    answer = server.call("GET", "/v1/echo/sleep?seconds=60", headers=GOOD)
    assert (answer.status, error_type(answer.body)) == (500, "api_error")


def test_a_preflight_needs_no_key_and_names_what_the_template_allows(server: Server) -> None:
    answer = server.call("OPTIONS", "/v1/models/a/b", headers={"Origin": "http://localhost:5173"})
    assert answer.status == 200
    assert answer.headers["access-control-allow-origin"] == "http://localhost:5173"
    assert answer.headers["access-control-allow-methods"] == "GET,POST"
    assert answer.headers["access-control-allow-headers"] == "authorization,x-stainless-os"
    assert answer.headers["access-control-max-age"] == "600"


def test_a_preflight_of_an_unknown_path_is_not_found(server: Server) -> None:
    assert server.call("OPTIONS", "/nope").status == 404


# --- environments


def test_sequential_callers_stay_on_one_warm_process(server: Server) -> None:
    reports = [echoed(server, "/v1/models") for _ in range(5)]
    assert len({report["pid"] for report in reports}) == 1
    assert [report["calls"] for report in reports] == list(
        range(reports[0]["calls"], reports[0]["calls"] + 5)
    )


def test_concurrent_callers_each_get_their_own_process(server: Server) -> None:
    with ThreadPoolExecutor(8) as threads:
        reports = list(threads.map(lambda _: echoed(server, "/v1/echo/sleep?seconds=1"), range(8)))
    assert len({report["request_id"] for report in reports}) == 8
    assert len({report["pid"] for report in reports}) > 1


def test_more_callers_than_environments_wait_their_turn(server: Server) -> None:
    with ThreadPoolExecutor(24) as threads:
        answers = list(
            threads.map(lambda _: server.call("GET", "/v1/echo/sleep?seconds=0.2", headers=GOOD), range(24))
        )
    assert [answer.status for answer in answers] == [200] * 24


def wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.01)


def test_a_killed_environment_is_replaced(server: Server) -> None:
    killed: int = echoed(server, "/v1/models")["pid"]
    os.kill(killed, signal.SIGKILL)
    wait_until_gone(killed)
    assert echoed(server, "/v1/models")["pid"] != killed


def test_large_bodies_leave_no_memory_behind(server: Server) -> None:
    body = bytes(26_000_000)
    headers = {**GOOD, "Content-Type": "multipart/form-data; boundary=x"}

    def resident() -> int:
        pid = server.call("POST", "/v1/echo/x", body, headers).json["pid"]
        sizes = [Path(f"/proc/{number}/statm").read_text().split()[1] for number in (server.process.pid, pid)]
        return sum(map(int, sizes)) * os.sysconf("SC_PAGESIZE")

    if not Path("/proc/self/statm").exists():
        pytest.skip("needs /proc")
    for _ in range(5):
        settled = resident()
    for _ in range(10):
        grown = resident()
    assert grown - settled < len(body)


# --- event sources


def records(directory: Path, wanted: int, matches: str) -> list[dict[str, Any]]:
    file = directory / "records"
    deadline = time.monotonic() + 60
    found: list[dict[str, Any]] = []
    while len(found) < wanted and time.monotonic() < deadline:
        lines = file.read_text().splitlines() if file.exists() else []
        found = [json.loads(line) for line in lines if matches in line]
        time.sleep(0.05)
    return found


def test_a_queues_messages_reach_its_function(server: Server, aws: str, directory: Path) -> None:
    assert server.process.poll() is None
    sqs = client_of(aws)("sqs")
    url = Template(PROJECT, endpoint=aws).reference("ItemsQueue")
    sqs.send_message(QueueUrl=url, MessageBody="a message")
    found = records(directory, 1, "a message")
    assert [record["body"] for record in found] == ["a message"]
    assert found[0]["eventSource"] == "aws:sqs"


def test_a_tables_changes_reach_its_function_in_order(server: Server, aws: str, directory: Path) -> None:
    assert server.process.poll() is None
    dynamodb = client_of(aws)("dynamodb")
    for number in range(12):
        dynamodb.put_item(TableName="stt-gateway-local-ItemsTable", Item={"pk": {"S": f"streamed-{number}"}})
    found = records(directory, 12, "streamed-")
    assert [record["dynamodb"]["Keys"]["pk"]["S"] for record in found] == [
        f"streamed-{number}" for number in range(12)
    ]
    assert {record["eventName"] for record in found} == {"INSERT"}


# --- the end


def test_a_request_in_flight_is_finished_before_the_server_ends(tmp_path: Path) -> None:
    server = start("local.gateway", [f"--template={PROJECT}"], tmp_path / "server.log")
    marker = tmp_path / "started"
    with ThreadPoolExecutor(1) as threads:
        path = f"/v1/echo/sleep?seconds=1&marker={marker}"
        answer = threads.submit(server.call, "GET", path, headers=GOOD)
        while not marker.exists() and not answer.done():
            time.sleep(0.01)
        server.end()
        assert answer.result().status == 200
