"""Remember, per warm process, the deployments' cooldowns, missing timings and speed."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from gateway.providers.deployments import Deployment

FAILURES = 3
WINDOW_SECONDS = 60.0
COOLING_SECONDS = 15.0
MAX_COOLING_SECONDS = 120.0
# How long a deployment that returned no timings ranks with those that declare none.
UNTIMED_SECONDS = 600.0
MAX_UNTIMED = 3
# Before its first success, a deployment is expected to take half as long as the audio.
DEFAULT_PACE = 0.5
# An attempt may last twice the expected time. Without this limit, a slow deployment that then hangs would use up a
# whole request and leave no time for the next deployment.
MAX_PACE = 1.0
# Shorter clips count as this long, because most of their time is overhead.
_SHORT_SECONDS = 5.0
_NEWEST_WEIGHT = 0.3
_MAX_ENTRIES = 8192
_MAX_UNTIMED_KEPT = 16

Key = tuple[str, ...]
_Name = TypeVar("_Name")
_Value = TypeVar("_Value")


@dataclass(slots=True)
class _State:
    """`failures` holds the time of each failure, and the caller whose request may have caused it."""

    failures: list[tuple[float, str | None]] = field(default_factory=list)
    cooled: int = 0
    cooling_until: float = 0.0


class Cooldown:
    """State per deployment, and per provider and model. Times are seconds on one monotonic clock, passed in.

    Requests in several threads share it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # Keyed by what failed and for which caller (None: every caller).
        self._states: dict[tuple[Key, str | None], _State] = {}
        self._paces: dict[Key, float] = {}
        # By owner and model: until when each deployment counts as untimed.
        self._untimed: dict[Key, dict[Key, float]] = {}

    def cooling_until(self, deployment: Deployment, now: float, caller: str | None = None) -> float | None:
        """When the cooldown of the deployment, or of its provider for this model, ends; None if not in cooldown."""
        states = (self._states.get((scope, whom)) for scope in _scopes(deployment) for whom in {None, caller})
        until = max((state.cooling_until for state in states if state), default=0.0)
        return until if now < until else None

    def failed(self, deployment: Deployment, now: float, suspect: str | None = None) -> None:
        """Count a failure. The third within a minute starts a cooldown of 15 s. One request then probes: if it fails,
        the next cooldown is twice as long, up to 120 s.

        `suspect` is the caller if the request may be at fault. Such failures start a cooldown for that caller, and
        for everybody only after three callers have them: one caller's broken audio must not affect the others.
        """
        with self._lock:
            for scope in _scopes(deployment):
                self._count(scope, None, now, suspect)
                if suspect is not None:
                    self._count(scope, suspect, now, None)

    def succeeded(
        self, deployment: Deployment, seconds: float, audio_seconds: float | None, caller: str | None = None
    ) -> None:
        """Note an answer after `seconds`: clear the failures and update the pace."""
        with self._lock:
            for scope in _scopes(deployment):
                for whom in {None, caller}:
                    self._states.pop((scope, whom), None)
            if audio_seconds:
                pace = min(seconds / max(audio_seconds, _SHORT_SECONDS), MAX_PACE)
                known = self._paces.get(deployment.key, pace)
                _keep(self._paces, deployment.key, known + _NEWEST_WEIGHT * (pace - known))

    def expected_seconds(self, deployment: Deployment, audio_seconds: float | None) -> float:
        """Expected seconds to transcribe `audio_seconds` of audio; 0 when the length is unknown."""
        return self._paces.get(deployment.key, DEFAULT_PACE) * (audio_seconds or 0.0)

    def missed_timings(self, deployment: Deployment, now: float) -> None:
        """Ignore the deployment's declaration of timings for ten minutes, because it returned none. After three
        such deployments, ignore all declarations of their owner for the model."""
        with self._lock:
            for name in deployment.names:
                untimed = self._untimed.get((deployment.owner, name), {})
                untimed = {key: until for key, until in untimed.items() if now < until}
                _keep(untimed, deployment.key, now + UNTIMED_SECONDS, limit=_MAX_UNTIMED_KEPT)
                _keep(self._untimed, (deployment.owner, name), untimed)

    def gave_timings(self, deployment: Deployment) -> None:
        """Trust the deployment's declaration again."""
        with self._lock:
            for name in deployment.names:
                self._untimed.get((deployment.owner, name), {}).pop(deployment.key, None)

    def has_timings(self, deployment: Deployment, now: float) -> bool:
        """Whether the deployment's declaration of timings is trusted."""
        with self._lock:
            tables = [self._untimed.get((deployment.owner, name), {}) for name in deployment.names]
            return not any(
                now < untimed.get(deployment.key, 0.0)
                or sum(now < until for until in untimed.values()) >= MAX_UNTIMED
                for untimed in tables
            )

    def _count(self, scope: Key, whom: str | None, now: float, suspect: str | None) -> None:
        state = self._states.get((scope, whom)) or _State()
        _keep(self._states, (scope, whom), state)
        state.failures = [
            (moment, caller)
            for moment, caller in state.failures
            if now - moment < WINDOW_SECONDS and (suspect is None or caller != suspect)
        ]
        state.failures.append((now, suspect))
        if len(state.failures) >= FAILURES or (state.cooled and suspect is None):
            state.cooling_until = now + min(COOLING_SECONDS * 2**state.cooled, MAX_COOLING_SECONDS)
            state.cooled = min(state.cooled + 1, 8)
            state.failures = []


def _scopes(deployment: Deployment) -> Iterator[Key]:
    """The keys a failure counts for: the deployment, and its provider for each name of the model. So a dead server
    with a hundred services fails three times, not three hundred."""
    yield deployment.key
    for name in deployment.names:
        yield (*deployment.provider_key, name)


def _keep(table: dict[_Name, _Value], name: _Name, value: _Value, *, limit: int = _MAX_ENTRIES) -> None:
    """Store as the newest entry, and drop the oldest when there are `limit`."""
    table.pop(name, None)
    if len(table) >= limit:
        table.pop(next(iter(table)))
    table[name] = value
