"""Cache recent lookups in the warm process for a few seconds, then drop them from memory."""

import sys
import time
from collections.abc import Callable, Hashable, Iterable
from threading import RLock, Timer
from typing import Generic, TypeVar

from gateway.providers.deployments import Deployment

Found = TypeVar("Found")

# An operator's change must be visible within 5 s (contract section 5); 1 s is left for the read.
SECONDS = 4.0
# Bytes of one deployment without its texts.
_OBJECTS_BYTES = 600


class Recent(Generic[Found]):
    """Values by key, kept for `seconds`. The oldest are dropped when the sizes, by `size_of` in bytes, exceed `budget`.
    Empty values are not kept unless `get` says so.

    The next call for any key drops expired values; without a call, a timer does.
    """

    def __init__(
        self,
        size_of: Callable[[Found], int],
        *,
        budget: int,
        seconds: float = SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._size_of = size_of
        self._budget = budget
        self._seconds = seconds
        self._clock = clock
        # In order of expiry, because all are kept equally long.
        self._entries: dict[Hashable, tuple[float, int, Found]] = {}
        self._held = 0
        self._timer: Timer | None = None
        self._lock = RLock()

    @property
    def held(self) -> int:
        """Bytes cached now."""
        return self._held

    def get(self, key: Hashable, read: Callable[[], Found], *, keep_empty: bool = False) -> Found:
        """The cached value, else the result of `read`, which is cached if it is not empty or `keep_empty` is set."""
        with self._lock:
            self._drop_expired()
            if (entry := self._entries.get(key)) and self._clock() < entry[0]:
                return entry[2]
        asked_at = self._clock()
        value = read()
        if value or keep_empty:
            self._keep(key, asked_at + self._seconds, value)
        return value

    def clear(self) -> None:
        """Drop everything."""
        with self._lock:
            self._entries.clear()
            self._held = 0
            if self._timer:
                self._timer.cancel()
                self._timer = None

    def _keep(self, key: Hashable, expires_at: float, value: Found) -> None:
        size = self._size_of(value)
        with self._lock:
            self._drop(key)
            if size > self._budget:
                return
            self._entries[key] = (expires_at, size, value)
            self._held += size
            while self._held > self._budget:
                self._drop(next(iter(self._entries)))
            self._wake()

    def _drop(self, key: Hashable) -> None:
        if entry := self._entries.pop(key, None):
            self._held -= entry[1]

    def _drop_expired(self) -> None:
        now = self._clock()
        while self._entries and (oldest := next(iter(self._entries.items())))[1][0] <= now:
            self._drop(oldest[0])

    def _wake(self) -> None:
        """Start a timer that drops expired values even if no call comes."""
        if self._timer is None and self._entries:
            self._timer = Timer(self._seconds, self._woken)
            self._timer.daemon = True
            self._timer.start()

    def _woken(self) -> None:
        with self._lock:
            self._timer = None
            self._drop_expired()
            self._wake()


def deployments_bytes(deployments: Iterable[Deployment]) -> int:
    """Bytes in memory, assuming that deployments share nothing."""
    return sum(
        _OBJECTS_BYTES
        + sum(
            map(
                sys.getsizeof,
                (
                    *(each.owner, each.provider, each.version, each.service, each.base_url, each.credential),
                    *(each.model.slug, each.model.served_id, each.model.display_name),
                    *each.model.features,
                    *each.allowed_users,
                ),
            )
        )
        for each in deployments
    )
