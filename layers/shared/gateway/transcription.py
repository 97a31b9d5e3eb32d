"""The use case: a form in, a transcript out, and a usage record whatever happens."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from gateway import answers, limits, routing, transcription_request
from gateway.catalog import callable_models, pool_of
from gateway.deployments import Deployment, slug_of, usable
from gateway.errors import GatewayError, InternalError, NoProvider, UpstreamError
from gateway.failover import Decrypt, Failover, Success
from gateway.health import Health
from gateway.keys import Caller
from gateway.limits import LimitStore
from gateway.multipart import Part
from gateway.provider_client import ProviderClient
from gateway.settings import TranscribeSettings
from gateway.transcription_request import JSON, VERBOSE_JSON, OpenUpload, TranscriptionRequest
from gateway.usage import Record, settle

# Lambda carries 6,291,556 bytes of response JSON, in which every quote and backslash is escaped.
MOST_REPLY_BYTES = int(5.5 * 1024 * 1024)
_MOST_CARRIED_BYTES = 6_280_000
DOWNGRADED = "x-downgraded-response-format"


class Catalog(Protocol):
    """Where deployments are looked up; `store.catalog.CatalogStore` is the real one."""

    def deployments(self, model: str, user_id: str) -> list[Deployment]: ...

    def listing(self, user_id: str) -> list[Deployment]: ...


@dataclass(frozen=True, slots=True)
class Call:
    """What is known of one request before its body is read.

    `started_at` is in epoch seconds, `deadline` in seconds on the monotonic clock.
    """

    caller: Caller
    request_id: str
    started_at: float
    deadline: float


@dataclass(frozen=True, slots=True)
class Reply:
    """A successful answer: its JSON body, ready to be sent, and its headers."""

    body: str
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Gateway:
    """What a transcription works with; one per warm process."""

    settings: TranscribeSettings
    catalog: Catalog
    client: ProviderClient
    open_upload: Callable[[Caller], OpenUpload]
    decrypt: Decrypt
    limits: LimitStore
    # Takes a finished record and the seconds left of the request's budget, and returns when it is kept somewhere.
    save: Callable[[Record, float], None]
    health: Health = field(default_factory=Health)
    now: Callable[[], float] = time.time
    clock: Callable[[], float] = time.monotonic


def run(call: Call, read_form: Callable[[], Sequence[Part]], gateway: Gateway) -> Reply:
    """Transcribe. Raises GatewayError; the usage record is written before the caller learns of either."""
    record = Record.begin(call.caller, call.request_id, call.started_at)
    allowance = None
    try:
        allowance = limits.take_request(call.caller, gateway.limits, gateway.now())
        reply = _transcribe(call, read_form, gateway, record)
        record.http_status = 200
    except GatewayError as error:
        record.http_status, record.error_type = error.status, error.type
        error.headers |= allowance.headers() if allowance else {}
        raise
    except Exception:
        record.http_status, record.error_type = InternalError.status, InternalError.type
        raise
    finally:
        record.latency_ms = round((gateway.now() - call.started_at) * 1000)
        gateway.save(record, call.deadline - gateway.clock())
    return replace(reply, headers=reply.headers | allowance.headers()) if allowance else reply


def _transcribe(
    call: Call, read_form: Callable[[], Sequence[Part]], gateway: Gateway, record: Record
) -> Reply:
    request = _read(call, read_form(), gateway, record)
    candidates = gateway.catalog.deployments(request.model, call.caller.user_id)
    eligible = pool_of(
        slug_of(request.model), usable(candidates, call.caller, gateway.settings.catalog, gateway.now())
    )
    if not eligible:
        raise _no_provider(call, gateway)
    record.model = eligible[0].model.slug
    reserved = limits.reserve_seconds(call.caller, record.duration.billed, gateway.limits, gateway.now())
    billed = 0
    try:
        reply = _serve(call, request, eligible, gateway, record)
        billed = record.duration.billed or 0
    finally:
        if reserved:
            reserved.settle(billed)
    return reply


def _serve(
    call: Call,
    request: TranscriptionRequest,
    eligible: Sequence[Deployment],
    gateway: Gateway,
    record: Record,
) -> Reply:
    """The reply of the first deployment that gives a transcript."""
    ordered = routing.order(
        eligible, call.caller, gateway.health, gateway.clock(), verbose=request.is_verbose
    )
    failover = Failover(
        gateway.client, gateway.health, gateway.decrypt, gateway.settings.max_attempts, gateway.clock
    )
    try:
        success = failover.run(request, ordered, call.deadline)
    finally:
        record.attempts = failover.attempts
    reply = _render(request, success, failover.tried, record)
    record.provider = f"{success.deployment.owner}/{success.deployment.provider}"
    record.service = success.deployment.service
    record.model = success.deployment.model.slug
    return reply


def _read(call: Call, parts: Sequence[Part], gateway: Gateway, record: Record) -> TranscriptionRequest:
    """The request, checked in the contract's order, noting in the record what is learnt on the way."""
    content, label = transcription_request.file_of(parts, gateway.open_upload(call.caller))
    record.bytes = len(content)
    file = transcription_request.admit(content, label, gateway.settings)
    record.format = file.audio.format or file.extension
    record.duration = settle(file.audio.seconds, None)
    request = transcription_request.read_fields(parts, file)
    record.model = request.model.lower()[:256]
    record.language = request.language
    record.requested_format = request.response_format
    return request


def _render(request: TranscriptionRequest, success: Success, tried: int, record: Record) -> Reply:
    transcript, deployment = success.transcript, success.deployment
    record.duration = settle(request.file.audio.seconds, transcript.reported_seconds)
    said = transcript.language or ""
    record.language = (
        request.language or (said[:64] if said.isascii() and said.isprintable() else None) or None
    )
    headers = {"x-provider": f"{deployment.owner}/{deployment.provider}", "x-attempts": str(tried)}
    record.returned_format = VERBOSE_JSON if request.is_verbose and not success.downgraded else JSON
    record.faults = transcript.faults if request.is_verbose else ()
    if record.returned_format == VERBOSE_JSON:
        body = answers.render_verbose(transcript, record.duration, request.granularities)
    else:
        body = answers.render_json(transcript, record.duration)
    if success.downgraded:
        headers[DOWNGRADED] = JSON
    return Reply(_serialise(body, tried), headers)


def _serialise(body: dict[str, Any], tried: int) -> str:
    """As JSON that fits a reply. Raises UpstreamError when it does not, before anything is billed."""
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    try:
        size = len(text.encode())
    except UnicodeEncodeError:  # half a surrogate pair from a provider: only as an escape is it text
        text = json.dumps(body, separators=(",", ":"))
        size = len(text)
    if size > MOST_REPLY_BYTES or size + text.count('"') + text.count("\\") > _MOST_CARRIED_BYTES:
        raise UpstreamError(
            f"The transcript is larger than {MOST_REPLY_BYTES} bytes, the most that one reply carries.",
            headers={"x-should-retry": "false", "x-attempts": str(tried)},
        )
    return text


def _no_provider(call: Call, gateway: Gateway) -> NoProvider:
    listed = usable(
        gateway.catalog.listing(call.caller.user_id), call.caller, gateway.settings.catalog, gateway.now()
    )
    models = callable_models(listed)[:5]
    online = f"Online now: {', '.join(models)}." if models else "No model is online for this key now."
    return NoProvider(f"No online STT provider serves this model for this key. {online}", param="model")
