"""The DynamoDB adapters, one function per port.

Imports are inside the functions, so that a Lambda function loads only the adapters it uses.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.store.ports import (
        CatalogStore,
        CredentialStore,
        KeyStore,
        LimitStore,
        ProviderStore,
        TotalsStore,
        UploadStore,
        UsageStore,
    )


def keys() -> "KeyStore":
    from gateway.store.dynamodb.keys import key_store

    return key_store()


def catalog() -> "CatalogStore":
    from gateway.store.dynamodb.catalog import catalog_store

    return catalog_store()


def providers() -> "ProviderStore":
    from gateway.store.dynamodb.providers import provider_store

    return provider_store()


def credentials() -> "CredentialStore":
    from gateway.store.dynamodb.credentials import credential_store

    return credential_store()


def limits() -> "LimitStore":
    from gateway.store.dynamodb.limits import limit_store

    return limit_store()


def usage() -> "UsageStore":
    from gateway.store.dynamodb.usage import usage_store

    return usage_store()


def totals() -> "TotalsStore":
    from gateway.store.dynamodb.totals import totals_store

    return totals_store()


def uploads() -> "UploadStore":
    from gateway.store.dynamodb.uploads import upload_store

    return upload_store()


def prepare() -> object:
    """Create the client that almost every request needs."""
    from gateway.store.dynamodb import aws

    return aws.dynamodb()


def renew() -> None:
    """Close connections."""
    from gateway.store.dynamodb import aws

    aws.close_connections()
