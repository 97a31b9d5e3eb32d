"""/v1/keys: a user's own keys."""

from typing import Any

from gateway import compose
from gateway.accounts.own_keys import OwnKeys
from gateway.http import (
    Event,
    Response,
    Route,
    caller_of,
    json_response,
    lambda_handler,
    path_parameter,
    read_json,
)
from gateway.lifecycle import prepare


def make(event: Event, _context: Any) -> Response:
    headers = compose.count_change(caller_of(event))
    # The answer has a key in clear, which no cache on its way may keep.
    return json_response(keys(event).make(read_json(event)), headers={**headers, "cache-control": "no-store"})


def list_keys(event: Event, _context: Any) -> Response:
    return json_response(keys(event).list())


def revoke(event: Event, _context: Any) -> Response:
    # Not counted: a thief who uses up the changes of a minute must not keep the user from revoking the stolen key.
    return json_response(keys(event).revoke(path_parameter(event, "id")))


def keys(event: Event) -> OwnKeys:
    return compose.own_keys(caller_of(event))


ROUTES = (
    Route("POST", "/v1/keys", make),
    Route("GET", "/v1/keys", list_keys),
    Route("DELETE", "/v1/keys/{id}", revoke),
)
handler = lambda_handler(ROUTES)

prepare(compose.prepare_store, compose.keys, renew=[compose.renew_store])
