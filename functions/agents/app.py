"""Operators' agents (register, manifest, heartbeat) and an operator's own providers."""

import time
from typing import Any

from aws_lambda_powertools.event_handler import Response

from gateway import limits
from gateway.http import caller_of, json_response, new_app, own_hosts, path_parameter, read_json, resolve
from gateway.lifecycle import prepare
from gateway.operators import Operator
from gateway.settings import catalog_settings
from gateway.store import aws
from gateway.store.credentials import credential_store
from gateway.store.keys import key_store
from gateway.store.limits import limit_store
from gateway.store.providers import provider_store

app = new_app()


@app.post("/api/inference/agent/register")
def register() -> "Response[str]":
    headers = changes()
    return json_response(operator().register(read_json(event())), headers=headers)


@app.put("/api/inference/agent/manifest")
def upload_manifest() -> "Response[str]":
    headers = changes()
    return json_response(operator().upload_manifest(read_json(event())), headers=headers)


@app.post("/api/inference/agent/heartbeat")
def heartbeat() -> "Response[str]":
    return json_response(operator().heartbeat(read_json(event())))


@app.get("/v1/providers")
def list_providers() -> "Response[str]":
    return json_response(operator().list_providers())


@app.patch("/v1/providers/[^/]+")
def change_provider() -> "Response[str]":
    headers, name = changes(), path_parameter(event(), "name")
    return json_response(operator().change_provider(name, read_json(event())), headers=headers)


@app.delete("/v1/providers/[^/]+")
def delete_provider() -> "Response[str]":
    return json_response(operator().delete(path_parameter(event(), "name")))


@app.patch("/v1/providers/[^/]+/services/[^/]+")
def change_service() -> "Response[str]":
    headers = changes()
    name, service = path_parameter(event(), "name"), path_parameter(event(), "service")
    return json_response(operator().change_service(name, service, read_json(event())), headers=headers)


def event() -> dict[str, Any]:
    return app.current_event.raw_event


def operator() -> Operator:
    caller = caller_of(event())
    settings = catalog_settings().reached_at(own_hosts(event()))
    return Operator(
        caller.user_id,
        provider_store(),
        credential_store(),
        settings,
        time.time(),
        is_own_key=lambda key: key_store().knows(key),
        charge=lambda size: limits.charge_change(caller, size, limit_store(), time.time()),
    )


def changes() -> dict[str, str]:
    """Count one change against the operator's rate, before its body is read; the headers that say what is left.
    Raises RateLimited."""
    allowance = limits.take_change(caller_of(event()), limit_store(), time.time())
    return allowance.headers() if allowance else {}


def handler(raw_event: dict[str, Any], context: Any) -> dict[str, Any]:
    return resolve(app, raw_event, context)


prepare(aws.dynamodb, catalog_settings, renew=[aws.close_connections])
