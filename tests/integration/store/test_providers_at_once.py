"""Many concurrent registrations, on the embedded AWS, whose transactions work like DynamoDB's."""

import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from gateway.providers.provider import MAX_PROVIDERS
from gateway.store.dynamodb import aws
from gateway.store.dynamodb.providers import ProviderStore
from tests.conftest import TestAws


@pytest.fixture
def store(embedded_aws: TestAws, monkeypatch: pytest.MonkeyPatch) -> Iterator[ProviderStore]:
    for name, value in embedded_aws.environment("AgentsFunction").items():
        monkeypatch.setenv(name, value)
    for cached in (aws.session, aws._made):
        cached.cache_clear()
    aws.client("dynamodb")  # one client for all threads
    yield ProviderStore(embedded_aws.template.physical_name("ProvidersTable"))
    for cached in (aws.session, aws._made):
        cached.cache_clear()


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
