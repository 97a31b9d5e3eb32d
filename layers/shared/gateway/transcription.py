"""The use case: a form in, a transcript out, and a usage record whatever happens."""

import json
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from gateway import answers, deadline, limits, routing, transcription_request
from gateway.catalog import callable_models, pool_of
from gateway.deployments import Deployment, slug_of, usable
from gateway.errors import GatewayError, InternalError, LoopDetected, NoProvider, UpstreamError
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
# Gateways that one request may go through: a box behind a gateway behind a gateway is more than anybody needs.
MAX_GATEWAYS = 8
_GATEWAY_ID = r"(?<![0-9a-f-])[0-9a-f-]{16,64}(?![0-9a-f-])"
_LEASE_SLACK_SECONDS = 5.0


class Catalog(Protocol):
    """Where deployments are looked up; `store.catalog.CatalogStore` is the real one."""

    def deployments(self, model: str, user_id: str) -> list[Deployment]: ...

    def listing(self, user_id: str) -> list[Deployment]: ...


@dataclass(frozen=True, slots=True)
class Call:
    """What is known of one request before its body is read.

    `started_at` is in epoch seconds, `deadline` in seconds on the monotonic clock. `via` is the gateways' own header,
    `proxies` every form of `Via`, as they were sent. The last two ids are the client's to choose.
    """

    caller: Caller
    request_id: str
    started_at: float
    deadline: float
    via: str = ""
    proxies: str = ""
    own_hosts: frozenset[str] = frozenset()
    api_gateway_request_id: str | None = None
    client_request_id: str | None = None


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
    # Takes a finished record and returns when it is kept somewhere.
    save: Callable[[Record], None]
    health: Health = field(default_factory=Health)
    now: Callable[[], float] = time.time
    clock: Callable[[], float] = time.monotonic


def run(call: Call, read_form: Callable[[], Sequence[Part]], gateway: Gateway) -> Reply:
    """Transcribe. Raises GatewayError; the usage record is kept before the caller learns of either."""
    record = _begin(call)
    admission = reservation = None
    failure: Exception | None = None
    try:
        via = _check_loop(call, gateway.settings.gateway_id)
        admission = _admit(call, gateway)
        request = replace(_read(call, read_form(), gateway, record), via=via)
        eligible = _find(call, request, gateway)
        record.model = eligible[0].model.slug
        reservation = limits.reserve_seconds(
            call.caller, record.duration.billed, len(request.file.content), gateway.limits, gateway.now()
        )
        reply = _serve(call, request, eligible, gateway, record)
        record.http_status = 200
    except Exception as error:
        failure = error
        known = error if isinstance(error, GatewayError) else InternalError()
        record.http_status, record.error_type = known.status, known.type
    record.latency_ms = round((gateway.now() - call.started_at) * 1000)
    with deadline.extended(deadline.MARGIN_SECONDS):
        # What limits get back is begun beside the record, and waited for after it.
        given_back = limits.close(call.caller, admission, reservation, record.billed_seconds, gateway.limits)
        gateway.save(record)
        given_back()
    headers = admission.headers() if admission else {}
    if isinstance(failure, GatewayError):
        raise failure.with_headers(headers)
    if failure:  # a repeat would send the audio again, and a defect would meet it again
        raise InternalError({"x-should-retry": "false"} | headers) from failure
    return replace(reply, headers=reply.headers | headers)


def _begin(call: Call) -> Record:
    return Record(
        call.request_id,
        call.caller.user_id,
        call.caller.key_id,
        call.started_at,
        api_gateway_request_id=call.api_gateway_request_id,
        client_request_id=call.client_request_id,
    )


def _check_loop(call: Call, gateway_id: str) -> tuple[str, ...]:
    """The ids of the gateways that a request went through, this one's last, as the next one is told.

    Raises LoopDetected when it went through this one before. Two gateways that call each other see only each
    other's id, so ids are handed on; a request that has been through many comes to no good end either.
    """
    through = tuple(re.findall(_GATEWAY_ID, call.via.lower()))
    if gateway_id in f"{call.via} {call.proxies}".lower() or len(through) >= MAX_GATEWAYS:
        raise LoopDetected
    return *through, gateway_id


def _admit(call: Call, gateway: Gateway) -> limits.Admission:
    # The place is free again when this request must long be over.
    lease_seconds = call.deadline - gateway.clock() + _LEASE_SLACK_SECONDS
    return limits.admit(
        call.caller,
        gateway.limits,
        gateway.now(),
        most_in_flight=gateway.settings.max_in_flight_per_user,
        lease_seconds=lease_seconds,
    )


def _find(call: Call, request: TranscriptionRequest, gateway: Gateway) -> list[Deployment]:
    """The deployments that this caller can call for the model. Raises NoProvider."""
    candidates = gateway.catalog.deployments(request.model, call.caller.user_id)
    eligible = pool_of(slug_of(request.model), _usable(candidates, call, gateway))
    if not eligible:
        raise _no_provider(call, gateway)
    return eligible


def _usable(candidates: Sequence[Deployment], call: Call, gateway: Gateway) -> list[Deployment]:
    settings = gateway.settings.catalog.reached_at(call.own_hosts)
    return usable(candidates, call.caller, settings, gateway.now())


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
        gateway.client,
        gateway.health,
        gateway.decrypt,
        gateway.settings.max_attempts,
        gateway.clock,
        call.caller.user_id,
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
    listed = _usable(gateway.catalog.listing(call.caller.user_id), call, gateway)
    models = callable_models(listed)[:5]
    online = f"Online now: {', '.join(models)}." if models else "No model is online for this key now."
    return NoProvider(f"No online STT provider serves this model for this key. {online}", param="model")
