"""Measures the duration of an audio file from its bytes.

It trusts no duration in a header: it counts the audio that is there. Every function below works on a memoryview
and copies no audio.
"""

from .limits import MAX_ELEMENTS, Budget, TooManyElementsError
from .recognition import measure_audio
from .result import Audio, Finding

__all__ = ["MAX_ELEMENTS", "Audio", "probe"]


def probe(data: bytes | bytearray | memoryview, *, max_seconds: float = 14_400.0) -> Audio:
    """Container, codec and duration in seconds of the audio in `data`; never raises.

    The count stops once the duration passes `max_seconds`; `seconds` is then some value above `max_seconds`. It
    is None if the duration cannot be established: nothing measurable, or more than `MAX_ELEMENTS` elements.
    """
    found = Finding()
    try:
        view = memoryview(data)
        measure(view.cast("B") if view.contiguous else memoryview(view.tobytes()), found, max_seconds)
    except Exception:  # no bytes may make a request fail here
        found.seconds = None
    return found.result()


def measure(view: memoryview, found: Finding, max_seconds: float) -> None:
    """Recognises the container by its content alone and measures it; fills in `found`."""
    budget = Budget(max_seconds)
    try:
        measure_audio(view, found, budget)
    except TooManyElementsError:
        found.seconds = None
