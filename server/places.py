"""Places for calls in progress, and memory for their bodies, shared so that no caller can take all of them."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class NoPlace(Exception):
    """Too many calls of this kind, or of this caller, are in progress."""


class Places:
    """The number of calls that may be in progress at once, or of the bytes that their bodies may take.

    A caller may hold four times as much as is free: of 256 places, the first caller gets 205, the next 41, and a third
    still finds a place.
    """

    SHARE = 4

    def __init__(self, number: int, watch: Callable[[int], object] = lambda _: None) -> None:
        """`watch` is told how many are taken, whenever that changes."""
        self._number = self._free = number
        self._watch = watch
        self._held: Counter[str] = Counter()

    @contextmanager
    def take(self, caller: str | None = None, count: int = 1) -> Iterator[None]:
        """Holds places; without a caller, any that are free. Raises NoPlace."""
        if count > self._free or (
            caller is not None and self._held[caller] + count > self.SHARE * self._free
        ):
            raise NoPlace
        self._change(-count)
        if caller is not None:
            self._held[caller] += count
        try:
            yield
        finally:
            self._change(count)
            if caller is not None:
                self._held[caller] -= count
                if not self._held[caller]:
                    del self._held[caller]

    def _change(self, places: int) -> None:
        self._free += places
        self._watch(self._number - self._free)
