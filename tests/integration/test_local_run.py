"""`make run`: everything starts, works, and ends together."""

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from local.embedded_aws import client_of
from server.listener import bind
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


def test_the_announced_aws_holds_the_templates_tables(gateway: Gateway) -> None:
    tables = client_of(gateway.aws_endpoint)("dynamodb").list_tables()["TableNames"]
    assert "stt-gateway-local-KeysTable" in tables


def test_no_log_holds_a_transcript_or_a_key(gateway: Gateway) -> None:
    test_the_printed_curl_line_works_as_pasted(gateway)
    for log in gateway.directory.glob("*.log"):
        text = log.read_text()
        assert "station" not in text
        assert log == gateway.log or not any(key in text for key in gateway.keys.values())


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


def test_the_death_of_a_part_is_reported_and_ends_the_rest(tmp_path: Path) -> None:
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


@pytest.mark.parametrize("port", ["taken", "abc", "70000"])
def test_a_port_that_cannot_be_used_is_told_plainly_and_early(tmp_path: Path, port: str) -> None:
    listener = bind(0)
    listener.listen()
    taken = str(listener.getsockname()[1]) if port == "taken" else port
    said = subprocess.run(
        [sys.executable, "-m", "local.run"],
        cwd=ROOT,
        env=environment(PORT=taken, RUN_DIR=str(tmp_path)),
        capture_output=True,
        text=True,
        timeout=60,
    )
    listener.close()
    assert said.returncode == 1
    assert said.stderr.startswith("Cannot start: ")
    assert len(said.stderr.splitlines()) == 1
