"""Choose the adapters, only here, and give handlers their ports.

Imports are inside the functions, so that a Lambda function loads only what it uses.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.accounts.keys import Caller
    from gateway.accounts.own_keys import OwnKeys
    from gateway.providers.operators import Operator
    from gateway.settings import CatalogSettings
    from gateway.store.ports import (
        CatalogStore,
        CredentialStore,
        KeyStore,
        LimitStore,
        ProviderStore,
        Stores,
        TotalsStore,
        UploadStore,
        UsageStore,
    )
    from gateway.transcription.request import OpenUpload
    from gateway.transcription.service import Dependencies
    from gateway.uploads import Uploads
    from gateway.usage.record import Record


class _Chosen:
    """The adapters in use; DynamoDB's unless a server chose others."""

    stores: "Stores | None" = None
    report: "Callable[[Record], None] | None" = None


def use(stores: "Stores", report: "Callable[[Record], None]") -> None:
    """Choose the adapters of this process, before its first request. `report` gets every finished usage record."""
    _Chosen.stores, _Chosen.report = stores, report
    transcription.cache_clear()


def stores() -> "Stores":
    """The adapters in use."""
    if _Chosen.stores is None:
        from gateway.store.dynamodb import stores as dynamodb

        _Chosen.stores = dynamodb
    return _Chosen.stores


def keys() -> "KeyStore":
    return stores().keys()


def catalog() -> "CatalogStore":
    return stores().catalog()


def providers() -> "ProviderStore":
    return stores().providers()


def credentials() -> "CredentialStore":
    return stores().credentials()


def limits() -> "LimitStore":
    return stores().limits()


def usage() -> "UsageStore":
    return stores().usage()


def totals() -> "TotalsStore":
    return stores().totals()


def upload_store() -> "UploadStore":
    return stores().uploads()


@cache
def catalog_settings() -> "CatalogSettings":
    """When a deployment counts as online and may be dialled (never the gateway's own hosts)."""
    from gateway import settings
    from gateway.providers.addresses import own_hosts

    read = settings.catalog_settings()
    return read.reached_at(own_hosts(read.public_url, read.domain_name))


def count_change(caller: "Caller") -> Mapping[str, str]:
    """Count one change against the user's rate, before its body is read. Returns the rate limit headers. Raises
    RateLimited."""
    from gateway.accounts.limits import take_change

    allowance = take_change(caller, limits(), time.time())
    return allowance.headers() if allowance else {}


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


def own_keys(caller: "Caller") -> "OwnKeys":
    """The user's keys at this moment."""
    from gateway.accounts.own_keys import OwnKeys

    return OwnKeys(caller.user_id, caller.key_id, keys(), time.time())


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

    settings = replace(transcribe_settings(), catalog=catalog_settings())
    client = ProviderClient(
        allow_private=settings.catalog.allow_private, ca_bundle=settings.provider_ca_bundle
    )
    return Dependencies(
        settings=settings,
        catalog=catalog(),
        client=client,
        open_upload=open_upload,
        decrypt=credentials().decrypt,
        limits=limits(),
        save=usage().save,
        report=_report(),
    )


def _report() -> "Callable[[Record], None]":
    if _Chosen.report is None:
        from gateway.usage.metrics import report

        return report
    return _Chosen.report


def prepare_store() -> object:
    """Create what almost every request needs of the store."""
    return stores().prepare()


def renew_store() -> None:
    """Close connections, which copies restored from one snapshot must not share."""
    stores().renew()
