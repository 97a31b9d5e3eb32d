"""`python -m server` as a process: one on a directory, several workers, its end, its metrics and its log."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from server.listener import bind
from server.settings import HELP
from tests.running import (
    ROOT,
    SAMPLE,
    Server,
    create_key,
    environment,
    error_type,
    multipart,
    publish,
    start_server,
)
from tests.stub_provider import Say, StubProvider

KEY = "sk-test-operator-000000000000"
TOKEN = "a-token-for-metrics"
AUTHORIZATION = {"Authorization": f"Bearer {KEY}"}
METRICS = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("server")


@pytest.fixture(scope="module")
def server(directory: Path) -> Iterator[Server]:
    create_key(directory, "operator", KEY)
    running = start_server(directory, METRICS_TOKEN=TOKEN, ALLOW_PRIVATE_PROVIDERS="true")
    yield running
    assert running.end() == 0
    assert "Traceback" not in running.log.read_text()


@pytest.fixture
def stub() -> Iterator[StubProvider]:
    running = StubProvider()
    yield running
    running.stop()


def transcribe(server: Server, model: str = "m") -> int:
    body, headers = multipart([("model", model)], SAMPLE.read_bytes())
    return server.call("POST", "/v1/audio/transcriptions", body, {**headers, **AUTHORIZATION}).status


def said_when_started(**variables: str) -> tuple[int, str]:
    """The exit code and the output of a server that cannot start."""
    said = subprocess.run(
        [sys.executable, "-m", "server"],
        cwd=ROOT,
        env=environment(**{"PORT": "0", **variables}),
        capture_output=True,
        text=True,
        timeout=60,
    )
    return said.returncode, said.stderr


def lines_of(server: Server, request_id: str) -> list[str]:
    """The log's lines about a request, once there is one."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        found = [line for line in server.log.read_text().splitlines() if request_id in line]
        if found:
            return found
        time.sleep(0.05)
    return []


# --- what is served


def test_a_transcription_is_recorded_before_it_is_answered(server: Server, stub: StubProvider) -> None:
    publish(server, KEY, stub.url, "recorded")
    assert transcribe(server, "recorded") == 200
    usage = server.call("GET", "/v1/usage?group_by=model", headers=AUTHORIZATION).json
    assert {row["model"]: row["requests"] for row in usage["data"]}["recorded"] == 1


@pytest.mark.parametrize(
    ("path", "location"),
    [
        ("/", "playground"),
        ("/v1", "playground"),
        ("/v1/", "../playground"),
        ("/docs", "playground/docs.html"),
    ],
)
def test_a_person_is_led_on(server: Server, path: str, location: str) -> None:
    answer = server.call("GET", path)
    assert (answer.status, answer.headers["location"]) == (302, location)
    with urllib.request.urlopen(f"{server.url}{path}", timeout=30) as page:
        assert page.status == 200
        assert page.headers["content-type"].startswith("text/html")


def test_a_request_has_one_line_in_the_log(server: Server) -> None:
    answer = server.call("GET", "/v1/models/some-secret-model?a=secret", headers=AUTHORIZATION)
    [line] = lines_of(server, answer.headers["x-request-id"])
    noted = json.loads(line)
    assert (noted["route"], noted["status"], noted["user"]) == ("/v1/models/{id+}", 404, "operator")
    assert set(noted) == {
        "time", "request_id", "method", "route", "status", "ms", "user", "bytes_in", "bytes_out",
    }  # fmt: skip
    assert "secret" not in line and KEY not in line


def test_no_metric_is_written_to_the_log(server: Server, stub: StubProvider) -> None:
    publish(server, KEY, stub.url, "m")
    transcribe(server)
    assert "CloudWatchMetrics" not in server.log.read_text()


def test_an_idle_server_needs_less_than_120_megabytes(server: Server) -> None:
    status = Path(f"/proc/{server.process.pid}/status")
    if not status.exists():
        pytest.skip("needs /proc")
    resident = next(line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmRSS"))
    assert int(resident) < 120_000


# --- metrics


def test_metrics_need_their_token(server: Server) -> None:
    for headers in ({}, AUTHORIZATION, {"Authorization": "Bearer wrong"}):
        answer = server.call("GET", "/metrics", headers=headers)
        assert (answer.status, error_type(answer.body)) == (401, "authentication_error")


def test_metrics_count_requests_seconds_and_attempts(server: Server, stub: StubProvider) -> None:
    publish(server, KEY, stub.url, "counted")
    transcribe(server, "counted")
    transcribe(server, "made-up-by-the-caller")
    text = server.call("GET", "/metrics", headers=METRICS).body.decode()
    labels = 'model="counted",provider="operator/stub"'
    assert f'stt_gateway_transcriptions_total{{{labels},result="ok"}} 1.0' in text
    assert f"stt_gateway_billed_seconds_total{{{labels}}} 3.0" in text
    assert 'stt_gateway_attempts_total{outcome="ok",provider="operator/stub"}' in text
    assert 'stt_gateway_requests_in_flight{kind="audio"} 0.0' in text
    assert 'route="/v1/audio/transcriptions",status="200"' in text
    assert "made-up" not in text


def test_metrics_without_a_token_are_no_route(tmp_path: Path) -> None:
    with bind(0) as free:
        port = free.getsockname()[1]
    running = start_server(tmp_path, METRICS_PORT=str(port))
    assert running.call("GET", "/metrics").status == 404
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as page:
        assert b"stt_gateway_http_requests_total" in page.read()
    assert running.end() == 0


# --- one server on a directory, or several workers


def test_a_second_server_on_the_directory_is_refused_with_a_sentence(server: Server, directory: Path) -> None:
    code, said = said_when_started(DATA_DIR=str(directory / "data"))
    assert code == 1
    assert said.startswith("Cannot start: Another server uses ")
    assert len(said.splitlines()) == 1
    assert server.call("GET", "/healthz").status == 200


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[
            ("PORT", "x"),
            ("WORKERS", "0"),
            ("CORS_ORIGINS", "*"),
            ("DRAIN_SECONDS", "-1"),
            ("METRICS_PORT", "x"),
        ],
        *[("GATEWAY_ID", "prod-1"), ("SINGLE_REQUEST_BYTES", "x"), ("USAGE_RETENTION_DAYS", "x")],
    ],
)
def test_a_setting_that_cannot_be_used_is_named(tmp_path: Path, name: str, value: str) -> None:
    code, said = said_when_started(**{"DATA_DIR": str(tmp_path), name: value})
    assert code == 1
    assert said.startswith("Cannot start: ") and name in said
    assert len(said.splitlines()) == 1


