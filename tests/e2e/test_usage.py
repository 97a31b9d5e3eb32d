"""What is metered over a running gateway: nothing is lost, and totals include it at once."""

import os
import random
import secrets
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.e2e.conftest import Publish
from tests.e2e.wire import assert_error, send, transcribe
from tests.running import Gateway, recorded_requests
from tests.stub_provider import Say

pytestmark = pytest.mark.e2e
SOAK_SECONDS = float(os.environ.get("SOAK_SECONDS", "10"))


def test_eight_callers_at_once_each_get_a_transcript_and_a_record(gateway: Gateway, publish: Publish) -> None:
    # The recogniser takes a second of a core for each; most of the load is a stub's.
    asked = [gateway.model] * 8 + [publish().model] * 40
    with ThreadPoolExecutor(8) as threads:
        replies = list(threads.map(lambda model: transcribe(gateway, model=model), asked))
    assert [reply.status for reply in replies] == [200] * 48
    recorded = recorded_requests(gateway.directory / "data")
    assert [recorded[reply.headers["x-request-id"]] for reply in replies] == [1] * 48


def test_totals_include_every_answered_request(gateway: Gateway, publish: Publish) -> None:
    model = publish().model.lower()
    for _ in range(3):
        assert transcribe(gateway, model=model).status == 200
    entries = send(gateway, "GET", "/v1/usage?group_by=model").json()["data"]
    mine = [entry for entry in entries if entry["model"] == model]
    assert mine == [{"model": model, "requests": 3, "failed": 0, "seconds": 9}]
    served = send(gateway, "GET", "/v1/usage?group_by=model&role=operator").json()
    assert [entry for entry in served["data"] if entry["model"] == model] == mine
    assert "alice" not in str([entry for entry in served["data"] if entry["model"] == model])


@pytest.mark.parametrize(
    "query", ["start=today", "group_by=user", "role=admin", "start=2026-01-02&end=2026-01-01"]
)
def test_a_bad_question_about_usage_is_refused(gateway: Gateway, query: str) -> None:
    assert_error(send(gateway, "GET", f"/v1/usage?{query}"), 400, "invalid_request_error")


@pytest.mark.scaled
def test_a_soak_with_flapping_providers_loses_no_record_and_fails_only_honestly(
    gateway: Gateway, publish: Publish
) -> None:
    """16 clients, 5 providers of one model, 2 of which fail at random; SOAK_SECONDS (10) long."""
    model = f"soak/{secrets.token_hex(4)}"
    providers = [publish(model=model) for _ in range(5)]
    stop = time.monotonic() + SOAK_SECONDS

    def client(number: int) -> list[tuple[int, str, str]]:
        choice, seen = random.Random(number), []
        while time.monotonic() < stop:
            for flapping in providers[:2]:
                if choice.random() < 0.5:
                    flapping.stub.answers.append(Say(choice.choice([500, 503, 404]), b"<html>"))
            reply = transcribe(gateway, model=model)
            kind = "" if reply.status == 200 else reply.json()["error"]["type"]
            seen.append((reply.status, kind, reply.headers["x-request-id"]))
        return seen

    with ThreadPoolExecutor(16) as threads:
        replies = [reply for seen in threads.map(client, range(16)) for reply in seen]
    assert len(replies) > 50
    assert {(status, kind) for status, kind, _ in replies} <= {(200, ""), (502, "upstream_error")}
    assert sum(status == 200 for status, _, _ in replies) > 0.9 * len(replies)
    recorded = recorded_requests(gateway.directory / "data")
    assert [request for _, _, request in replies if recorded[request] != 1] == []
