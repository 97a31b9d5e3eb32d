"""Mark a data directory as in use, so that it is not replaced under a running gateway."""

import fcntl
import os
import time
from pathlib import Path

from server.sqlite.failure import LOCKED, StoreError, explained

_PAUSE_SECONDS = 0.02


class Occupancy:
    """A lock on the file `lock` in a directory: shared by the processes that use it, or held by one alone.

    The system releases it when the process ends, however it ends.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory / "lock"
        self._descriptor: int | None = None

    def try_alone(self) -> bool:
        """Take the directory alone, if no other process uses it."""
        return self._try(fcntl.LOCK_EX)

    def share(self, *, seconds: float) -> None:
        """Take the directory together with others, or let others in after `try_alone`. Raises StoreError when one
        process keeps it alone for longer than `seconds`."""
        until = time.monotonic() + seconds
        while not self._try(fcntl.LOCK_SH):
            if time.monotonic() > until:
                raise StoreError(
                    LOCKED,
                    f"Another process has {self._path.parent} to itself: it restores a backup or upgrades the "
                    "database. Wait until it ends, then try again.",
                )
            time.sleep(_PAUSE_SECONDS)

    def close(self) -> None:
        """Release the directory."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _try(self, kind: int) -> bool:
        with explained(self._path):
            if self._descriptor is None:
                self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(self._descriptor, kind | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            if self._is_current():
                return True
        # The directory was replaced while this process waited: this lock is on the old one.
        self.close()
        return False

    def _is_current(self) -> bool:
        assert self._descriptor is not None
        try:
            return os.path.samestat(os.fstat(self._descriptor), self._path.stat())
        except FileNotFoundError:
            return False
