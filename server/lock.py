"""One server at a time on a data directory."""

import fcntl
import os
from pathlib import Path

NAME = "server.lock"


class InUse(Exception):
    """Another server uses the directory."""


def take(data_dir: Path) -> int:
    """Lock the directory for this process and those that inherit the descriptor, until the last of them ends.

    Returns the descriptor. Raises InUse, OSError.
    """
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(data_dir / NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise InUse(
            f"Another server uses {data_dir}. Stop it, set DATA_DIR to another directory, or set WORKERS to run "
            "several processes on this one."
        ) from None
    return descriptor
