"""POST /v1/audio/transcriptions"""

import time
from functools import cache
from typing import Any

from aws_lambda_powertools.event_handler import Response

from gateway import deadline, transcription
from gateway.errors import NotFound
from gateway.http import (
    api_gateway_id_of,
    caller_of,
    client_id_of,
    json_response,
    new_app,
    own_hosts,
    read_form,
    request_id_of,
    resolve,
    via_of,
)
from gateway.keys import Caller
from gateway.lifecycle import prepare
from gateway.observability import report
from gateway.provider_client import ProviderClient
from gateway.settings import transcribe_settings
from gateway.store import aws
from gateway.store.catalog import catalog_store
from gateway.store.credentials import credential_store
from gateway.store.limits import limit_store
from gateway.store.uploads import upload_store
from gateway.store.usage import usage_store
from gateway.transcription import Call, Gateway
from gateway.transcription_request import OpenUpload
from gateway.uploads import Uploads
from gateway.usage import Record

app = new_app()


@app.post("/v1/audio/transcriptions")
def transcribe() -> "Response[str]":
    began = time.monotonic()
    event = app.current_event.raw_event
    budget = min(transcribe_settings().request_budget_seconds, deadline.left())
    via, proxies = via_of(event)
    call = Call(
        caller_of(event),
        request_id_of(event),
        time.time(),
        began + budget,
        via,
        proxies,
        own_hosts(event),
        api_gateway_id_of(event),
        client_id_of(event),
    )
    reply = transcription.run(call, lambda: read_form(event), gateway())
    took = {"openai-processing-ms": str(round((time.monotonic() - began) * 1000))}
    return json_response(reply.body, headers=reply.headers | took)


@app.post("/v1/audio/translations")
def translate() -> "Response[str]":
    raise NotFound("Translations are not available: use POST /v1/audio/transcriptions.")


@cache
def gateway() -> Gateway:
    settings = transcribe_settings()
    client = ProviderClient(
        allow_private=settings.catalog.allow_private, ca_bundle=settings.provider_ca_bundle
    )
    return Gateway(
        settings, catalog_store(), client, open_upload, credential_store().decrypt, limit_store(), save
    )


def open_upload(caller: Caller) -> OpenUpload:
    return Uploads(caller.user_id, upload_store(), time.time()).open_file


def save(record: Record) -> None:
    item = record.to_item(transcribe_settings().usage_retention_days)
    usage_store().save(item)
    report(record)  # after it, and never raising: metrics must not cost a recorded answer


def forget() -> None:
    """What one restored copy must not share with the next: connections, lookups, credentials."""
    aws.close_connections()
    gateway().client.close()
    catalog_store().forget()
    credential_store().forget()


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    return resolve(app, event, context)


prepare(aws.dynamodb, gateway, renew=[forget])
