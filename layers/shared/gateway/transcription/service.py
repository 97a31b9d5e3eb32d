"""The use case: a form in, a transcript out, and a usage record whatever happens."""

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
from gateway.multipart import Part
from gateway.providers.deployments import Deployment, usable
from gateway.providers.model_list import callable_models, pool_of
from gateway.settings import TranscribeSettings
from gateway.slugs import slug_of
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

# Lambda carries 6,291,556 bytes of response JSON, in which every quote and backslash is escaped.
MAX_REPLY_BYTES = int(5.5 * 1024 * 1024)
_MAX_CARRIED_BYTES = 6_280_000
DOWNGRADED = "x-downgraded-response-format"
# Gateways that one request may go through: a box behind a gateway behind a gateway is more than anybody needs.
MAX_GATEWAYS = 8
_GATEWAY_ID = r"(?<![0-9a-f-])[0-9a-f-]{16,64}(?![0-9a-f-])"
_LEASE_SLACK_SECONDS = 5.0


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
    """A successful answer: its JSON body, ready to be sent, its headers, and what of it is recorded."""

    body: str
    headers: dict[str, str]
    format: str
    duration: Duration
    language: str | None
    # Lists of timings that were left out because they cannot be true.
    faults: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Steps:
    """What each step of a request returned; None for those that were not reached, or failed."""

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
    """What a transcription works with; one per warm process."""

    settings: TranscribeSettings
    catalog: "CatalogStore"
    client: ProviderClient
    open_upload: Callable[[Caller], OpenUpload]
    decrypt: Decrypt
    limits: "LimitStore"
    # Takes a finished record and returns when it is kept somewhere.
    save: Callable[[Record], None]
    # Called after it and raising nothing: metrics must not cost a recorded answer.
    report: Callable[[Record], None] = lambda _: None
    cooldown: Cooldown = field(default_factory=Cooldown)
    now: Callable[[], float] = time.time
    clock: Callable[[], float] = time.monotonic


def run(call: Call, read_form: Callable[[], Sequence[Part]], gateway: Dependencies) -> Reply:
    """Transcribe. Raises GatewayError; the usage record is kept before the caller learns of either."""
    steps = _take(call, read_form, gateway)
    record = _record(call, steps, gateway.now())
    with deadline.extended(deadline.MARGIN_SECONDS):
        # What limits get back is begun beside the record, and waited for after it.
        given_back = limits.close(
            call.caller, steps.admission, steps.reservation, record.billed_seconds, gateway.limits
        )
        gateway.save(record)
        gateway.report(record)
        given_back()
    headers = steps.admission.headers() if steps.admission else {}
    if steps.reply:
        return replace(steps.reply, headers=steps.reply.headers | headers)
    if isinstance(steps.failure, GatewayError):
        raise steps.failure.with_headers(headers)
    # A repeat would send the audio again, and meet the same defect.
    raise InternalError({"x-should-retry": "false"} | headers) from steps.failure


def _take(call: Call, read_form: Callable[[], Sequence[Part]], gateway: Dependencies) -> Steps:
    """The steps of a request in the contract's order, up to the first that fails."""
    admission = sent = file = request = reservation = outcome = reply = failure = None
    pool: Sequence[Deployment] = ()
    try:
        via = _check_loop(call, gateway.settings.gateway_id)
        admission = _admit(call, gateway)
        parts = read_form()
        sent = find_file(parts, gateway.open_upload(call.caller))
        file = admit_file(sent, gateway.settings)
        request = replace(read_fields(parts, file), via=via)
        pool = _find(call, request, gateway)
        reservation = _reserve(call, file, gateway)
        outcome = _ask(call, request, pool, gateway)
        reply = _render(request, outcome)
    except Exception as error:
        failure = error
    return Steps(admission, sent, file, request, pool, reservation, outcome, reply, failure)


