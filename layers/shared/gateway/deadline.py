"""The deadline of the current request, which limits every wait."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

# Time reserved to render the answer, and in transcribe to store the usage record (contract section 3).
MARGIN_SECONDS = 1.5
# Seconds on the monotonic clock. Without a request (a command, a batch) there is no deadline.
_moment: ContextVar[float] = ContextVar("deadline", default=math.inf)


def left() -> float:
    """Seconds until the deadline; negative after it, infinite when there is none."""
    return _moment.get() - time.monotonic()


@contextmanager
def until(moment: float) -> Iterator[None]:
    """Set the deadline of the block to `moment`, in seconds on the monotonic clock."""
    token = _moment.set(moment)
    try:
        yield
    finally:
        _moment.reset(token)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Limit the block to `seconds`, or to the time left if that is less."""
    with until(min(_moment.get(), time.monotonic() + seconds)):
        yield


@contextmanager
def extended(seconds: float) -> Iterator[None]:
    """Extend the block's deadline by `seconds`, for work that must precede the answer even if it is late."""
    with until(_moment.get() + seconds):
        yield
