"""`gateway-admin publish` against a real HTTP server with scripted answers."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from admin import publishing
from admin.cli import app
from admin.gateway_calls import CallFailed, GatewayCalls
from admin.manifest_file import read_file
from admin.publishing import Publisher
from server import presence

KEY = "sk-test-0000000000000000"
MANIFEST = """\
schema_version: 1
agent: {name: home, hostname: club-host, listen_port: 8443}
hosts:
  - id: rig
    services:
      - {name: asr, type: stt, engine: vllm, url: "https://h/v1", api_key: sk-upstream-1, models: [{id: whisper}]}
"""
REGISTER, UPLOAD, BEAT = (
    ("POST", "/api/inference/agent/register/"),
    ("PUT", "/api/inference/agent/manifest/"),
    ("POST", "/api/inference/agent/heartbeat/"),
)
Reply = tuple[int, Any] | tuple[int, Any, dict[str, str]]


class Gateway:
    """Records the calls and answers each with the next of its replies; the last one repeats."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.bodies: list[Any] = []
        self.headers: list[dict[str, str]] = []
        self.replies: dict[tuple[str, str], list[Reply]] = {
            REGISTER: [(200, {"provider_id": 42, "tailnet_hostname": "club-host", "tailscale_authkey": ""})],
            UPLOAD: [(200, {"manifest": {}, "errors": []})],
            BEAT: [(200, {"provider_id": 42, "online": True, "last_seen_at": "2026-01-01T00:00:00Z"})],
        }
        self.url = ""

    def answer(self, call: tuple[str, str]) -> Reply:
        replies = self.replies.get(call) or [(404, {"error": {"message": "no such route"}})]
        return replies.pop(0) if len(replies) > 1 else replies[0]

    def wait_for(self, calls: int) -> None:
        deadline = time.monotonic() + 20
        while len(self.asked) < calls:
            assert time.monotonic() < deadline, self.asked
            time.sleep(0.02)


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    told = Gateway()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            told.bodies.append(json.loads(self.rfile.read(length)))
            told.headers.append(dict(self.headers))
            told.asked.append((self.command, self.path))
            status, body, *more = told.answer((self.command, self.path))
            raw = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            for name, value in (more[0] if more else {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def do_PUT(self) -> None:
            self.do_POST()

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    told.url = f"http://127.0.0.1:{server.server_port}"
    yield told
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    path = tmp_path / "manifest.yaml"
    path.write_text(MANIFEST)
    return path


def publish(manifest: Path, url: str, *options: str, key: str = KEY) -> Any:
    result = CliRunner().invoke(app, ["publish", str(manifest), "--gateway", url, "--key", key, *options])
    assert key not in result.output
    assert "sk-upstream" not in result.output
    return result


# --- once


def test_it_registers_then_uploads_exactly_as_the_agent_does(gateway: Gateway, manifest: Path) -> None:
    result = publish(manifest, gateway.url)
    assert result.exit_code == 0
    assert gateway.asked == [REGISTER, UPLOAD]
    registered, uploaded = gateway.bodies
    assert registered == {"name": "home", "tailnet_hostname": "club-host", "agent_port": 8443}
    assert uploaded["parsed"]["hosts"][0]["services"][0]["api_key"] == "sk-upstream-1"
    assert uploaded["raw_yaml"] == ""
    assert all(headers["Authorization"] == f"Bearer {KEY}" for headers in gateway.headers)
    assert "published provider 'home' (id 42)" in result.stdout


def test_the_public_url_is_sent_with_the_registration(gateway: Gateway, manifest: Path) -> None:
    publish(manifest, gateway.url, "--public-url", "https://rig.example.com/v1")
    assert gateway.bodies[0]["public_url"] == "https://rig.example.com/v1"


@pytest.mark.parametrize("suffix", ["/", "/v1", "/v1/"])
def test_the_url_that_sdks_use_works_too(gateway: Gateway, manifest: Path, suffix: str) -> None:
    assert publish(manifest, gateway.url + suffix).exit_code == 0
    assert gateway.asked == [REGISTER, UPLOAD]


def test_without_a_url_the_gateway_that_runs_on_this_machine_gets_it(
    gateway: Gateway, manifest: Path, tmp_path: Path
) -> None:
    presence.announce(tmp_path, gateway.url, {})
    arguments = ["publish", str(manifest), "--key", KEY, "--data-dir", str(tmp_path)]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    assert gateway.asked == [REGISTER, UPLOAD]


def test_without_a_url_and_a_gateway_that_runs_the_usual_address_is_tried(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORT", "9")
    result = CliRunner().invoke(app, ["publish", str(manifest), "--key", KEY, "--data-dir", str(tmp_path)])
    assert result.exit_code == 1
    assert result.stderr == "http://127.0.0.1:9 cannot be reached: connection refused\n"


def test_the_key_may_come_from_the_environment_and_no_netrc_replaces_it(
    gateway: Gateway, manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("STT_GATEWAY_KEY", KEY)
    result = CliRunner().invoke(app, ["publish", str(manifest), "--gateway", gateway.url])
    assert result.exit_code == 0
    assert gateway.headers[0]["Authorization"] == f"Bearer {KEY}"


def test_an_invalid_manifest_is_not_sent(gateway: Gateway, manifest: Path) -> None:
    manifest.write_text(MANIFEST.replace("vllm", "whisper"))
    result = publish(manifest, gateway.url)
    assert result.exit_code == 1
    assert ":6: hosts[0].services[0].engine: must be one of" in result.stderr
    assert gateway.asked == []


def test_problems_that_only_the_gateway_finds_are_reported_with_their_lines(
    gateway: Gateway, manifest: Path
) -> None:
    refused = {"error": {"message": "The manifest is not valid."}, "errors": ["hosts[0].id: is not liked"]}
    gateway.replies[UPLOAD] = [(400, refused)]
    result = publish(manifest, gateway.url)
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        f"{manifest}:4: hosts[0].id: is not liked",
        "the gateway answered manifest with HTTP 400: The manifest is not valid.",
    ]


FAILURES: dict[str, tuple[Reply, str]] = {
    "a key that is not known": (
        (401, {"error": {"message": "Incorrect API key provided."}}),
        "the gateway answered register with HTTP 401: Incorrect API key provided.",
    ),
    "a page instead of JSON": (
        (200, b"<html>hello</html>"),
        "HTTP 200, which is not an stt-gateway answer: check the URL",
    ),
    "a list instead of an object": ((200, [1]), "not an stt-gateway answer"),
    "an error without words": (
        (403, {"message": "Forbidden"}),
        "HTTP 403, which is not an stt-gateway answer",
    ),
    "a redirect": (
        (307, b"", {"Location": "http://127.0.0.1:9/"}),
        "HTTP 307, which is not an stt-gateway answer",
    ),
    "a defect": ((500, {"error": {"message": "The gateway failed."}}), "HTTP 500: The gateway failed."),
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_gateways_refusal_is_quoted_once(gateway: Gateway, manifest: Path, name: str) -> None:
    reply, words = FAILURES[name]
    gateway.replies[REGISTER] = [reply]
    result = publish(manifest, gateway.url)
    assert result.exit_code == 1
    assert words in result.stderr
    assert gateway.asked == [REGISTER]


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://127.0.0.1:9", "cannot be reached: connection refused"),
        ("http://nowhere.invalid", "cannot be "),
        ("127.0.0.1:3000", "must start with http:// or https://"),
        ("https://", "must start with http:// or https://"),
    ],
)
def test_an_unreachable_gateway_is_reported_with_a_message(manifest: Path, url: str, words: str) -> None:
    result = publish(manifest, url)
    assert result.exit_code == 1
    assert words in result.stderr


@pytest.mark.parametrize("key", ["sk-test\r\nX-Evil: 1", "sk tést", ""])
def test_an_invalid_key_is_refused_and_not_printed(gateway: Gateway, manifest: Path, key: str) -> None:
    command = ["publish", str(manifest), "--gateway", gateway.url, "--key", key]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 1
    assert result.stderr == "the key must be printable ASCII characters without spaces\n"


# --- for as long as it runs


class Stopped(Exception):
    """Ends the loop."""


def kept_online(
    gateway: Gateway, manifest: Path, until: Callable[[list[float]], bool]
) -> tuple[list[str], list[float]]:
    """The messages and waits so far, once `until` returns true."""
    said: list[str] = []
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        if until(waits):
            raise Stopped

    publisher = Publisher(read_file(manifest), GatewayCalls(gateway.url, KEY), said.append, wait=wait)
    with pytest.raises(Stopped):
        publisher.keep_online(30)
    return said, waits


def test_it_sends_heartbeats_at_the_given_interval(gateway: Gateway, manifest: Path) -> None:
    _, waits = kept_online(gateway, manifest, lambda waits: len(waits) == 4)
    assert gateway.asked == [REGISTER, UPLOAD, BEAT, BEAT, BEAT]
    assert gateway.bodies[-1] == {"name": "home"}
    assert waits[0] == pytest.approx(30, abs=1)


def test_it_publishes_again_when_the_gateway_has_lost_the_provider(gateway: Gateway, manifest: Path) -> None:
    gateway.replies[BEAT] = [(404, {"error": {"message": "No such provider."}}), *gateway.replies[BEAT]]
    said, _ = kept_online(gateway, manifest, lambda waits: len(waits) == 3)
    assert gateway.asked == [REGISTER, UPLOAD, BEAT, REGISTER, UPLOAD, BEAT]
    assert "the gateway no longer knows this provider: publishing again" in said


def test_it_backs_off_when_the_gateway_fails_and_says_when_it_is_back(
    gateway: Gateway, manifest: Path
) -> None:
    busy: Reply = (503, {"error": {"message": "busy"}})
    gateway.replies[REGISTER] = [busy, busy, busy, *gateway.replies[REGISTER]]
    said, waits = kept_online(gateway, manifest, lambda waits: len(waits) == 4)
    assert gateway.asked == [REGISTER] * 4 + [UPLOAD]
    assert [0.5 <= waits[0] <= 1, 1 <= waits[1] <= 2, 2 <= waits[2] <= 4] == [True] * 3
    assert "the gateway answers again" in said
    assert said[0].startswith("the gateway answered register with HTTP 503: busy; trying again in ")


def test_it_waits_as_long_as_retry_after_says(gateway: Gateway, manifest: Path) -> None:
    gateway.replies[BEAT] = [
        (429, {"error": {"message": "slower"}}, {"Retry-After": "77"}),
        *gateway.replies[BEAT],
    ]
    _, waits = kept_online(gateway, manifest, lambda waits: len(waits) == 2)
    assert waits[1] == 77


def test_it_gives_up_when_its_key_is_no_longer_accepted(gateway: Gateway, manifest: Path) -> None:
    gateway.replies[BEAT] = [(401, {"error": {"message": "revoked"}})]
    calls = GatewayCalls(gateway.url, KEY)
    publisher = Publisher(read_file(manifest), calls, lambda _: None, wait=lambda _: None)
    with pytest.raises(CallFailed, match="revoked"):
        publisher.keep_online(30)


def test_the_backoff_grows_to_at_most_half_a_minute() -> None:
    assert all(publishing.backoff(n) <= 30 for n in range(1, 5000))
    assert all(publishing.backoff(n) >= 15 for n in range(6, 50))


@contextmanager
def running(*arguments: str) -> Iterator["subprocess.Popen[str]"]:
    root = Path(__file__).parents[3]
    command = [sys.executable, "-u", "-m", "admin", "publish", *arguments]
    environment = {**os.environ, "PYTHONPATH": f"{root}:{root / 'layers/shared'}", "STT_GATEWAY_KEY": KEY}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_it_at_once_with_status_0(
    gateway: Gateway, manifest: Path, number: signal.Signals
) -> None:
    with running(str(manifest), "--gateway", gateway.url, "--heartbeat", "--every", "0.1") as process:
        gateway.wait_for(5)
        process.send_signal(number)
        output, _ = process.communicate(timeout=20)
    assert process.returncode == 0, output
    assert gateway.asked[:3] == [REGISTER, UPLOAD, BEAT]
    assert output.splitlines()[-1] == "stopped"
    assert KEY not in output


def test_a_signal_stops_it_while_it_waits_for_an_unreachable_gateway(manifest: Path) -> None:
    with running(str(manifest), "--gateway", "http://127.0.0.1:9", "--heartbeat") as process:
        assert process.stdout is not None
        assert "cannot be reached: connection refused; trying again in" in process.stdout.readline()
        process.terminate()
        output, _ = process.communicate(timeout=20)
    assert process.returncode == 0, output