def _record(call: Call, steps: Steps, now: float) -> Record:
    """The one usage record of a request, from what its steps returned; `now` is in epoch seconds."""
    request, file, reply = steps.request, steps.file, steps.reply
    success = steps.outcome.success if steps.outcome else None
    model = success.deployment.model.slug if success and reply else None
    asked = request.model.lower()[:256] if request else None
    failed: GatewayError | None = InternalError() if steps.failure else None
    if isinstance(steps.failure, GatewayError):
        failed = steps.failure
    return Record(
        request_id=call.request_id,
        user_id=call.caller.user_id,
        key_id=call.caller.key_id,
        started_at=call.started_at,
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
        latency_ms=round((now - call.started_at) * 1000),
        api_gateway_request_id=call.api_gateway_request_id,
        client_request_id=call.client_request_id,
        faults=reply.faults if reply else (),
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


def _admit(call: Call, gateway: Dependencies) -> Admission:
    # The place is free again when this request must long be over.
    lease_seconds = call.deadline - gateway.clock() + _LEASE_SLACK_SECONDS
    return limits.admit(
        call.caller,
        gateway.limits,
        gateway.now(),
        most_in_flight=gateway.settings.max_in_flight_per_user,
        lease_seconds=lease_seconds,
    )


def _find(call: Call, request: TranscriptionRequest, gateway: Dependencies) -> list[Deployment]:
    """The deployments that this caller can call for the model. Raises NoProvider."""
    candidates = gateway.catalog.deployments(request.model, call.caller.user_id)
    eligible = pool_of(slug_of(request.model), _usable(candidates, call, gateway))
    if not eligible:
        raise _no_provider(call, gateway)
    return eligible


def _usable(candidates: Sequence[Deployment], call: Call, gateway: Dependencies) -> list[Deployment]:
    settings = gateway.settings.catalog.reached_at(call.own_hosts)
    return usable(candidates, call.caller, settings, gateway.now())


def _reserve(call: Call, file: AudioFile, gateway: Dependencies) -> Reservation | None:
    """The audio's seconds, taken from the day's quota. Raises RateLimited."""
    billed = settle(file.audio.seconds, None).billed
    return limits.reserve_seconds(call.caller, billed, len(file.content), gateway.limits, gateway.now())


def _ask(
    call: Call, request: TranscriptionRequest, pool: Sequence[Deployment], gateway: Dependencies
) -> Outcome:
    """Ask the deployments of the pool in turn."""
    ordered = routing.order(pool, call.caller, gateway.cooldown, gateway.clock(), verbose=request.is_verbose)
    failover = Failover(
        gateway.client, gateway.cooldown, gateway.decrypt, gateway.settings.max_attempts, gateway.clock
    )
    return failover.run(request, ordered, call.deadline, call.caller.user_id)


def _render(request: TranscriptionRequest, outcome: Outcome) -> Reply:
    """The answer to the caller. Raises UpstreamError when there is no transcript, or one that no reply carries."""
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
    """As JSON that fits a reply. Raises UpstreamError when it does not, before anything is billed."""
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    try:
        size = len(text.encode())
    except UnicodeEncodeError:  # half a surrogate pair from a provider: only as an escape is it text
        text = json.dumps(body, separators=(",", ":"))
        size = len(text)
    if size > MAX_REPLY_BYTES or size + text.count('"') + text.count("\\") > _MAX_CARRIED_BYTES:
        raise UpstreamError(
            f"The transcript is larger than {MAX_REPLY_BYTES} bytes, the limit of one reply. Send shorter audio.",
            headers={"x-should-retry": "false", "x-attempts": str(tried)},
        )
    return text


def _no_provider(call: Call, gateway: Dependencies) -> NoProvider:
    listed = _usable(gateway.catalog.listing(call.caller.user_id).deployments, call, gateway)
    models = callable_models(listed)[:5]
    online = f"Online now: {', '.join(models)}." if models else "No model is online for this key now."
    return NoProvider(f"No online STT provider serves this model to this key. {online}", param="model")
