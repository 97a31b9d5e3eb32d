"""Usage records when no AWS service answers: a real socket that stays silent."""

import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

from gateway import deadline
from gateway.store.dynamodb import aws
from gateway.store.dynamodb.usage import LOST_RECORD, UsageStore, item_of, key_of, record_of
from gateway.usage.record import Attempt, Duration, Record
from tests.stack import CREDENTIALS


def record(**learnt: Any) -> Record:
    return Record("r1", "alice", "key_1", 1_795_348_915.77, **learnt)


def test_an_unknown_duration_is_null_and_bills_nothing() -> None:
    stored = item_of(record(http_status=200), 400)
    assert (stored["seconds"], stored["seconds_source"], stored["billed_seconds"]) == (None, "unknown", 0)


def test_a_stored_record_has_the_outcome_and_its_expiry() -> None:
    stored = item_of(record(attempts=(Attempt("bob/gpu", "timeout", 812),)), 400)
    assert stored["time"] == "2026-11-22T12:01:55.770Z"
    assert stored["attempts"] == [{"provider": "bob/gpu", "outcome": "timeout", "milliseconds": 812}]
    assert stored["expires_at"] == 1_795_348_915 + 400 * 86_400
    assert key_of(stored) == ("user#alice", "2026-11-22T12:01:55.770Z#r1")


def test_a_record_is_the_same_after_a_round_trip_through_its_item() -> None:
    made = record(
        model="m",
        provider="bob/gpu",
        duration=Duration(9.2, "measured", 12.0),
        http_status=200,
        attempts=(Attempt("bob/gpu", "ok", 812),),
        api_gateway_request_id="g1",
    )
    back = record_of(item_of(made, 400))
    assert back == made
    assert key_of(item_of(back, 1)) == key_of(item_of(made, 400))


@pytest.fixture
def silent_aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        endpoint = f"http://127.0.0.1:{listener.getsockname()[1]}"
        for name, value in {**CREDENTIALS, "AWS_ENDPOINT_URL": endpoint}.items():
            monkeypatch.setenv(name, value)
        for cached in (aws.session, aws._made):
            cached.cache_clear()
        yield endpoint
        for cached in (aws.session, aws._made):
            cached.cache_clear()


@pytest.mark.parametrize(("within", "at_most"), [(1.5, 1.5), (14.0, 13.0)])
def test_the_log_has_the_record_before_the_time_is_up(
    within: float, at_most: float, silent_aws: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = UsageStore("usage", f"{silent_aws}/queue")
    with deadline.within(within):
        for service in ("dynamodb", "sqs"):  # created when a function initialises, not in its last second
            aws.client(service)
    started = time.monotonic()
    with deadline.within(within):
        store.save(record())
    took = time.monotonic() - started
    (lost,) = [each for each in caplog.records if each.getMessage() == LOST_RECORD]
    assert lost.__dict__["record"] == item_of(record(), 400)
    assert took < at_most + 2  # slack for a busy test machine
