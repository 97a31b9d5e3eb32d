"""Many callers at once in one process: nothing of one request reaches another."""

import hashlib
import http.client
import json
import random
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from gateway.observability import logger
from tests.integration.server.echo import EchoServer, echo_server, key_of
from tests.running import SAMPLE, create_key, multipart, publish, start_server, usage_records
from tests.stub_provider import Asked, Say, StubProvider

CALLERS = 64
CALLS = 20


def call_as(server: EchoServer, number: int) -> None:
    """Calls on one connection, each with its own header, path and body; all must come back unmixed."""
    rng = random.Random(number)
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    for count in range(CALLS):
        mark = f"{number}-{count}"
        body = rng.randbytes(rng.choice([0, 100, 70_000, 200_000]))
        connection.request("POST", f"/v1/echo/{mark}", body, {**key_of(str(number)), "X-Mark": mark})
        answer = connection.getresponse()
        if answer.status == 429:  # all places are taken
            answer.read()
            continue
        report = json.loads(answer.read())
        assert report["caller"] == str(number)
        assert report["event"]["headers"]["x-mark"] == mark
        assert report["event"]["pathParameters"] == {"name": mark}
        assert report["sha256"] == hashlib.sha256(body).hexdigest()
        assert report["request_id"] == answer.getheader("x-request-id")
    connection.close()


def test_no_identity_header_body_or_id_crosses_between_64_callers() -> None:
    with echo_server() as server, ThreadPoolExecutor(CALLERS) as threads:
        for done in [threads.submit(call_as, server, number) for number in range(CALLERS)]:
            done.result()
        answered = [line for line in server.lines if line.status == 200]
    assert len({line.request_id for line in server.lines}) == CALLERS * CALLS
    assert len({line.user_id for line in answered}) == CALLERS


def said_back(asked: Asked) -> Say:
    """A transcript of the prompt, after a pause that differs between requests."""
    [prompt] = [value for name, value in asked.fields if name == "prompt"]
    time.sleep(random.random() / 20)
    return Say(body={"text": prompt, "duration": 3.0})


def test_no_transcript_and_no_record_crosses_between_64_keys(tmp_path: Path) -> None:
    keys = {f"user-{number}": f"sk-test-user-{number}-000000000000" for number in range(CALLERS)}
    for user, key in keys.items():
        create_key(tmp_path, user, key)
    stub = StubProvider(said_back)
    server = start_server(tmp_path, ALLOW_PRIVATE_PROVIDERS="true")
    publish(server, keys["user-0"], stub.url, "m")

    def transcribe_as(user: str) -> set[tuple[str, str]]:
        told = set()
        for number in range(8):
            mark = f"{user} says {number}"
            body, headers = multipart([("model", "m"), ("prompt", mark)], SAMPLE.read_bytes())
            headers["Authorization"] = f"Bearer {keys[user]}"
            answer = server.call("POST", "/v1/audio/transcriptions", body, headers)
            assert answer.status == 200, answer.body
            assert answer.json["text"] == mark
            told.add((user, answer.headers["x-request-id"]))
        return told

    try:
        with ThreadPoolExecutor(CALLERS) as threads:
            told = set().union(*threads.map(transcribe_as, keys))
    finally:
        assert server.end() == 0
        stub.stop()
    assert {(user, request) for user, request, _ in usage_records(tmp_path / "data")} == told


def test_log_keys_of_a_request_do_not_reach_other_threads() -> None:
    logger.thread_safe_clear_keys()
    with echo_server() as server:
        server.call("GET", "/v1/models", headers=key_of("good"))
    assert "request_id" not in logger.thread_safe_get_current_keys()
