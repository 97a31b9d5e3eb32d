"""Say in plain sentences why the store cannot be opened or used."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

LOCKED, CORRUPT, FULL, READ_ONLY = "locked", "corrupt", "full", "read_only"
NO_PERMISSION, CANNOT_OPEN, BROKEN = "no_permission", "cannot_open", "broken"
NEWER, NETWORK = "newer", "network"

_REASONS: tuple[tuple[type[apsw.Error], str], ...] = (
    (apsw.BusyError, LOCKED),
    (apsw.LockedError, LOCKED),
    (apsw.ProtocolError, LOCKED),
    (apsw.CorruptError, CORRUPT),
    (apsw.NotADBError, CORRUPT),
    (apsw.FullError, FULL),
    (apsw.ReadOnlyError, READ_ONLY),
    (apsw.PermissionsError, NO_PERMISSION),
    (apsw.CantOpenError, CANNOT_OPEN),
)
_ERRNOS = {
    errno.ENOSPC: FULL,
    errno.EDQUOT: FULL,
    errno.EFBIG: FULL,
    errno.EROFS: READ_ONLY,
    errno.EACCES: NO_PERMISSION,
    errno.EPERM: NO_PERMISSION,
}
_SENTENCES = {
    LOCKED: "Another process has kept {path} locked for too long. Stop that process, then try again.",
    CORRUPT: "{path} is damaged. Stop the gateway and restore a backup: ./gateway-admin restore FILE.",
    FULL: "The disk that holds {path} is full. Free some space; nothing that was stored is lost.",
    READ_ONLY: "{path} cannot be changed: the file or its disk is read-only. Make it writable.",
    NO_PERMISSION: (
        "This user may not open {path}. Give the user that runs the gateway read and write access to the file "
        "and its directory, or set DATA_DIR to another directory."
    ),
    CANNOT_OPEN: (
        "{path} cannot be opened. The user that runs the gateway needs read and write access to the file and its "
        "directory, and enough open files (ulimit -n)."
    ),
    BROKEN: "The disk that holds {path} failed to read or write. Check the disk and the system's log.",
}


class StoreError(Exception):
    """The store cannot be opened or used. The message says why and what to do; `reason` is one word for it."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def store_error(reason: str, path: Path) -> StoreError:
    """The error for a `reason` that concerns the file at `path`."""
    return StoreError(reason, _SENTENCES[reason].format(path=path))


def explain(error: apsw.Error | OSError, path: Path) -> StoreError:
    """The error to raise instead of SQLite's or the system's own, which concerned the file at `path`."""
    if isinstance(error, OSError):
        return store_error(_ERRNOS.get(error.errno or 0, BROKEN), path)
    for kind, reason in _REASONS:
        if isinstance(error, kind):
            return store_error(reason, path)
    return store_error(BROKEN, path)


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Raise a StoreError instead of SQLite's and the system's errors in the block."""
    try:
        yield
    except (apsw.Error, OSError) as error:
        raise explain(error, path) from error
