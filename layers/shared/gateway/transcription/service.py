"""Run one transcription request: read the form, ask the deployments, keep one usage record."""

import json
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from gateway import deadline
from gateway.accounts import limits
from gateway.accounts.keys import Caller
from gateway.accounts.limits import Admission, Reservation
from gateway.errors import GatewayError, InternalError, LoopDetected, NoProvider, UpstreamError
from gateway.models import slug_of
from gateway.multipart import Part
from gateway.providers.deployments import Deployment, usable
from gateway.providers.model_list import callable_models, pool_of
from gateway.settings import GATEWAY_ID, TranscribeSettings
from gateway.transcription import routing
from gateway.transcription.cooldown import Cooldown
from gateway.transcription.failover import Decrypt, Failover, Outcome
from gateway.transcription.request import (
    JSON,
    VERBOSE_JSON,
    AudioFile,
    OpenUpload,
    SentFile,
    TranscriptionRequest,
    admit_file,
    find_file,
    read_fields,
)
from gateway.upstream.client import ProviderClient
from gateway.upstream.transcript import render_json, render_verbose
from gateway.usage.record import Duration, Record, settle

if TYPE_CHECKING:
    from gateway.store.ports import CatalogStore, LimitStore

# Lambda returns at most 6,291,556 bytes of JSON, and escapes every quote and backslash of the body.
MAX_REPLY_BYTES = int(5.5 * 1024 * 1024)
_MAX_CARRIED_BYTES = 6_280_000
DOWNGRADED = "x-downgraded-response-format"
# Gateways that one request may pass through. Three in a row is already unusual.
MAX_GATEWAYS = 8
_GATEWAY_ID = rf"(?<![0-9a-f-]){GATEWAY_ID}(?![0-9a-f-])"
_LEASE_SLACK_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class RequestContext:
    """One request before its body is read.

    `started_at` is in epoch seconds, `deadline` in seconds on the monotonic clock. `via` is the gateways' own header,
    `proxies` every form of `Via`, both as sent. The client can choose the last two ids.
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
    """A successful answer: the JSON body, the headers, and the fields for the usage record."""

    body: str
    headers: dict[str, str]
    format: str
    duration: Duration
    language: str | None
    # Lists of timings that were dropped because they cannot be correct.
    faults: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Steps:
    """The result of each step; None for a step that failed or did not run."""

    admission: Admission | None = None
    sent: SentFile | None = None
    file: AudioFile | None = None
    request: TranscriptionRequest | None = None
    pool: Sequence[Deployment] = ()
    reservation: Reservation | None = None
    outcome: Outcome | None = None
    reply: Reply | None = None
    failure: Exception | None = None


@dataclass(frozen=True, slots=True)
class Dependencies:
    """The ports and settings of a transcription; one per warm process."""

    settings: TranscribeSettings
    catalog: "CatalogStore"
    client: ProviderClient
    open_upload: Callable[[Caller], OpenUpload]
    decrypt: Decrypt
    limits: "LimitStore"
    # Takes a finished record and returns once it is stored.
    save: Callable[[Record], None]
    # Runs after `save` and raises nothing: a metrics failure must not lose a recorded answer.
    report: Callable[[Record], None] = lambda _: None
    cooldown: Cooldown = field(default_factory=Cooldown)
    now: Callable[[], float] = time.time
    clock: Callable[[], float] = time.monotonic


def run(
    context: RequestContext, read_form: Callable[[], Sequence[Part]], dependencies: Dependencies
) -> Reply:
    """Transcribe. Raises GatewayError. Stores the usage record before it returns or raises; if that fails, there is no
    transcript either."""
    steps = _take(context, read_form, dependencies)
    record = _record(context, steps, dependencies.now())
    with deadline.extended(deadline.MARGIN_SECONDS):
        # Return the lease and unused seconds while the record is written, then wait for them.
        given_back = limits.close(
            context.caller, steps.admission, steps.reservation, record.billed_seconds, dependencies.limits
        )
        try:
            dependencies.save(record)
            dependencies.report(record)
        finally:  # `save` raises if the record cannot be stored
            given_back()
    headers = steps.admission.headers() if steps.admission else {}
    if steps.reply:
        return replace(steps.reply, headers=steps.reply.headers | headers)
    if isinstance(steps.failure, GatewayError):
        raise steps.failure.with_headers(headers)
    # A retry would upload the audio again and hit the same defect.
    raise InternalError({"x-should-retry": "false"} | headers) from steps.failure


def _take(
    context: RequestContext, read_form: Callable[[], Sequence[Part]], dependencies: Dependencies
) -> Steps:
    """Run the steps in the contract's order, up to the first that fails."""
    admission = sent = file = request = reservation = outcome = reply = failure = None
    pool: Sequence[Deployment] = ()
    try:
        via = _check_loop(context, dependencies.settings.gateway_id)
        admission = _admit(context, dependencies)
        parts = read_form()
        sent = find_file(parts, dependencies.open_upload(context.caller))
        file = admit_file(sent, dependencies.settings)
        request = replace(read_fields(parts, file), via=via)
        pool = _find(context, request, dependencies)
        reservation = _reserve(context, file, dependencies)
        outcome = _ask(context, request, pool, dependencies)
        reply = _render(request, outcome)
    except Exception as error:
        failure = error
    return Steps(
        admission=admission,
        sent=sent,
        file=file,
        request=request,
        pool=pool,
        reservation=reservation,
        outcome=outcome,
        reply=reply,
        failure=failure,
    )


