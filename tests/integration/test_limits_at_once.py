"""Limits under many requests at once, on the embedded AWS, which loses no update as DynamoDB loses none."""

import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from gateway.store import aws
from gateway.store.limits import LimitStore
from tests.conftest import TestAws


@pytest.fixture
def store(embedded_aws: TestAws, monkeypatch: pytest.MonkeyPatch) -> Iterator[LimitStore]:
    for name, value in embedded_aws.environment("TranscribeFunction").items():
        monkeypatch.setenv(name, value)
    for cached in (aws.session, aws.client):
        cached.cache_clear()
    aws.client("dynamodb")  # one client for all threads
    yield LimitStore(embedded_aws.template.physical_name("LimitsTable"))
    for cached in (aws.session, aws.client):
        cached.cache_clear()


def test_of_forty_requests_at_once_exactly_a_minutes_worth_passes(store: LimitStore) -> None:
    user = secrets.token_hex(8)
    with ThreadPoolExecutor(16) as threads:
        taken = list(threads.map(lambda _: store.take_request(user, 2, 60, 1000)[0], range(40)))
    assert sum(taken) == 30


def test_requests_at_once_cannot_reserve_more_than_the_quota(store: LimitStore) -> None:
    user = secrets.token_hex(8)
    with ThreadPoolExecutor(16) as threads:
        taken = list(threads.map(lambda _: store.reserve_seconds(user, 7, 3, 10), range(16)))
    assert sum(taken) == 3