def test_a_damaged_database_is_reported_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "gateway.db").write_bytes(b"this is not a database, and long enough" * 100)
    code, said = said_when_started(DATA_DIR=str(tmp_path))
    assert code == 1
    assert "is damaged" in said.splitlines()[-1]
    assert "Traceback" not in said


def test_the_help_lists_every_setting() -> None:
    said = subprocess.run(
        [sys.executable, "-m", "server", "--help"],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert said.returncode == 0
    assert HELP.strip() in said.stdout


def workers_of(server: Server) -> set[int]:
    said = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(server.process.pid)], capture_output=True, text=True
    )
    return {int(pid) for pid in said.stdout.split()}


def test_workers_share_the_data_and_a_dead_one_is_replaced(tmp_path: Path, stub: StubProvider) -> None:
    create_key(tmp_path, "operator", KEY)
    running = start_server(
        tmp_path, WORKERS="2", METRICS_TOKEN=TOKEN, ALLOW_PRIVATE_PROVIDERS="true", DRAIN_SECONDS="5"
    )
    publish(running, KEY, stub.url, "m")
    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(lambda _: transcribe(running), range(40))) == {200}
    before = workers_of(running)
    assert len(before) == 2
    killed = min(before)
    os.kill(killed, signal.SIGKILL)
    until = time.monotonic() + 60
    while killed in workers_of(running) or len(workers_of(running)) < 2:
        assert time.monotonic() < until
        time.sleep(0.05)
    assert transcribe(running) == 200
    usage = running.call("GET", "/v1/usage", headers=AUTHORIZATION).json
    assert usage["total"]["requests"] == 41
    text = running.call("GET", "/metrics", headers=METRICS).body.decode()
    counted = [line for line in text.splitlines() if line.startswith("stt_gateway_transcriptions_total")]
    assert sum(float(line.split()[-1]) for line in counted) == 41
    assert running.end() == 0
    assert not [pid for pid in before if Path(f"/proc/{pid}").exists()]


# --- the end


def test_sigterm_lets_a_request_in_flight_finish_and_refuses_new_ones(tmp_path: Path) -> None:
    create_key(tmp_path, "operator", KEY)
    slow = StubProvider(lambda _: time.sleep(2) or Say())  # type: ignore[func-returns-value]
    running = start_server(tmp_path, ALLOW_PRIVATE_PROVIDERS="true")
    publish(running, KEY, slow.url, "m")
    with ThreadPoolExecutor(1) as threads:
        accepted = threads.submit(transcribe, running)
        while not slow.asked and not accepted.done():
            time.sleep(0.01)
        running.process.send_signal(signal.SIGTERM)
        refused = 200
        while refused != 503 and not accepted.done():
            answer = running.call("GET", "/healthz")
            refused = answer.status
        assert (refused, answer.headers["retry-after"]) == (503, "1")
        assert accepted.result() == 200
    assert running.process.wait(60) == 0
    slow.stop()
    again = start_server(tmp_path)
    usage = again.call("GET", "/v1/usage", headers=AUTHORIZATION).json
    assert usage["total"]["requests"] == 1
    assert again.end() == 0


def test_a_request_that_outlasts_the_drain_does_not_keep_the_server(tmp_path: Path) -> None:
    create_key(tmp_path, "operator", KEY)
    hanging = StubProvider(lambda _: time.sleep(60) or Say())  # type: ignore[func-returns-value]
    running = start_server(tmp_path, ALLOW_PRIVATE_PROVIDERS="true", DRAIN_SECONDS="1")
    publish(running, KEY, hanging.url, "m")
    with ThreadPoolExecutor(1) as threads:
        call = threads.submit(transcribe, running)
        while not hanging.asked:
            time.sleep(0.01)
        began = time.monotonic()
        assert running.end() == 0
        assert time.monotonic() - began < 30
        assert call.result() == 503
    hanging.stop()


def test_a_metrics_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with bind(0) as taken:
        taken.listen()
        port = str(taken.getsockname()[1])
        code, said = said_when_started(DATA_DIR=str(tmp_path), METRICS_PORT=port)
    assert (code, said.splitlines()[-1]) == (
        1,
        f"Cannot start: METRICS_PORT {port} cannot be used: Address already in use.",
    )