def _record(context: RequestContext, steps: Steps, now: float) -> Record:
    """Build the request's usage record from the steps' results. `now` is in epoch seconds."""
    request, file, reply = steps.request, steps.file, steps.reply
    success = steps.outcome.success if steps.outcome else None
    model = success.deployment.model.slug if success and reply else None
    asked = request.model.lower()[:256] if request else None
    failed: GatewayError | None = InternalError() if steps.failure else None
    if isinstance(steps.failure, GatewayError):
        failed = steps.failure
    return Record(
        request_id=context.request_id,
        user_id=context.caller.user_id,
        key_id=context.caller.key_id,
        started_at=context.started_at,
        model=model or (steps.pool[0].model.slug if steps.pool else asked),
        provider=success.deployment.provider_name if success and reply else None,
        service=success.deployment.service if success and reply else None,
        format=(file.audio.format or file.extension) if file else None,
        bytes=len(steps.sent.content) if steps.sent else None,
        duration=reply.duration if reply else settle(file.audio.seconds if file else None, None),
        requested_format=request.response_format if request else None,
        returned_format=reply.format if reply else None,
        language=reply.language if reply else request.language if request else None,
        http_status=failed.status if failed else 200,
        error_type=failed.type if failed else None,
        attempts=steps.outcome.attempts if steps.outcome else (),
        latency_ms=round((now - context.started_at) * 1000),
        api_gateway_request_id=context.api_gateway_request_id,
        client_request_id=context.client_request_id,
        faults=reply.faults if reply else (),
    )


def _check_loop(context: RequestContext, gateway_id: str) -> tuple[str, ...]:
    """Return the ids of the gateways the request passed through, this one last, to send upstream.

    Raises LoopDetected when this gateway's id is among them, or when there are MAX_GATEWAYS. Each gateway forwards
    the ids it received, because two gateways that call each other would otherwise see only each other's id.
    """
    through = tuple(re.findall(_GATEWAY_ID, context.via.lower()))
    if gateway_id in f"{context.via} {context.proxies}".lower() or len(through) >= MAX_GATEWAYS:
        raise LoopDetected
    return *through, gateway_id


def _admit(context: RequestContext, dependencies: Dependencies) -> Admission:
    # The lease ends after the request's deadline.
    lease_seconds = context.deadline - dependencies.clock() + _LEASE_SLACK_SECONDS
    return limits.admit(
        context.caller,
        dependencies.limits,
        dependencies.now(),
        max_in_flight=dependencies.settings.max_in_flight_per_user,
        lease_seconds=lease_seconds,
    )


