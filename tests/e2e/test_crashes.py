"""`kill -9` in the middle of traffic: no record that a caller was told of is lost, and none is there twice."""

import http.client
import os
import random
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from tests.running import (
    SAMPLE,
    Server,
    create_key,
    multipart,
    publish,
    recorded_requests,
    start_server,
)
from tests.stub_provider import StubProvider

pytestmark = pytest.mark.e2e
KILLS = int(os.environ.get("KILLS", "3"))
CLIENTS = 32
KEY = "sk-test-operator-000000000000"
BODY, HEADERS = multipart([("model", "m")], SAMPLE.read_bytes())


@pytest.fixture
def stub() -> Iterator[StubProvider]:
    running = StubProvider()
    yield running
    running.stop()


def keep_calling(server: Server, told: list[str], stop: threading.Event) -> None:
    """Transcribes until the server is gone; notes the id of every request that was answered with 200."""
    while not stop.is_set():
        try:
            answer = server.call(
                "POST", "/v1/audio/transcriptions", BODY, {**HEADERS, "Authorization": f"Bearer {KEY}"}
            )
        except (OSError, http.client.HTTPException):
            return
        if answer.status == 200:
            told.append(answer.headers["x-request-id"])


def totals_of(data_dir: Path, role: str) -> int:
    """Requests in the daily totals."""
    with closing(apsw.Connection(str(data_dir / "gateway.db"))) as database:
        query = "SELECT coalesce(sum(requests), 0) FROM totals WHERE role = ?"
        [(count,)] = database.execute(query, (role,)).fetchall()
    return int(str(count))


def crash(server: Server, told: list[str], chance: random.Random) -> None:
    """Kills the server while 32 clients call it, some time after the first answers."""
    stop, known = threading.Event(), len(told)
    with ThreadPoolExecutor(CLIENTS) as threads:
        calls = [threads.submit(keep_calling, server, told, stop) for _ in range(CLIENTS)]
        while len(told) < known + CLIENTS and not all(call.done() for call in calls):
            stop.wait(0.01)
        stop.wait(chance.uniform(0, 0.3))
        os.kill(server.process.pid, signal.SIGKILL)
        server.process.wait()
        stop.set()
        for call in calls:
            call.result()
    assert len(told) >= known + CLIENTS


def test_no_record_is_lost_or_doubled_by_a_kill_in_the_middle_of_traffic(
    tmp_path: Path, stub: StubProvider
) -> None:
    create_key(tmp_path, "operator", KEY)
    told: list[str] = []
    chance = random.Random(1)
    for number in range(KILLS):
        server = start_server(tmp_path, ALLOW_PRIVATE_PROVIDERS="true", MAX_IN_FLIGHT_PER_USER="0")
        if number == 0:
            publish(server, KEY, stub.url, "m")
        else:
            beat = b'{"name": "stub"}'
            authorization = {"Authorization": f"Bearer {KEY}"}
            assert server.call("POST", "/api/inference/agent/heartbeat/", beat, authorization).status == 200
        crash(server, told, chance)
    last = start_server(tmp_path)
    recorded = recorded_requests(tmp_path / "data")
    assert [request for request in told if recorded[request] != 1] == []
    assert set(recorded.values()) == {1}
    assert totals_of(tmp_path / "data", "user") == recorded.total()
    assert totals_of(tmp_path / "data", "operator") == recorded.total()
    assert last.end() == 0
