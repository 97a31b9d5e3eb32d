"""Counts the samples in Apple Lossless packets (ALACMagicCookieDescription, reference decoder)."""

from struct import unpack_from

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class AlacPackets:
    """Counts samples of ALAC packets: the packet's own number, or else the cookie's."""

    name = "alac"
    looped = True
    priming = 0

    def __init__(self, rate: int, frame: int) -> None:
        self.rate = rate
        self._frame = frame

    def count(self, view: memoryview, starts: "Sequence[int]", sizes: "Sequence[int]", /) -> int:
        """Samples in these packets; the last packet of a file is usually short."""
        total = 0
        for start, size in zip(starts, sizes, strict=True):
            # 3 bits element, 4 instance, 12 unused, 1 "has its own length", 2 shift, 1 verbatim; then the
            # length.
            head = int.from_bytes(bytes(view[start : start + min(size, 7)]).ljust(7, b"\0"), "big")
            samples = head >> 1 & 0xFFFFFFFF if head >> 36 & 1 else self._frame
            total += min(samples, self._frame)
        return total


def read_magic_cookie(cookie: bytes) -> AlacPackets | None:
    """Reads the 24-byte ALACSpecificConfig."""
    if len(cookie) < 24:
        return None
    frame, rate = unpack_from(">I", cookie)[0], unpack_from(">I", cookie, 20)[0]
    return AlacPackets(rate, frame) if 0 < frame <= 1 << 16 and rate else None
