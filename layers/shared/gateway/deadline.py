"""The moment by which a request must be answered: every wait made for the request asks how much time is left."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

# Left of a function's time to render the answer, and in transcribe to keep the usage record (contract section 3).
MARGIN_SECONDS = 1.5
# Seconds on the monotonic clock. Without a request (a command, a batch) there is no deadline.
_moment: ContextVar[float] = ContextVar("deadline", default=math.inf)


def left() -> float:
    """Seconds until the deadline; negative after it, infinite when there is none."""
    return _moment.get() - time.monotonic()


@contextmanager
def until(moment: float) -> Iterator[None]:
    """Make `moment`, in seconds on the monotonic clock, the deadline of what runs inside."""
    token = _moment.set(moment)
    try:
        yield
    finally:
        _moment.reset(token)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Give what runs inside `seconds` at most, and never more than is left."""
    with until(min(_moment.get(), time.monotonic() + seconds)):
        yield


@contextmanager
def extended(seconds: float) -> Iterator[None]:
    """Give what runs inside `seconds` beyond the deadline: for what must be done before an answer, late or not."""
    with until(_moment.get() + seconds):
        yield
