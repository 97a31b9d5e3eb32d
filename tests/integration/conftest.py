"""An AWS in the test's own process, with the resources of `template.yaml`."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from gateway import compose, settings
from gateway.store.dynamodb import aws, catalog, credentials, keys, limits, providers, totals, uploads, usage
from tests.stack import CREDENTIALS, create_resources
from tests.template import Template

CACHED = (
    aws._made,
    aws.session,
    catalog.catalog_store,
    credentials.credential_store,
    keys.key_store,
    limits.limit_store,
    providers.provider_store,
    totals.totals_store,
    uploads.upload_store,
    usage.usage_store,
    settings.catalog_settings,
    settings.transcribe_settings,
    settings.request_settings,
    compose.catalog_settings,
    compose.transcription,
    settings.usage_settings,
)


@pytest.fixture
def in_process_aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Template]:
    """moto without a server, with the environment of all functions and with empty caches."""
    template = Template()
    for function in template.functions().values():
        for name, value in function.environment.items():
            monkeypatch.setenv(name, value)
    for name, value in {**CREDENTIALS, "POWERTOOLS_METRICS_DISABLED": "true"}.items():
        monkeypatch.setenv(name, value)
    with mock_aws():
        client: Any = boto3.client  # its stubs know each service by name, not any text
        create_resources(template, client)
        _forget()
        yield template
    _forget()


def _forget() -> None:
    for cached in CACHED:
        cached.cache_clear()
