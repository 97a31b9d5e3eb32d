"""Operators' agents (register, manifest, heartbeat) and an operator's own providers."""

from typing import Any

from gateway import compose
from gateway.http import (
    Event,
    Response,
    Route,
    caller_of,
    json_response,
    lambda_handler,
    own_hosts,
    path_parameter,
    read_json,
)
from gateway.lifecycle import prepare
from gateway.providers.operators import Operator


def register(event: Event, _context: Any) -> Response:
    headers = compose.count_change(caller_of(event))
    return json_response(operator(event).register(read_json(event)), headers=headers)


def upload_manifest(event: Event, _context: Any) -> Response:
    headers = compose.count_change(caller_of(event))
    return json_response(operator(event).upload_manifest(read_json(event)), headers=headers)


def heartbeat(event: Event, _context: Any) -> Response:
    return json_response(operator(event).heartbeat(read_json(event)))


def list_providers(event: Event, _context: Any) -> Response:
    return json_response(operator(event).list_providers())


def change_provider(event: Event, _context: Any) -> Response:
    headers, name = compose.count_change(caller_of(event)), path_parameter(event, "name")
    return json_response(operator(event).change_provider(name, read_json(event)), headers=headers)


def change_service(event: Event, _context: Any) -> Response:
    headers = compose.count_change(caller_of(event))
    name, service = path_parameter(event, "name"), path_parameter(event, "service")
    return json_response(operator(event).change_service(name, service, read_json(event)), headers=headers)


def delete_provider(event: Event, _context: Any) -> Response:
    return json_response(operator(event).delete(path_parameter(event, "name")))


def operator(event: Event) -> Operator:
    return compose.operator(caller_of(event), compose.catalog_settings().reached_at(own_hosts(event)))


ROUTES = (
    Route("POST", "/api/inference/agent/register", register),
    Route("PUT", "/api/inference/agent/manifest", upload_manifest),
    Route("POST", "/api/inference/agent/heartbeat", heartbeat),
    Route("GET", "/v1/providers", list_providers),
    Route("PATCH", "/v1/providers/{name}", change_provider),
    Route("DELETE", "/v1/providers/{name}", delete_provider),
    Route("PATCH", "/v1/providers/{name}/services/{service}", change_service),
)
handler = lambda_handler(ROUTES)

prepare(compose.prepare_store, compose.catalog_settings, renew=[compose.renew_store])
