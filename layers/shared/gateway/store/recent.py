"""Lookups that were just made: remembered for a few seconds in the warm process."""

import time
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Found = TypeVar("Found")

# An operator's change is promised to be seen within 5 s (contract section 5); one is left for the read itself.
SECONDS = 4.0
_MOST_ENTRIES = 256


class Recent(Generic[Found]):
    """Values by key, kept for `SECONDS`. What was not found is never kept."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._entries: dict[Hashable, tuple[float, Found]] = {}

    def get(self, key: Hashable, read: Callable[[], Found]) -> Found:
        """The remembered value, else what `read` returns, remembered when it is not empty."""
        now = self._clock()
        entry = self._entries.get(key)
        if entry and now < entry[0]:
            return entry[1]
        value = read()
        self._entries.pop(key, None)
        if value:
            if len(self._entries) >= _MOST_ENTRIES:
                self._entries.pop(next(iter(self._entries)))
            self._entries[key] = (now + SECONDS, value)
        return value

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
