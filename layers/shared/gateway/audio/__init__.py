"""How long an audio file is, measured from its bytes.

No duration that a header states is believed: what is really there is walked and counted. Every function below
works on a memoryview and copies no audio.
"""

from .flac import measure_flac
from .limits import MAX_ELEMENTS, Budget, TooManyElementsError
from .mp3 import find_mp3, measure_mp3, skip_id3
from .mp4 import is_mp4, measure_mp4
from .ogg import measure_ogg
from .result import Audio, Finding
from .wav import is_wav, measure_wav
from .webm import is_webm, measure_webm

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
        _walk(view, found, budget)
    except TooManyElementsError:
        found.seconds = None


def _walk(view: memoryview, found: Finding, budget: Budget) -> None:
    start = skip_id3(view, budget)
    body = view[start:]
    magic = bytes(body[:4])
    if is_wav(body):
        found.format = "wav"
        measure_wav(body, found, budget)
    elif magic == b"OggS":
        found.format = "ogg"
        measure_ogg(body, found, budget)
    elif magic == b"fLaC":
        found.format = "flac"
        measure_flac(body, 0, found, budget)
    elif is_webm(body):
        found.format = "webm"
        measure_webm(body, found, budget)
    elif is_mp4(body, budget):
        found.format = "mp4"
        measure_mp4(body, found, budget)
    elif (first := find_mp3(view, start, budget)) is not None:
        found.format = "mp3"
        measure_mp3(view, first, found, budget)
