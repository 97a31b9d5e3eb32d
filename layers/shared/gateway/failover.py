"""From deployment to deployment until one gives a transcript or none is left to ask."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from gateway import answers, routing
from gateway.answers import Transcript, UnusableAnswerError
from gateway.deployments import CredentialUnavailableError, Deployment
from gateway.errors import UpstreamError
from gateway.health import Health
from gateway.provider_client import Answer, ProviderClient, ProviderFailure
from gateway.transcription_request import TranscriptionRequest
from gateway.usage import Attempt

OK, BUSY, REFUSED, REFUSED_VERBOSE = "ok", "busy", "refused", "refused_verbose"
# A refusal is about the request: one more opinion is heard, then it stands.
_MOST_REFUSALS = 2
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
_DEFAULT_RETRY_SECONDS = 5.0
_MOST_RETRY_SECONDS = 120.0

Decrypt = Callable[[Deployment], str | None]


@dataclass(frozen=True, slots=True)
class Success:
    """A transcript, who gave it, and whether timings were asked for in vain."""

    deployment: Deployment
    transcript: Transcript
    downgraded: bool


@dataclass(slots=True)
class Failover:
    """One request's way through the deployments. Moments are seconds on the monotonic `clock`."""

    client: ProviderClient
    health: Health
    decrypt: Decrypt
    max_attempts: int
    clock: Callable[[], float] = time.monotonic
    attempts: list[Attempt] = field(default_factory=list)
    tried: int = 0
    _outcomes: list[str] = field(default_factory=list)
    _retry_after: list[float] = field(default_factory=list)
    _refusal: str | None = None

    def run(self, request: TranscriptionRequest, ordered: Sequence[Deployment], deadline: float) -> Success:
        """The first transcript. Raises UpstreamError when every attempt failed or time ran out."""
        cooling = [self.health.cooling_until(each.key, self.clock()) for each in ordered]
        chosen = ordered[: self.max_attempts]
        for number, deployment in enumerate(chosen):
            now = self.clock()
            if now >= deadline:
                break
            expected = self.health.expected_seconds(deployment.key, request.file.audio.seconds)
            until = routing.attempt_deadline(now, deadline, len(chosen) - number, expected)
            self.tried += 1
            success = self._attempt(request, deployment, until)
            if success:
                return success
            if self._outcomes.count(REFUSED) >= _MOST_REFUSALS:
                break
        # Merely busy, or known to be cooling down before it was asked: later may be another story.
        self._retry_after += [moment - self.clock() for moment in cooling if moment is not None]
        passing = [
            outcome == BUSY or moment is not None
            for outcome, moment in zip(self._outcomes, cooling, strict=False)
        ]
        raise self._error(can_help=bool(passing) and all(passing))

    def _attempt(self, request: TranscriptionRequest, deployment: Deployment, until: float) -> Success | None:
        verbose = request.is_verbose and deployment.has_timestamps
        outcome, transcript = self._ask(request, deployment, until, verbose=verbose)
        if outcome == REFUSED_VERBOSE:
            # Declared capable, yet refused: perhaps only the timings. A clean transcript beats an error.
            verbose = False
            outcome, transcript = self._ask(request, deployment, until, verbose=False)
        self._outcomes.append(outcome)
        if transcript is None:
            if outcome != REFUSED:
                self.health.failed(deployment.key, self.clock())
            return None
        downgraded = request.is_verbose and not (verbose and transcript.has_timings)
        return Success(deployment, transcript, downgraded)

    def _ask(
        self, request: TranscriptionRequest, deployment: Deployment, until: float, *, verbose: bool
    ) -> tuple[str, Transcript | None]:
        """One HTTP exchange: its outcome, from a closed set, and the transcript when that is OK."""
        started = self.clock()
        transcript = None
        try:
            api_key = self.decrypt(deployment)
            answer = self._send(request, deployment, until, api_key, verbose=verbose)
            outcome = self._outcome(answer, api_key)
            if outcome == OK:
                transcript = answers.read(answer.body, request.file.audio.seconds, request.file.max_seconds)
                self.health.succeeded(deployment.key, self.clock() - started, request.file.audio.seconds)
        except ProviderFailure as failure:
            outcome = failure.kind
        except UnusableAnswerError as failure:
            outcome = failure.kind
        except CredentialUnavailableError:
            outcome = "credential"
        if outcome == REFUSED and verbose:
            outcome = REFUSED_VERBOSE
        name = f"{deployment.owner}/{deployment.provider}"
        self.attempts.append(Attempt(name, outcome, round((self.clock() - started) * 1000)))
        return outcome, transcript

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
            deadline=until,
        )

    def _outcome(self, answer: Answer, api_key: str | None) -> str:
        if answer.status == 200:
            return OK
        if answer.status in _REFUSALS:
            self._refusal = answers.refusal_message(answer.body, api_key) or self._refusal
            return REFUSED
        if answer.status in (429, 503) and answer.retry_after is not None:
            self._retry_after.append(answer.retry_after)
        if answer.status in _STATUS_OUTCOMES:
            return _STATUS_OUTCOMES[answer.status]
        if 300 <= answer.status < 400:
            return "redirect"
        return "server_error" if answer.status >= 500 else "unexpected_status"

    def _error(self, *, can_help: bool) -> UpstreamError:
        headers = {"x-attempts": str(self.tried)}
        if can_help:
            waits = [wait for wait in self._retry_after if wait > 0] or [_DEFAULT_RETRY_SECONDS]
            headers["retry-after"] = str(math.ceil(min(*waits, _MOST_RETRY_SECONDS)))
        else:
            headers["x-should-retry"] = "false"
        if self._refusal and REFUSED in self._outcomes:
            message = f"The provider refused this request: {self._refusal}"
        elif not self._outcomes:
            message = "No deployment of this model could be asked within the time of one request."
        else:
            kinds = ", ".join(dict.fromkeys(each.replace("_", " ") for each in self._outcomes))
            which = "The only deployment" if self.tried == 1 else f"All {self.tried} deployments"
            message = f"{which} tried for this model failed: {kinds}."
        return UpstreamError(message, headers=headers)
