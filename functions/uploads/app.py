"""POST /v1/uploads, its parts, complete and cancel: audio too large for one request."""

import time
from collections.abc import Sequence
from typing import Any

from aws_lambda_powertools.event_handler import Response

from gateway.errors import MissingFile
from gateway.http import caller_of, json_response, new_app, path_parameter, read_form, read_json, resolve
from gateway.lifecycle import prepare
from gateway.multipart import Part
from gateway.settings import upload_settings
from gateway.store import aws
from gateway.store.uploads import upload_store
from gateway.uploads import Uploads

app = new_app()


@app.post("/v1/uploads")
def create() -> "Response[str]":
    return json_response(uploads().create(read_json(event())))


@app.post("/v1/uploads/[^/]+/parts")
def add_part() -> "Response[str]":
    return json_response(uploads().add_part(upload_id(), form()))


@app.post("/v1/uploads/[^/]+/complete")
def complete() -> "Response[str]":
    return json_response(uploads().complete(upload_id(), read_json(event())))


@app.post("/v1/uploads/[^/]+/cancel")
def cancel() -> "Response[str]":
    return json_response(uploads().cancel(upload_id()))


def event() -> dict[str, Any]:
    return app.current_event.raw_event


def upload_id() -> str:
    return path_parameter(event(), "id")


def form() -> Sequence[Part]:
    """The part's form; none at all is one without fields, whose error names the field of this route."""
    try:
        return read_form(event())
    except MissingFile:
        return ()


def uploads() -> Uploads:
    user_id = caller_of(event()).user_id
    return Uploads(user_id, upload_store(), time.time(), upload_settings().part_bytes)


def handler(raw_event: dict[str, Any], context: Any) -> dict[str, Any]:
    return resolve(app, raw_event, context)


prepare(aws.dynamodb, upload_settings, renew=[aws.close_connections])
