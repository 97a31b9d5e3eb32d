"""Try deployments one after another until one returns a transcript or none is left."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.errors import UpstreamError
from gateway.providers.deployments import CredentialUnavailableError, Deployment
from gateway.transcription import routing
from gateway.transcription.cooldown import Cooldown
from gateway.transcription.request import TranscriptionRequest
from gateway.upstream.client import Answer, ProviderClient, ProviderError
from gateway.upstream.transcript import (
    Transcript,
    UnusableAnswerError,
    read_transcript,
    refusal_message,
)
from gateway.usage.record import Attempt

OK, BUSY, REFUSED, REFUSED_VERBOSE = "ok", "busy", "refused", "refused_verbose"
# A refusal is usually the request's fault. Ask one more deployment, of another owner if possible, then accept it.
_MAX_REFUSALS = 2
_REFUSALS = (400, 415, 422)
_STATUS_OUTCOMES = {
    401: "unauthorized",
    403: "unauthorized",
    404: "not_found",
    408: "timeout",
    413: "too_large",
    429: BUSY,
    503: BUSY,
}
# Outcomes that a request cannot cause. Any other may be the request's fault: it counts against the deployment for
# this caller, and for everybody only when several callers have it.
_BLAMELESS = {"connect", "dns", "tls", "address_refused", "credential", BUSY}
_DEFAULT_RETRY_SECONDS = 5.0
_MAX_RETRY_SECONDS = 120.0

Decrypt = Callable[[Deployment], str | None]


@dataclass(frozen=True, slots=True)
class Success:
    """A transcript, the deployment that returned it, and whether requested timings are missing."""

    deployment: Deployment
    transcript: Transcript
    downgraded: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a failover run: a success or an error.

    `attempts` has one entry per HTTP exchange, at most two per deployment. `tried` counts deployments.
    """

    attempts: tuple[Attempt, ...]
    tried: int
    success: Success | None = None
    error: UpstreamError | None = None


@dataclass(frozen=True, slots=True)
class _Exchange:
    """One HTTP exchange. `retry_after` is in seconds. `refusal` is the message of a provider that refused."""

    attempt: Attempt
    transcript: Transcript | None = None
    refusal: str | None = None
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class _Trial:
    """One deployment's exchanges. `cooling_until` is the cooldown's end as it was before the first exchange."""

    deployment: Deployment
    exchanges: tuple[_Exchange, ...]
    cooling_until: float | None
    success: Success | None = None

    @property
    def outcome(self) -> str:
        """The outcome of the last exchange."""
        return self.exchanges[-1].attempt.outcome


