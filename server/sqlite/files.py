"""Write files so that a power cut leaves them complete or absent, readable by their owner alone."""

import ctypes
import os
import secrets
from pathlib import Path


def make_directory(directory: Path) -> None:
    """Create a directory that only its owner can read, unless it exists. Raises OSError."""
    if not directory.is_dir():
        directory.mkdir(mode=0o700, exist_ok=True)
        sync_directory(directory.parent)


def write_once(path: Path, content: bytes) -> None:
    """Create a file, unless it exists by then. Raises OSError."""
    draft = _write_draft(path, content)
    try:
        path.hardlink_to(draft)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    sync_directory(path.parent)


def write(path: Path, content: "bytes | memoryview") -> None:
    """Create or replace a file. Raises OSError."""
    draft = _write_draft(path, content)
    try:
        draft.replace(path)
    except BaseException:
        draft.unlink()
        raise
    sync_directory(path.parent)


def swap(first: Path, second: Path) -> None:
    """Let two directories change places, where the system can in one step, so that both names exist at every moment.
    Raises OSError."""
    # renameat2(2), which Python's os does not offer: AT_FDCWD is -100, RENAME_EXCHANGE is 2.
    exchange = getattr(ctypes.CDLL(None), "renameat2", None)
    if exchange and exchange(-100, os.fsencode(first), -100, os.fsencode(second), 2) == 0:
        return
    between = first.with_name(f"{first.name}.{secrets.token_hex(4)}")
    second.rename(between)
    try:
        first.rename(second)
    except OSError:
        between.rename(second)
        raise
    between.rename(first)


def _write_draft(path: Path, content: "bytes | memoryview") -> Path:
    """Write the content, to the disk, under another name in the same directory."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        draft.unlink()
        raise
    return draft


def sync_directory(directory: Path) -> None:
    """Write a directory's entries to the disk. Raises OSError."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
