"""Tell whether the system's clock can be trusted to delete by."""

import time
from collections.abc import Callable

# A clock that differs from the monotonic one by more than this has been set.
_JUMP_SECONDS = 60.0
# Whoever or whatever set the clock wrongly has this long to correct it.
STEADY_SECONDS = 3600.0


class ClockWatch:
    """Watches the system's clock against the monotonic one, which nobody can set."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._since: float | None = None
        self._difference = 0.0

    def is_steady(self, now: float) -> bool:
        """Whether `now` (epoch seconds) is the time of a clock that did not jump for an hour, as far as was seen."""
        moment = self._monotonic()
        difference = now - moment
        if self._since is None or abs(difference - self._difference) > _JUMP_SECONDS:
            self._since = moment
        # Compared with the last call alone, so that a clock that drifts is not one that jumps.
        self._difference = difference
        return moment - self._since >= STEADY_SECONDS