@dataclass(frozen=True, slots=True)
class Failover:
    """Tries deployments in order. Times are seconds on the monotonic `clock`."""

    client: ProviderClient
    cooldown: Cooldown
    decrypt: Decrypt
    max_attempts: int
    clock: Callable[[], float] = time.monotonic

    def run(
        self,
        request: TranscriptionRequest,
        ordered: Sequence[Deployment],
        deadline: float,
        caller: str | None = None,
    ) -> Outcome:
        """Try deployments until one returns a transcript, none is left, or the deadline passes.

        `caller` is the user id of the request. A failure that the request may have caused counts against the
        deployment for this user only; without a caller, for everybody.
        """
        cooling = [self.cooldown.cooling_until(each, self.clock(), caller) for each in ordered]
        chosen = ordered[: self.max_attempts]
        trials: list[_Trial] = []
        for number, deployment in enumerate(chosen):
            now = self.clock()
            if now >= deadline or (trials and trials[-1].success) or _refusal_stands(trials, chosen):
                break
            expected = self.cooldown.expected_seconds(deployment, request.file.audio.seconds)
            until = routing.attempt_deadline(now, deadline, len(chosen) - number, expected)
            trials.append(self._try(request, deployment, until, caller, cooling[number]))
        success = trials[-1].success if trials else None
        return Outcome(
            attempts=tuple(exchange.attempt for trial in trials for exchange in trial.exchanges),
            tried=len(trials),
            success=success,
            error=None if success else _error(trials, [each - self.clock() for each in cooling if each]),
        )

    def _try(
        self,
        request: TranscriptionRequest,
        deployment: Deployment,
        until: float,
        caller: str | None,
        cooling_until: float | None,
    ) -> _Trial:
        verbose = request.is_verbose and deployment.has_timestamps
        exchanges = [self._exchange(request, deployment, until, caller, verbose=verbose)]
        if exchanges[0].attempt.outcome == REFUSED_VERBOSE:
            # It declares timings but refused: try without them. A plain transcript is better than an error.
            exchanges.append(self._exchange(request, deployment, until, caller, verbose=False))
        transcript, outcome = exchanges[-1].transcript, exchanges[-1].attempt.outcome
        success = None
        if transcript is not None:
            refused = len(exchanges) > 1
            if request.is_verbose and deployment.has_timestamps:
                self._judge_timings(deployment, transcript, refused=refused)
            timed = verbose and not refused and transcript.has_timings
            success = Success(deployment, transcript, downgraded=request.is_verbose and not timed)
        elif outcome != REFUSED:
            self.cooldown.failed(deployment, self.clock(), None if outcome in _BLAMELESS else caller)
        return _Trial(deployment, tuple(exchanges), cooling_until, success)

    def _judge_timings(self, deployment: Deployment, transcript: Transcript, *, refused: bool) -> None:
        """Update trust in declared timings. Silence proves nothing, and faulty lists may be due to this audio."""
        if not refused and (transcript.segments or transcript.words):
            self.cooldown.gave_timings(deployment)
        elif refused or (transcript.text.strip() and not transcript.faults):
            self.cooldown.missed_timings(deployment, self.clock())

    def _exchange(
        self,
        request: TranscriptionRequest,
        deployment: Deployment,
        until: float,
        caller: str | None,
        *,
        verbose: bool,
    ) -> _Exchange:
        """Make one HTTP exchange. Its outcome is from a closed set."""
        started = self.clock()
        transcript = refusal = retry_after = None
        try:
            api_key = self.decrypt(deployment)
            answer = self._send(request, deployment, until, api_key, verbose=verbose)
            outcome = _outcome_of(answer)
            if outcome == OK:
                transcript = read_transcript(
                    answer.body, request.file.audio.seconds, request.file.max_seconds
                )
                self.cooldown.succeeded(
                    deployment, self.clock() - started, request.file.audio.seconds, caller
                )
            elif outcome == REFUSED:
                refusal = refusal_message(answer.body, api_key)
            elif outcome == BUSY:
                # Use the default without Retry-After, so that another deployment's 120 s does not set the wait.
                retry_after = answer.retry_after or _DEFAULT_RETRY_SECONDS
        except (ProviderError, UnusableAnswerError) as failure:
            outcome = failure.kind
        except CredentialUnavailableError:
            outcome = "credential"
        if outcome == REFUSED and verbose:
            outcome = REFUSED_VERBOSE
        attempt = Attempt(deployment.provider_name, outcome, round((self.clock() - started) * 1000))
        return _Exchange(attempt, transcript, refusal, retry_after)

    def _send(
        self,
        request: TranscriptionRequest,
        deployment: Deployment,
        until: float,
        api_key: str | None,
        *,
        verbose: bool,
    ) -> Answer:
        return self.client.transcribe(
            deployment.base_url,
            fields=request.upstream_fields(deployment.model.served_id, verbose=verbose),
            audio=request.file.content,
            filename=f"audio.{request.file.extension}",
            content_type=request.file.media_type,
            api_key=api_key,
            via=request.via,
            deadline=until,
        )


def _outcome_of(answer: Answer) -> str:
    if answer.status == 200:
        return OK
    if answer.status in _REFUSALS:
        return REFUSED
    if answer.status in _STATUS_OUTCOMES:
        return _STATUS_OUTCOMES[answer.status]
    if 300 <= answer.status < 400:
        return "redirect"
    return "server_error" if answer.status >= 500 else "unexpected_status"


def _refusal_stands(trials: Sequence[_Trial], chosen: Sequence[Deployment]) -> bool:
    """Whether _MAX_REFUSALS deployments refused, of two owners unless no other owner's deployment is left."""
    refusing = [trial.deployment.owner for trial in trials if trial.outcome == REFUSED]
    if len(refusing) < _MAX_REFUSALS:
        return False
    return len(set(refusing)) > 1 or all(each.owner in refusing for each in chosen[len(trials) :])


def _error(trials: Sequence[_Trial], cooling: Sequence[float]) -> UpstreamError:
    """Build the caller's error. `cooling` holds the remaining cooldowns in seconds."""
    headers = {"x-attempts": str(len(trials))}
    # Every deployment was busy, or already in cooldown when it was tried: a later retry may succeed.
    if trials and all(trial.outcome == BUSY or trial.cooling_until is not None for trial in trials):
        said = [exchange.retry_after for trial in trials for exchange in trial.exchanges]
        waits = [wait for wait in (*said, *cooling) if wait and wait > 0] or [_DEFAULT_RETRY_SECONDS]
        headers["retry-after"] = str(math.ceil(min(*waits, _MAX_RETRY_SECONDS)))
    else:
        headers["x-should-retry"] = "false"
    refusals = [exchange.refusal for trial in trials for exchange in trial.exchanges if exchange.refusal]
    if refusals and any(trial.outcome == REFUSED for trial in trials):
        message = f"The provider refused this request: {refusals[-1]}"
    elif not trials:
        message = "No deployment of this model could be asked within the time limit of one request."
    else:
        kinds = ", ".join(dict.fromkeys(trial.outcome.replace("_", " ") for trial in trials))
        which = "The only deployment" if len(trials) == 1 else f"All {len(trials)} deployments"
        message = f"{which} tried for this model failed: {kinds}."
    return UpstreamError(message, headers=headers)
