"""`make run`: everything starts, works and ends together."""

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from local.users import create_users
from server.listener import bind
from server.sqlite.stores import open_stores
from tests.running import ROOT, SAMPLE, SENTENCE, Gateway, environment, multipart, start_gateway


def announced_curl(gateway: Gateway) -> list[str]:
    lines = gateway.log.read_text().splitlines()
    return shlex.split(next(line for line in lines if line.strip().startswith("curl ")))


def processes_of(parent: int) -> set[int]:
    """All descendants of a process."""
    listing = subprocess.run(["ps", "-eo", "pid,ppid"], check=True, capture_output=True, text=True).stdout
    pairs = [(int(pid), int(ppid)) for pid, ppid in (line.split() for line in listing.splitlines()[1:])]
    found: set[int] = set()
    frontier = {parent}
    while frontier:
        frontier = {pid for pid, ppid in pairs if ppid in frontier} - found
        found |= frontier
    return found


def alive(pids: set[int]) -> set[int]:
    listing = subprocess.run(["ps", "-eo", "pid,stat"], check=True, capture_output=True, text=True).stdout
    pairs = [line.split() for line in listing.splitlines()[1:]]
    return pids & {int(pid) for pid, state in pairs if not state.startswith("Z")}


def wait_until_gone(pids: set[int]) -> None:
    deadline = time.monotonic() + 60
    while alive(pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(pids)


def test_the_printed_curl_line_works_as_pasted(gateway: Gateway) -> None:
    said = subprocess.run(
        [*announced_curl(gateway), "--silent", "--show-error"], cwd=ROOT, capture_output=True, text=True
    )
    assert SENTENCE in said.stdout, said.stderr


def test_word_times_come_through_the_gateway(gateway: Gateway) -> None:
    fields = [
        ("model", gateway.model),
        ("response_format", "verbose_json"),
        ("timestamp_granularities[]", "word"),
    ]
    body, headers = multipart(fields, SAMPLE.read_bytes())
    answer = gateway.call(
        "POST", "/v1/audio/transcriptions", body, {**headers, **gateway.authorization("bob")}
    )
    assert answer.status == 200
    assert [word["word"] for word in answer.json["words"]] == SENTENCE.split()
    assert answer.headers["x-provider"] == "alice/local"


def test_the_local_model_is_listed_for_both_users(gateway: Gateway) -> None:
    for user in gateway.keys:
        answer = gateway.call("GET", "/v1/models", headers=gateway.authorization(user))
        assert gateway.model in [model["id"] for model in answer.json["data"]]


class HangingProvider(ThreadingHTTPServer):
    """Accepts transcriptions and answers none until `release` is set."""

    daemon_threads = True
    # The class's backlog is 5, and all connect at once.
    request_queue_size = 128

    def __init__(self) -> None:
        self.release = threading.Event()
        self.asked = threading.Semaphore(0)
        super().__init__(("127.0.0.1", 0), _Hanging)


class _Hanging(BaseHTTPRequestHandler):
    server: HangingProvider

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.server.asked.release()
        self.server.release.wait(120)
        body = b'{"text": "late"}'
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def published(gateway: Gateway, model: str) -> Iterator[HangingProvider]:
    with HangingProvider() as provider:
        threading.Thread(target=provider.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{provider.server_port}/v1"
        service = {"name": "asr", "type": "stt", "engine": "other", "url": url, "models": [{"id": model}]}
        service["access"] = "authenticated"
        manifest = {"schema_version": 1, "agent": {"name": "hanging"}}
        manifest["hosts"] = [{"id": "here", "services": [service]}]
        body = json.dumps({"raw_yaml": "", "parsed": manifest})
        path = "/api/inference/agent/manifest/"
        assert gateway.call("PUT", path, body, gateway.authorization()).status == 200
        try:
            yield provider
        finally:
            provider.release.set()
            gateway.call("DELETE", "/v1/providers/hanging", headers=gateway.authorization())
            provider.shutdown()


def assert_the_rest_answers(gateway: Gateway) -> None:
    """What must keep working, each within seconds."""
    json_body = {"content-type": "application/json"}
    for user in gateway.keys:
        beat = "/api/inference/agent/heartbeat/"
        calls = [
            ("GET", "/healthz", None, {}, 200),
            ("GET", "/playground", None, {}, 200),
            ("GET", "/v1/models", None, gateway.authorization(user), 200),
            ("GET", "/v1/models", None, {"Authorization": "Bearer sk-local-nobody-0000000000000000"}, 401),
            (
                "POST",
                beat,
                b'{"name":"local"}',
                gateway.authorization(user) | json_body,
                {"alice": 200, "bob": 404}[user],
            ),
        ]
        for method, path, body, headers, status in calls:
            began = time.monotonic()
            assert gateway.call(method, path, body, headers).status == status, path
            # A busy machine needs seconds for the keys of 280 callers; a place held by a body is free after 30 s.
            assert time.monotonic() - began < 20, path


def test_heartbeats_and_keys_work_while_every_transcription_hangs(gateway: Gateway) -> None:
    model = "hanging/model"
    body, headers = multipart([("model", model)], SAMPLE.read_bytes())

    def transcribe(number: int) -> int:
        user = "alice" if number % 2 else "bob"
        all_headers = {**headers, **gateway.authorization(user)}
        return gateway.call("POST", "/v1/audio/transcriptions", body, all_headers).status

    with ThreadPoolExecutor(110) as threads, published(gateway, model) as provider:
        calls = [threads.submit(transcribe, number) for number in range(110)]
        for _ in range(50):
            assert provider.asked.acquire(timeout=60)
        while not any(call.done() for call in calls):
            time.sleep(0.05)
        assert_the_rest_answers(gateway)
        assert sum(not call.done() for call in calls) >= 50
        provider.release.set()
        statuses = {call.result() for call in calls}
    # Callers without a place were told to retry.
    assert statuses == {200, 429}


def test_heartbeats_and_keys_work_while_bodies_never_arrive(gateway: Gateway) -> None:
    with ExitStack() as held:
        for path in ("/v1/audio/transcriptions", "/v1/uploads/upload_x/parts"):
            head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {{}}\r\nContent-Length: 1000000\r\n\r\n"
            for user in gateway.keys:
                for _ in range(70):
                    connection = socket.create_connection(("127.0.0.1", gateway.port), timeout=60)
                    held.enter_context(connection).sendall(
                        head.format(gateway.authorization(user)["Authorization"]).encode()
                    )
        assert_the_rest_answers(gateway)


def test_no_log_holds_a_transcript_or_a_key(gateway: Gateway) -> None:
    test_the_printed_curl_line_works_as_pasted(gateway)
    for log in gateway.directory.glob("*.log"):
        text = log.read_text()
        assert "station" not in text
        assert log == gateway.log or not any(key in text for key in gateway.keys.values())


def test_a_second_start_keeps_keys_providers_and_usage(tmp_path: Path) -> None:
    first = start_gateway(tmp_path)
    body, headers = multipart([("model", first.model)], SAMPLE.read_bytes())
    manifest = {"schema_version": 1, "agent": {"name": "second"}, "hosts": []}
    published = json.dumps({"raw_yaml": "", "parsed": manifest})
    path = "/v1/audio/transcriptions"
    assert first.call("POST", path, body, {**headers, **first.authorization("bob")}).status == 200
    put = first.call("PUT", "/api/inference/agent/manifest/", published, first.authorization("bob"))
    assert put.status == 200, put.body
    assert first.end() == 0
    second = start_gateway(tmp_path)
    usage = second.call("GET", "/v1/usage", headers=second.authorization("bob")).json
    assert usage["total"]["requests"] == 1
    providers = second.call("GET", "/v1/providers", headers=second.authorization("bob")).json["data"]
    assert [provider["name"] for provider in providers] == ["second"]
    assert second.call("POST", path, body, {**headers, **second.authorization()}).status == 200
    assert second.end() == 0


def test_a_start_does_not_revive_a_revoked_key(tmp_path: Path) -> None:
    stores = open_stores(tmp_path / "data")
    create_users(stores.keys())
    stores.keys().revoke(stores.keys().list("bob")[0].key_id)
    stores.close()
    gateway = start_gateway(tmp_path)
    assert gateway.call("GET", "/v1/models", headers=gateway.authorization("bob")).status == 401
    assert gateway.end() == 0


def test_it_is_ready_soon(tmp_path: Path) -> None:
    began = time.monotonic()
    gateway = start_gateway(tmp_path)
    took = time.monotonic() - began
    assert gateway.end() == 0
    assert took < 20  # 2 s on a quiet machine


def test_it_says_where_data_is_kept_and_how_to_serve_others(gateway: Gateway) -> None:
    said = gateway.log.read_text()
    assert f"data          {gateway.directory / 'data'}" in said
    assert "make serve" in said
    assert "caddy" in said


def test_it_does_not_listen_for_other_machines(tmp_path: Path) -> None:
    said = subprocess.run(
        [sys.executable, "-m", "local.run"],
        cwd=ROOT,
        env=environment(PORT="0", RUN_DIR=str(tmp_path), DATA_DIR=str(tmp_path), BIND="0.0.0.0"),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert said.returncode == 1
    assert said.stderr.startswith("Cannot start: BIND cannot be set here")


def test_its_help_lists_its_settings() -> None:
    said = subprocess.run(
        [sys.executable, "-m", "local.run", "--help"],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert all(name in said.stdout for name in ("PORT", "DATA_DIR", "RUN_DIR"))


def test_ctrl_c_ends_everything_without_a_traceback(tmp_path: Path) -> None:
    gateway = start_gateway(tmp_path)
    descendants = processes_of(gateway.process.pid)
    gateway.process.send_signal(signal.SIGINT)
    assert gateway.process.wait(60) == 0
    assert not alive(descendants)
    for log in tmp_path.glob("*.log"):
        assert "Traceback" not in log.read_text(), log


def test_no_process_outlives_a_parent_that_was_killed(tmp_path: Path) -> None:
    gateway = start_gateway(tmp_path)
    descendants = processes_of(gateway.process.pid)
    gateway.process.kill()
    gateway.process.wait()
    wait_until_gone(descendants)


def test_the_end_of_a_part_is_reported_and_ends_the_rest(tmp_path: Path) -> None:
    gateway = start_gateway(tmp_path)
    descendants = processes_of(gateway.process.pid)
    recogniser = next(
        pid
        for pid in descendants
        if "local.recogniser"
        in subprocess.run(["ps", "-o", "args=", "-p", str(pid)], capture_output=True, text=True).stdout
        and "forkserver"
        not in subprocess.run(["ps", "-o", "args=", "-p", str(pid)], capture_output=True, text=True).stdout
    )
    os.kill(recogniser, signal.SIGKILL)
    assert gateway.process.wait(60) == 1
    assert "recogniser ended (signal SIGKILL)" in gateway.log.read_text()
    wait_until_gone(descendants)


def variables_of(gateway: Gateway, part: str) -> dict[str, str]:
    """The environment that a part of the local run started with."""
    if not Path("/proc/self/environ").exists():
        pytest.skip("needs /proc")
    for pid in processes_of(gateway.process.pid):
        try:
            if part.encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
                pairs = Path(f"/proc/{pid}/environ").read_text().split("\0")
                return dict(pair.split("=", 1) for pair in pairs if "=" in pair)
        except OSError:
            continue
    raise AssertionError(f"{part} does not run")


def test_the_gateway_knows_its_own_address_and_an_id_of_this_start(gateway: Gateway) -> None:
    variables = variables_of(gateway, "server")
    assert variables["PUBLIC_URL"] == gateway.url
    assert len(bytes.fromhex(variables["GATEWAY_ID"])) == 16


def test_no_foreign_page_can_use_the_local_run_to_reach_this_network(gateway: Gateway) -> None:
    manifest = {"Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "authorization"}
    for foreign in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {"Host": "evil.example"}):
        preflight = gateway.call("OPTIONS", "/api/inference/agent/manifest/", headers={**manifest, **foreign})
        call = gateway.call("GET", "/v1/models", headers={**gateway.authorization(), **foreign})
        for answer in (preflight, call):
            assert (answer.status, answer.json["error"]["type"]) == (403, "permission_error")
            assert not [name for name in answer.headers if name.startswith("access-control-")]


def test_an_invalid_origin_in_cors_origins_is_reported_early(tmp_path: Path) -> None:
    said = subprocess.run(
        [sys.executable, "-m", "local.run"],
        cwd=ROOT,
        env=environment(PORT="0", RUN_DIR=str(tmp_path), DATA_DIR=str(tmp_path), CORS_ORIGINS="*"),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert said.returncode == 1
    assert said.stderr.startswith("Cannot start: CORS_ORIGINS takes origins such as ")
    assert len(said.stderr.splitlines()) == 1


@pytest.mark.parametrize("port", ["taken", "abc", "70000"])
def test_a_port_that_cannot_be_used_is_reported_clearly_and_early(tmp_path: Path, port: str) -> None:
    listener = bind(0)
    listener.listen()
    taken = str(listener.getsockname()[1]) if port == "taken" else port
    said = subprocess.run(
        [sys.executable, "-m", "local.run"],
        cwd=ROOT,
        env=environment(PORT=taken, RUN_DIR=str(tmp_path), DATA_DIR=str(tmp_path)),
        capture_output=True,
        text=True,
        timeout=60,
    )
    listener.close()
    assert said.returncode == 1
    assert said.stderr.startswith("Cannot start: ")
    assert len(said.stderr.splitlines()) == 1
