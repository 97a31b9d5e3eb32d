"""Usage records when no service of AWS answers: a real socket that stays silent."""

import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

from gateway import deadline
from gateway.store import aws
from gateway.store.usage import LOST_RECORD, UsageStore
from local.embedded_aws import CREDENTIALS

RECORD: dict[str, Any] = {"user_id": "alice", "time": "2026-01-01T00:00:00.000Z", "request_id": "r1"}


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
        for service in ("dynamodb", "sqs"):  # made in a function's initialisation, not in its last second
            aws.client(service)
    started = time.monotonic()
    with deadline.within(within):
        store.save(RECORD)
    took = time.monotonic() - started
    (lost,) = [each for each in caplog.records if each.getMessage() == LOST_RECORD]
    assert lost.__dict__["record"] == RECORD
    assert took < at_most + 2  # a busy test machine's
