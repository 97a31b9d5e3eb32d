"""POST /v1/uploads, its parts, complete and cancel: for audio too large for one request."""

from collections.abc import Sequence
from typing import Any

from gateway import compose
from gateway.errors import MissingFile
from gateway.http import (
    Event,
    Response,
    Route,
    caller_of,
    json_response,
    lambda_handler,
    path_parameter,
    read_form,
    read_json,
)
from gateway.lifecycle import prepare
from gateway.multipart import Part
from gateway.settings import request_settings
from gateway.uploads import Uploads


def create(event: Event, _context: Any) -> Response:
    return json_response(uploads(event).create(read_json(event)))


def add_part(event: Event, _context: Any) -> Response:
    return json_response(uploads(event).add_part(path_parameter(event, "id"), form(event)))


def complete(event: Event, _context: Any) -> Response:
    return json_response(uploads(event).complete(path_parameter(event, "id"), read_json(event)))


def cancel(event: Event, _context: Any) -> Response:
    return json_response(uploads(event).cancel(path_parameter(event, "id")))


def form(event: Event) -> Sequence[Part]:
    """The part's form. No form counts as one without fields, so the error names this route's field."""
    try:
        return read_form(event)
    except MissingFile:
        return ()


def uploads(event: Event) -> Uploads:
    return compose.uploads(caller_of(event))


ROUTES = (
    Route("POST", "/v1/uploads", create),
    Route("POST", "/v1/uploads/{id}/parts", add_part),
    Route("POST", "/v1/uploads/{id}/complete", complete),
    Route("POST", "/v1/uploads/{id}/cancel", cancel),
)
handler = lambda_handler(ROUTES)

prepare(compose.prepare_store, request_settings, renew=[compose.renew_store])
