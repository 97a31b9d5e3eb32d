"""Limits that keep the reading of hostile bytes short."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_ELEMENTS = 750_000
"""Elements (pages, boxes, blocks, frames) that one probe reads: 4 hours of 20 ms packets, under a second."""

MAX_TRIM_SECONDS = 0.3
"""The most a container header may take off one end of a stream. Priming and padding of every codec fit (2,112
samples of AAC at 8 kHz are 0.264 s). A larger claim is ignored, so a false one gains no more than this."""

MAX_JUNK_BYTES = 1 << 16
"""Bytes skipped before a container, not counting ID3 tags."""

BATCH = 4096
"""Packets measured at once: enough to amortise a call, few enough to need little memory."""

_WINDOW = 1 << 15


class TooManyElementsError(Exception):
    """The file has more than `MAX_ELEMENTS` elements: its duration stays unknown."""


class Budget:
    """The limits of one probe: elements, and the seconds beyond which the exact duration no longer matters."""

    __slots__ = ("elements", "max_seconds")

    def __init__(self, max_seconds: float, elements: int = MAX_ELEMENTS) -> None:
        self.max_seconds = max_seconds
        self.elements = elements

    def spend(self, elements: int = 1) -> None:
        """Use up `elements` steps; raises TooManyElementsError when none are left."""
        self.elements -= elements
        if self.elements < 0:
            raise TooManyElementsError


def occurrences(view: memoryview, needle: bytes, start: int) -> "Iterator[int]":
    """Positions of `needle` from `start` on; copies growing windows, as a memoryview has no find()."""
    overlap = len(needle) - 1
    size = 512
    while start < len(view):
        window = bytes(view[start : start + size + overlap])
        at = window.find(needle)
        while at >= 0:
            yield start + at
            at = window.find(needle, at + 1)
        start += size
        size = min(2 * size, _WINDOW)