def _find(
    context: RequestContext, request: TranscriptionRequest, dependencies: Dependencies
) -> list[Deployment]:
    """Find the deployments of the model that this caller can use. Raises NoProvider."""
    candidates = dependencies.catalog.deployments(request.model, context.caller.user_id)
    eligible = pool_of(slug_of(request.model), _usable(candidates, context, dependencies))
    if not eligible:
        raise _no_provider(context, dependencies)
    return eligible


def _usable(
    candidates: Sequence[Deployment], context: RequestContext, dependencies: Dependencies
) -> list[Deployment]:
    settings = dependencies.settings.catalog.reached_at(context.own_hosts)
    return usable(candidates, context.caller, settings, dependencies.now())


def _reserve(context: RequestContext, file: AudioFile, dependencies: Dependencies) -> Reservation | None:
    """Take the audio's seconds from the day's quota. Raises RateLimited."""
    billed = settle(file.audio.seconds, None).billed
    return limits.reserve_seconds(
        context.caller, billed, len(file.content), dependencies.limits, dependencies.now()
    )


def _ask(
    context: RequestContext,
    request: TranscriptionRequest,
    pool: Sequence[Deployment],
    dependencies: Dependencies,
) -> Outcome:
    """Try the pool's deployments in order."""
    ordered = routing.order(
        pool, context.caller, dependencies.cooldown, dependencies.clock(), verbose=request.is_verbose
    )
    failover = Failover(
        dependencies.client,
        dependencies.cooldown,
        dependencies.decrypt,
        dependencies.settings.max_attempts,
        dependencies.clock,
    )
    return failover.run(request, ordered, context.deadline, context.caller.user_id)


def _render(request: TranscriptionRequest, outcome: Outcome) -> Reply:
    """Build the answer. Raises UpstreamError when there is no transcript, or it is too large for a reply."""
    if outcome.success is None:
        assert outcome.error is not None
        raise outcome.error
    transcript, deployment = outcome.success.transcript, outcome.success.deployment
    duration = settle(request.file.audio.seconds, transcript.reported_seconds)
    verbose = request.is_verbose and not outcome.success.downgraded
    render = partial(render_verbose, granularities=request.granularities) if verbose else render_json
    headers = {"x-provider": deployment.provider_name, "x-attempts": str(outcome.tried)}
    if outcome.success.downgraded:
        headers[DOWNGRADED] = JSON
    said = transcript.language or ""
    return Reply(
        body=_serialise(render(transcript, duration), outcome.tried),
        headers=headers,
        format=VERBOSE_JSON if verbose else JSON,
        duration=duration,
        language=request.language or (said[:64] if said.isascii() and said.isprintable() else None) or None,
        faults=transcript.faults if request.is_verbose else (),
    )


def _serialise(body: dict[str, Any], tried: int) -> str:
    """Serialise to JSON. Raises UpstreamError when it is too large for a reply, before anything is billed."""
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    try:
        size = len(text.encode())
    except UnicodeEncodeError:  # a provider sent a lone surrogate, which JSON can carry only as an escape
        text = json.dumps(body, separators=(",", ":"))
        size = len(text)
    if size > MAX_REPLY_BYTES or size + text.count('"') + text.count("\\") > _MAX_CARRIED_BYTES:
        raise UpstreamError(
            f"The transcript is larger than {MAX_REPLY_BYTES} bytes, the limit of one reply. Send shorter audio.",
            headers={"x-should-retry": "false", "x-attempts": str(tried)},
        )
    return text


def _no_provider(context: RequestContext, dependencies: Dependencies) -> NoProvider:
    listed = _usable(dependencies.catalog.listing(context.caller.user_id).deployments, context, dependencies)
    models = callable_models(listed)[:5]
    online = f"Online now: {', '.join(models)}." if models else "No model is online for this key now."
    return NoProvider(f"No online STT provider serves this model to this key. {online}", param="model")
