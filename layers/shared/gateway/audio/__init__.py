"""How long an audio file is, measured from its bytes.

No duration that a header states is believed: what is really there is walked and counted. Every function below
works on a memoryview and copies no audio.
"""

from .limits import MAX_ELEMENTS, Budget, TooManyElementsError
from .recognition import measure_audio
from .result import Audio, Finding

__all__ = ["MAX_ELEMENTS", "Audio", "probe"]


def probe(data: bytes | bytearray | memoryview, *, max_seconds: float = 14_400.0) -> Audio:
    """The container, the codec and the duration in seconds of the audio in `data`; never raises.

    When the duration passes `max_seconds` the walk ends, and `seconds` is some value above `max_seconds`. It
    is None when the duration cannot be established: nothing measurable, or more than `MAX_ELEMENTS` elements
    to walk.
    """
    found = Finding()
    try:
        view = memoryview(data)
        measure(view.cast("B") if view.contiguous else memoryview(view.tobytes()), found, max_seconds)
    except Exception:  # whatever the bytes are, a request must not fail here
        found.seconds = None
    return found.result()


def measure(view: memoryview, found: Finding, max_seconds: float) -> None:
    """Recognises the container by its content alone, and walks it; what is learnt stands in `found`."""
    budget = Budget(max_seconds)
    try:
        measure_audio(view, found, budget)
    except TooManyElementsError:
        found.seconds = None
