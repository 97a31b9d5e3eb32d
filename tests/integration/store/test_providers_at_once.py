"""Many concurrent registrations, on the embedded AWS, whose transactions work like DynamoDB's."""

import secrets
from concurrent.futures import ThreadPoolExecutor

import pytest

from gateway.providers.provider import MAX_PROVIDERS
from gateway.store.dynamodb.providers import ProviderStore
from tests.conftest import TestAws


@pytest.fixture
def store(concurrent_aws: TestAws) -> ProviderStore:
    return ProviderStore(concurrent_aws.template.physical_name("ProvidersTable"))


def test_twenty_of_many_concurrent_registrations_are_accepted(store: ProviderStore) -> None:
    owner = secrets.token_hex(8)
    for number in range(MAX_PROVIDERS - 3):
        assert store.beat(owner, f"box-{number}", 1000, create=True)
    with ThreadPoolExecutor(8) as threads:
        known = list(threads.map(lambda name: store.beat(owner, f"late-{name}", 1000, create=True), range(8)))
    assert known.count(True) == 3
    assert len(store.owned(owner)) == MAX_PROVIDERS


def test_one_provider_that_registers_many_times_at_once_is_created_once(store: ProviderStore) -> None:
    owner = secrets.token_hex(8)
    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(lambda _: store.beat(owner, "home", 1000, create=True), range(8)))
    assert len(store.owned(owner)) == 1
