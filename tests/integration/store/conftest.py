"""What tests of concurrent calls to a store share."""

from collections.abc import Iterator

import pytest

from gateway.store.dynamodb import aws
from tests.conftest import TestAws


@pytest.fixture
def concurrent_aws(embedded_aws: TestAws, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestAws]:
    """The embedded AWS, with one client for all threads."""
    for name, value in embedded_aws.environment("AgentsFunction").items():
        monkeypatch.setenv(name, value)
    for cached in (aws.session, aws._made):
        cached.cache_clear()
    aws.client("dynamodb")
    yield embedded_aws
    for cached in (aws.session, aws._made):
        cached.cache_clear()
