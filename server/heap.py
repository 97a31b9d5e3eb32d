"""Keep the memory of finished requests for the next ones: the faults of new pages cost more than copying the audio."""

import ctypes
from collections.abc import Callable
from typing import Any

# Parameters of mallopt(3), and what glibc itself would adapt them to after audio of 32 MiB.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEPT_BYTES = 64 * 1024 * 1024
_MAPPED_BYTES = 32 * 1024 * 1024


def keep_freed() -> None:
    """Keep up to 64 MiB that are free at the end of the heap, until `give_back`. Only glibc can."""
    if set_option := _of_libc("mallopt"):
        set_option(_M_MMAP_THRESHOLD, _MAPPED_BYTES)
        set_option(_M_TRIM_THRESHOLD, _KEPT_BYTES)


def give_back() -> None:
    """Return free memory to the system."""
    if trim := _of_libc("malloc_trim"):
        trim(0)


def _of_libc(name: str) -> Callable[..., Any] | None:
    """A function of glibc; None where the C library has none of this name."""
    return getattr(ctypes.CDLL(None), name, None)
