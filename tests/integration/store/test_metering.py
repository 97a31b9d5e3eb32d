from datetime import UTC, datetime
from typing import Any

import pytest

from functions.usage_retry import app as usage_retry
from functions.usage_rollup import app as usage_rollup
from gateway.accounts.limits import Claim, Rate
from gateway.store.dynamodb import aws
from gateway.store.dynamodb.limits import limit_store
from gateway.store.dynamodb.totals import totals_store
from gateway.store.dynamodb.usage import item_of, usage_store
from gateway.usage.totals import Question
from tests.fakes import usage_record

pytestmark = pytest.mark.usefixtures("in_process_aws")
EVER = Question("2026-01-01", "2026-12-31", "day", False)


def record(number: int = 1, *, user: str = "bob", day: int = 1) -> dict[str, Any]:
    """The stored item of a 10-second request that alice's provider served."""
    made = usage_record(f"r{number}", user=user, started_at=datetime(2026, 1, day, tzinfo=UTC).timestamp())
    return item_of(made, 400)


def batch(*records: dict[str, Any]) -> dict[str, Any]:
    images = [{"NewImage": aws.encode(each), "SequenceNumber": str(n)} for n, each in enumerate(records)]
    return {"Records": [{"eventName": "INSERT", "dynamodb": image} for image in images]}


def seconds(user: str = "bob", question: Question = EVER) -> int:
    return sum(total.seconds for total in totals_store().read(user, question))


# --- totals


def test_a_stream_that_delivers_twice_counts_once() -> None:
    for _ in range(3):
        assert usage_rollup.handler(batch(record(1), record(2)), None) == {"batchItemFailures": []}
    assert seconds() == 20
    assert seconds("alice", Question("2026-01-01", "2026-01-01", "day", True)) == 20


def test_a_record_that_cannot_be_counted_now_is_retried(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(totals_store(), "table", "no-such-table")
        answer = usage_rollup.handler(batch(record(1), record(2)), None)
    assert answer == {"batchItemFailures": [{"itemIdentifier": "0"}]}
    usage_rollup.handler(batch(record(1), record(2)), None)
    assert seconds() == 20


def test_expired_records_are_not_usage() -> None:
    removed = {"Records": [{"eventName": "REMOVE", "dynamodb": {"SequenceNumber": "1"}}]}
    assert usage_rollup.handler(removed, None) == {"batchItemFailures": []}
    assert seconds() == 0


# --- the queue


def test_a_queued_record_is_written_and_one_that_fails_stays() -> None:
    messages = [{"messageId": "1", "body": '{"user_id": "bob", "time": "t", "request_id": "r"}'}]
    assert usage_retry.handler({"Records": messages}, None) == {"batchItemFailures": []}
    assert [each["request_id"] for each in aws.query(usage_store().table, "user#bob")] == ["r"]
    usage_store().table = "no-such-table"
    assert usage_retry.handler({"Records": messages}, None) == {
        "batchItemFailures": [{"itemIdentifier": "1"}]
    }


# --- limits


def test_limits_that_cannot_be_counted_let_requests_pass() -> None:
    store = limit_store()
    store.table = "no-such-table"
    taken = store.take(Claim("bob", "requests", Rate(1, 60), places=1, lease_seconds=30), 1000)
    assert (taken.refused, taken.due, taken.lease) == (None, None, None)
    assert store.reserve_seconds("bob", 7, 6, 10)
    store.add_seconds("bob", 7, -6)()
    store.release("bob", "requests", "1#a")()
