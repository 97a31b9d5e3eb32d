"""Places for calls in progress, shared so that no caller can take them all."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class NoPlace(Exception):
    """Too many calls of this kind, or of this caller, are in progress."""


class Places:
    """The number of calls that may be in progress at once.

    A caller may hold four times as many places as are free: of 64, the first caller gets 52, the next 10, and a
    third still finds a place.
    """

    SHARE = 4

    def __init__(self, number: int, watch: Callable[[int], object] = lambda _: None) -> None:
        """`watch` is told how many calls are in progress, whenever that changes."""
        self._number = self._free = number
        self._watch = watch
        self._held: Counter[str] = Counter()

    @contextmanager
    def take(self, caller: str | None = None) -> Iterator[None]:
        """Holds a place; without a caller, any that is free. Raises NoPlace."""
        if not self._free or (caller is not None and self._held[caller] >= self.SHARE * self._free):
            raise NoPlace
        self._change(-1)
        if caller is not None:
            self._held[caller] += 1
        try:
            yield
        finally:
            self._change(1)
            if caller is not None:
                self._held[caller] -= 1
                if not self._held[caller]:
                    del self._held[caller]

    def _change(self, places: int) -> None:
        self._free += places
        self._watch(self._number - self._free)
