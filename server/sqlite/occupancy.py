"""Mark a data directory as in use, so that it is not replaced under a running gateway."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from server.sqlite.failure import LOCKED, StoreError, explained

# How long to wait for a process that opens the directory or restores a backup.
WAIT_SECONDS = 10.0
_PAUSE_SECONDS = 0.01


class Occupancy:
    """A lock on the file `lock` in a directory, which every process that uses the directory shares.

    The system releases it when the process ends, however it ends.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock: int | None = None

    @contextmanager
    def entrance(self, *, seconds: float = WAIT_SECONDS) -> Iterator[None]:
        """Keep other processes from entering the directory, or replacing it, during the block. Raises StoreError when
        another one does so for longer than `seconds`."""
        door = self._locked_door(time.monotonic() + seconds)
        try:
            yield
        finally:
            os.close(door)

    def try_alone(self) -> bool:
        """Take the directory alone, if no other process uses it. Only in the entrance."""
        return self._try(fcntl.LOCK_EX)

    def share(self) -> None:
        """Take the directory together with others. Only in the entrance, where nobody has it alone."""
        self._try(fcntl.LOCK_SH)

    def close(self) -> None:
        """Release the directory."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _try(self, kind: int) -> bool:
        path = self._directory / "lock"
        with explained(path):
            if self._lock is None:
                self._lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            return _try_lock(self._lock, kind)

    def _locked_door(self, until: float) -> int:
        """A descriptor of the directory itself, locked."""
        while True:
            with explained(self._directory):
                door = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                # The directory may have been replaced in between: then this lock is on the old one.
                if _try_lock(door, fcntl.LOCK_EX) and self._is_at(door):
                    return door
                os.close(door)
            if time.monotonic() >= until:
                raise StoreError(
                    LOCKED,
                    f"Another process is opening {self._directory}, upgrading it or restoring a backup to it. Wait "
                    "until it ends, then try again.",
                )
            time.sleep(_PAUSE_SECONDS)

    def _is_at(self, door: int) -> bool:
        try:
            return os.path.samestat(os.fstat(door), self._directory.stat())
        except FileNotFoundError:
            return False


def _try_lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
