"""What a warm process has learnt of deployments: which are cooling down, and how fast each transcribes."""

from dataclasses import dataclass, field

FAILURES = 3
WINDOW_SECONDS = 60.0
COOLING_SECONDS = 15.0
MOST_COOLING_SECONDS = 120.0
# Without experience, a deployment is expected to take half as long as the audio.
DEFAULT_PACE = 0.5
_NEWEST_WEIGHT = 0.3
_MOST_DEPLOYMENTS = 4096

Key = tuple[str, ...]


@dataclass(slots=True)
class _State:
    failures: list[float] = field(default_factory=list)
    cooled: int = 0
    cooling_until: float = 0.0
    pace: float | None = None


class Health:
    """Per deployment key. Moments are seconds on one monotonic clock, passed in."""

    def __init__(self) -> None:
        self._states: dict[Key, _State] = {}

    def cooling_until(self, key: Key, now: float) -> float | None:
        """When its cooling ends; None when it is not cooling."""
        state = self._states.get(key)
        return state.cooling_until if state and now < state.cooling_until else None

    def failed(self, key: Key, now: float) -> None:
        """The third failure within a minute begins a cooling of 15 s. After it one request is the probe: when
        that fails too, the next cooling is twice as long, up to 120 s."""
        state = self._state(key)
        state.failures = [moment for moment in state.failures if now - moment < WINDOW_SECONDS] + [now]
        if state.cooled or len(state.failures) >= FAILURES:
            state.cooling_until = now + min(COOLING_SECONDS * 2**state.cooled, MOST_COOLING_SECONDS)
            state.cooled = min(state.cooled + 1, 8)
            state.failures = []

    def succeeded(self, key: Key, seconds: float, audio_seconds: float | None) -> None:
        """It answered in `seconds`; forgets failures and learns its pace."""
        state = self._state(key)
        state.failures, state.cooled, state.cooling_until = [], 0, 0.0
        if audio_seconds:
            pace = seconds / audio_seconds
            state.pace = pace if state.pace is None else state.pace + _NEWEST_WEIGHT * (pace - state.pace)

    def expected_seconds(self, key: Key, audio_seconds: float | None) -> float:
        """How long a transcription of that many seconds of audio is expected to take; 0 when unknown."""
        state = self._states.get(key)
        pace = state.pace if state and state.pace is not None else DEFAULT_PACE
        return pace * (audio_seconds or 0.0)

    def _state(self, key: Key) -> _State:
        state = self._states.pop(key, None) or _State()
        if len(self._states) >= _MOST_DEPLOYMENTS:
            self._states.pop(next(iter(self._states)))
        self._states[key] = state
        return state
