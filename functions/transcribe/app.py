"""POST /v1/audio/transcriptions"""

import time
from typing import Any

from gateway import compose, deadline
from gateway.errors import NotFound
from gateway.http import (
    Event,
    Response,
    Route,
    api_gateway_id_of,
    caller_of,
    client_id_of,
    json_response,
    lambda_handler,
    own_hosts,
    read_form,
    request_id_of,
    via_of,
)
from gateway.lifecycle import prepare
from gateway.settings import transcribe_settings
from gateway.transcription import service
from gateway.transcription.service import RequestContext


def transcribe(event: Event, _context: Any) -> Response:
    began = time.monotonic()
    reply = service.run(context_of(event, began), lambda: read_form(event), compose.transcription())
    took = {"openai-processing-ms": str(round((time.monotonic() - began) * 1000))}
    return json_response(reply.body, headers=reply.headers | took)


def translate(_event: Event, _context: Any) -> Response:
    raise NotFound("Translations are not available: use POST /v1/audio/transcriptions.")


def context_of(event: Event, began: float) -> RequestContext:
    budget = min(transcribe_settings().request_budget_seconds, deadline.left())
    via, proxies = via_of(event)
    return RequestContext(
        caller=caller_of(event),
        request_id=request_id_of(event),
        started_at=time.time(),
        deadline=began + budget,
        via=via,
        proxies=proxies,
        own_hosts=own_hosts(event),
        api_gateway_request_id=api_gateway_id_of(event),
        client_request_id=client_id_of(event),
    )


def forget() -> None:
    """Drops what restored copies must not share: connections, lookups, credentials."""
    compose.renew_store()
    compose.transcription().client.close()
    compose.catalog().forget()
    compose.credentials().forget()


ROUTES = (
    Route("POST", "/v1/audio/transcriptions", transcribe),
    Route("POST", "/v1/audio/translations", translate),
)
handler = lambda_handler(ROUTES)

prepare(compose.prepare_store, compose.transcription, renew=[forget])
