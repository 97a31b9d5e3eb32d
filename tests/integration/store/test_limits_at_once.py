"""Limits under many concurrent requests, on the embedded AWS, which like DynamoDB loses no update."""

import secrets
from concurrent.futures import ThreadPoolExecutor

import pytest

from gateway.accounts.limits import Claim, Rate
from gateway.store.dynamodb.limits import LimitStore
from tests.conftest import TestAws


@pytest.fixture
def store(concurrent_aws: TestAws) -> LimitStore:
    return LimitStore(concurrent_aws.template.physical_name("LimitsTable"))


def test_exactly_a_minutes_worth_of_forty_concurrent_requests_passes(store: LimitStore) -> None:
    claim = Claim(secrets.token_hex(8), "requests", Rate(2, 60))
    with ThreadPoolExecutor(16) as threads:
        taken = list(threads.map(lambda _: store.take(claim, 1000), range(40)))
    assert [each.refused for each in taken].count(None) == 30


def test_exactly_as_many_of_forty_concurrent_requests_run_as_there_are_places(
    store: LimitStore,
) -> None:
    claim = Claim(secrets.token_hex(8), "requests", None, places=5, lease_seconds=30)
    with ThreadPoolExecutor(16) as threads:
        taken = list(threads.map(lambda _: store.take(claim, 1000), range(40)))
    leases = [each.lease for each in taken if each.refused is None]
    assert len(set(leases)) == 5
    assert {each.refused for each in taken} == {None, "in_flight"}


def test_concurrent_requests_cannot_reserve_more_than_the_quota(store: LimitStore) -> None:
    user = secrets.token_hex(8)
    with ThreadPoolExecutor(16) as threads:
        taken = list(threads.map(lambda _: store.reserve_seconds(user, 7, 3, 10), range(16)))
    assert sum(taken) == 3
