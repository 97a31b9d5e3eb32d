"""Operators' agents (register, manifest, heartbeat) and an operator's own providers."""

import time
from typing import Any

from aws_lambda_powertools.event_handler import Response

from gateway.http import caller_of, json_response, new_app, path_parameter, read_json, resolve
from gateway.lifecycle import prepare
from gateway.operators import Operator
from gateway.settings import catalog_settings
from gateway.store import aws
from gateway.store.credentials import credential_store
from gateway.store.keys import key_store
from gateway.store.providers import provider_store

app = new_app()


@app.post("/api/inference/agent/register")
def register() -> "Response[str]":
    return json_response(operator().register(read_json(event())))


@app.put("/api/inference/agent/manifest")
def upload_manifest() -> "Response[str]":
    return json_response(operator().upload_manifest(read_json(event())))


@app.post("/api/inference/agent/heartbeat")
def heartbeat() -> "Response[str]":
    return json_response(operator().heartbeat(read_json(event())))


@app.get("/v1/providers")
def list_providers() -> "Response[str]":
    return json_response(operator().list_providers())


@app.patch("/v1/providers/[^/]+")
def change_provider() -> "Response[str]":
    return json_response(operator().change_provider(path_parameter(event(), "name"), read_json(event())))


@app.delete("/v1/providers/[^/]+")
def delete_provider() -> "Response[str]":
    return json_response(operator().delete(path_parameter(event(), "name")))


@app.patch("/v1/providers/[^/]+/services/[^/]+")
def change_service() -> "Response[str]":
    name, service = path_parameter(event(), "name"), path_parameter(event(), "service")
    return json_response(operator().change_service(name, service, read_json(event())))


def event() -> dict[str, Any]:
    return app.current_event.raw_event


def operator() -> Operator:
    user_id = caller_of(event()).user_id
    return Operator(
        user_id,
        provider_store(),
        credential_store(),
        catalog_settings(),
        time.time(),
        is_own_key=lambda key: key_store().knows(key),
    )


def handler(raw_event: dict[str, Any], context: Any) -> dict[str, Any]:
    return resolve(app, raw_event, context)


prepare(aws.dynamodb, catalog_settings, renew=[aws.close_connections])
