"""POST /v1/audio/transcriptions in OpenAI's format, answered by the recogniser."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.message import Message
from typing import Any

from requests_toolbelt.multipart.decoder import (
    ImproperBodyPartContentException,
    MultipartDecoder,
    NonMultipartContentTypeException,
)
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from local.recogniser.worker import BadAudio, RecogniserFailed, Recognisers
from server.body import BodyStalled, BodyTooLarge, ClientGone, RefusalResponse, read_body

MODEL = "pocketsphinx/en-us"
MAX_BODY_BYTES = 26_214_400 + 512 * 1024
_GRANULARITIES = ("word", "segment")


class BadRequest(Exception):
    """What is wrong with the request, and in which field."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


@dataclass
class Form:
    """The fields of a transcription request."""

    audio: bytes | None = None
    fields: dict[str, list[str]] = field(default_factory=dict)

    def one(self, name: str, default: str) -> str:
        """A field's first value."""
        return self.fields.get(name, [default])[0]


def new_app(size: int | None = None) -> Starlette:
    """The server; `size` worker processes, by default one per core."""
    recognisers = Recognisers(size)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        app.state.recognisers = recognisers
        await recognisers.start()
        yield
        await recognisers.stop()

    return Starlette(
        routes=[
            Route("/v1/audio/transcriptions", _transcribe, methods=["POST"]),
            Route("/v1/models", _models, methods=["GET"]),
            Route("/healthz", _health, methods=["GET"]),
        ],
        lifespan=lifespan,
        exception_handlers={HTTPException: _http_error, Exception: _defect},
    )


async def _transcribe(request: Request) -> Response:
    try:
        body = await read_body(request.scope, request.receive, MAX_BODY_BYTES)
    except BodyTooLarge:
        return _error(413, f"The request is larger than {MAX_BODY_BYTES} bytes.", response=RefusalResponse)
    except (BodyStalled, ClientGone):
        return _error(408, "The request body did not arrive.", response=RefusalResponse)
    try:
        form = read_form(request.headers.get("content-type", ""), bytes(body))
        verbose, granularities = _wanted(form)
        if not form.audio:
            raise BadRequest("The request needs a field 'file' with audio in it.", "file")
        transcript = await request.app.state.recognisers.recognise(form.audio)
    except BadRequest as error:
        return _error(400, str(error), error.param)
    except BadAudio as error:
        return _error(400, str(error), "file")
    except RecogniserFailed:
        return _error(500, "The recogniser failed on this audio.", kind="server_error")
    return JSONResponse(_shaped(transcript, verbose, granularities))


def read_form(content_type: str, body: bytes) -> Form:
    """The fields of a multipart body. Raises BadRequest."""
    try:
        parts = MultipartDecoder(body, content_type).parts
    except (
        NonMultipartContentTypeException,
        ImproperBodyPartContentException,
        KeyError,
        TypeError,
        AttributeError,
    ) as error:
        raise BadRequest("The body is not well-formed multipart/form-data.") from error
    form = Form()
    for part in parts:
        name = _part_name(part.headers.get(b"Content-Disposition", b""))
        if name == "file":
            form.audio = part.content
        else:
            form.fields.setdefault(name.removesuffix("[]"), []).append(
                part.content.decode("utf-8", "replace")
            )
    return form


def _part_name(disposition: bytes) -> str:
    message = Message()
    # On some patch releases of Python, reading parameters takes time quadratic in their number.
    message["Content-Disposition"] = (
        disposition[:1024].decode("utf-8", "replace").replace("\r", "").replace("\n", "")
    )
    return str(message.get_param("name", "", header="Content-Disposition"))


def _wanted(form: Form) -> tuple[bool, list[str]]:
    response_format = form.one("response_format", "json")
    if response_format not in ("json", "verbose_json"):
        raise BadRequest("response_format must be json or verbose_json.", "response_format")
    granularities = form.fields.get("timestamp_granularities", ["segment"])
    if any(value not in _GRANULARITIES for value in granularities):
        raise BadRequest("timestamp_granularities[] must be word or segment.", "timestamp_granularities[]")
    return response_format == "verbose_json", granularities


def _shaped(transcript: dict[str, Any], verbose: bool, granularities: list[str]) -> dict[str, Any]:
    if not verbose:
        usage = {"type": "duration", "seconds": transcript["duration"]}
        return {"text": transcript["text"], "usage": usage}
    unwanted = {f"{name}s" for name in _GRANULARITIES if name not in granularities}
    return {key: value for key, value in transcript.items() if key not in unwanted}


async def _models(_: Request) -> Response:
    return JSONResponse({"object": "list", "data": [{"id": MODEL, "object": "model", "owned_by": "local"}]})


async def _health(_: Request) -> Response:
    return JSONResponse({"status": "ok"})


async def _http_error(_: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    return _error(status, "No such route." if status == 404 else "Not allowed here.")


async def _defect(_: Request, __: Exception) -> Response:
    return _error(500, "The recogniser failed.", kind="server_error")


def _error(
    status: int,
    message: str,
    param: str | None = None,
    kind: str = "invalid_request_error",
    response: type[Response] = Response,
) -> Response:
    content = json.dumps({"error": {"message": message, "type": kind, "param": param, "code": None}})
    return response(content, status_code=status, media_type="application/json")
