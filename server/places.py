"""Room for calls in progress, shared out so that no caller can take all of it."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager


class NoPlace(Exception):
    """Too many calls of this kind are in progress, or too many of this caller's."""


class Places:
    """A number of calls that may be in progress at a time.

    A caller may hold four times as many places as are free: of 64, the first one gets 52 and the next one 10, and a
    third one still finds a place.
    """

    SHARE = 4

    def __init__(self, number: int) -> None:
        self._free = number
        self._held: Counter[str] = Counter()

    @contextmanager
    def take(self, caller: str | None = None) -> Iterator[None]:
        """Holds a place; without a caller, any that is free. Raises NoPlace."""
        if not self._free or (caller is not None and self._held[caller] >= self.SHARE * self._free):
            raise NoPlace
        self._free -= 1
        if caller is not None:
            self._held[caller] += 1
        try:
            yield
        finally:
            self._free += 1
            if caller is not None:
                self._held[caller] -= 1
                if not self._held[caller]:
                    del self._held[caller]
