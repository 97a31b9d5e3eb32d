"""Choose the adapters, only here, and give handlers their ports.

Imports are inside the functions, so that a Lambda function loads only the adapters it uses.
"""

import time
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.accounts.keys import Caller
    from gateway.providers.operators import Operator
    from gateway.settings import CatalogSettings
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
    from gateway.transcription.request import OpenUpload
    from gateway.transcription.service import Dependencies
    from gateway.uploads import Uploads


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


def upload_store() -> "UploadStore":
    from gateway.store.dynamodb.uploads import upload_store

    return upload_store()


@cache
def catalog_settings() -> "CatalogSettings":
    """When a deployment counts as online and may be dialled (never the gateway's own hosts)."""
    from gateway import settings
    from gateway.providers.addresses import own_hosts

    read = settings.catalog_settings()
    return read.reached_at(own_hosts(read.public_url, read.domain_name))


def operator(caller: "Caller", settings: "CatalogSettings") -> "Operator":
    """The operator's view of the gateway at this moment."""
    from gateway.accounts.limits import charge_change
    from gateway.providers.operators import Operator

    return Operator(
        caller.user_id,
        providers(),
        credentials(),
        settings,
        time.time(),
        is_own_key=lambda key: keys().knows(key),
        charge=lambda size: charge_change(caller, size, limits(), time.time()),
    )


def uploads(caller: "Caller") -> "Uploads":
    """The user's uploads at this moment."""
    from gateway.settings import request_settings
    from gateway.uploads import Uploads

    return Uploads(caller.user_id, upload_store(), time.time(), request_settings().single_request_bytes)


def open_upload(caller: "Caller") -> "OpenUpload":
    """A function that reads a user's completed uploads."""
    from gateway.uploads import Uploads

    return Uploads(caller.user_id, upload_store(), time.time()).open_file


@cache
def transcription() -> "Dependencies":
    """A transcription's ports and settings; one per process."""
    from gateway.settings import transcribe_settings
    from gateway.transcription.service import Dependencies
    from gateway.upstream.client import ProviderClient
    from gateway.usage.metrics import report

    settings = replace(transcribe_settings(), catalog=catalog_settings())
    client = ProviderClient(
        allow_private=settings.catalog.allow_private, ca_bundle=settings.provider_ca_bundle
    )
    return Dependencies(
        settings,
        catalog(),
        client,
        open_upload,
        credentials().decrypt,
        limits(),
        usage().save,
        report,
    )


def prepare_store() -> object:
    """Create the client that almost every request needs."""
    from gateway.store.dynamodb import aws

    return aws.dynamodb()


def renew_store() -> None:
    """Close connections, which copies restored from one snapshot must not share."""
    from gateway.store.dynamodb import aws

    aws.close_connections()
