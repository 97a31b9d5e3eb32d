"""FLAC: counts the frames themselves (RFC 9639), in a FLAC file or as packets."""

from .limits import Budget, occurrences
from .result import Finding

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_STREAMINFO = 34  # bytes (RFC 9639 section 8.2)
# RFC 9639 sections 9.1.1 and 9.1.2; 0: given elsewhere or reserved.
_BLOCKS = (0, 192, 576, 1152, 2304, 4608, 0, 0, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768)
_RATES = (0, 88200, 176400, 192000, 8000, 16000, 22050, 24000, 32000, 44100, 48000, 96000)
_ID3V1 = 128


def _crc_table(polynomial: int, width: int) -> list[int]:
    """The CRC of every byte, built from the CRCs of the eight single bits (a CRC is linear)."""
    table = [0]
    crc = 1 << (width - 1)
    for _ in range(8):
        crc = (crc << 1) ^ (polynomial | 1 << width if crc >> (width - 1) else 0)
        table += [each ^ crc for each in table]
    return table


_CRC8 = _crc_table(0x07, 8)
_CRC16 = _crc_table(0x8005, 16)


class Frame:
    """A frame header: `samples` per channel, `rate` in Hz (0: as in STREAMINFO), and identifying bits."""

    __slots__ = ("number", "rate", "samples", "shape", "variable")

    def __init__(
        self, number: int, samples: int, rate: int, shape: tuple[int, int, int], variable: bool
    ) -> None:
        self.number = number
        self.samples = samples
        self.rate = rate
        self.shape = shape
        self.variable = variable

    def follows(self, previous: "Frame") -> bool:
        """Whether this is no coincidence: a CRC-8 and the same 12 bits of shape, or the next number."""
        if self.variable != previous.variable or self.shape[1:] != previous.shape[1:]:
            return False
        step = previous.samples if previous.variable else 1
        return self.shape == previous.shape or self.number == previous.number + step


def read_frame(view: memoryview, position: int) -> Frame | None:
    """The frame header at `position` (RFC 9639 section 9.1); None if there is none or its CRC-8 is wrong."""
    head = bytes(view[position : position + 16])
    if len(head) < 6 or head[0] != 0xFF or head[1] & 0xFE != 0xF8:
        return None
    block, rate, depth = head[2] >> 4, head[2] & 15, head[3] & 15
    if block == 0 or rate == 15 or head[3] >> 4 > 10 or depth & 1 or depth == 6:
        return None
    extra = 0 if head[4] < 0x80 else 7 - (head[4] ^ 0xFF).bit_length()
    if head[4] == 0xFF or 0x80 <= head[4] < 0xC0:
        return None
    number = head[4] & (0x7F if not extra else 0x3F >> extra)
    for byte in head[5 : 5 + extra]:
        number = number << 6 | byte & 0x3F
    at = 5 + extra
    samples = _BLOCKS[block]
    if block in (6, 7):
        width = block - 5
        samples = int.from_bytes(head[at : at + width], "big") + 1
        at += width
    hertz = _RATES[rate] if rate < 12 else 0
    if rate >= 12:
        width = 1 if rate == 12 else 2
        hertz = int.from_bytes(head[at : at + width], "big") * (1000, 1, 10)[rate - 12]
        at += width
    crc = 0
    for byte in head[: at + 1]:
        crc = _CRC8[crc ^ byte]
    if crc or at >= len(head):
        return None
    return Frame(number, samples, hertz, (head[2] >> 4, head[2] & 15, depth), bool(head[1] & 1))


def read_streaminfo_rate(block: bytes) -> int:
    """The sample rate in Hz in a STREAMINFO block (RFC 9639 section 8.2); 0 if cut short."""
    return int.from_bytes(block[10:13], "big") >> 4 if len(block) >= _STREAMINFO else 0


class FlacFrames:
    """Counts samples of FLAC frames that another container carries as packets."""

    name = "flac"
    looped = True
    priming = 0

    def __init__(self, rate: int) -> None:
        self.rate = rate

    def count(self, view: memoryview, starts: "Sequence[int]", _sizes: "Sequence[int]", /) -> int:
        """Samples at STREAMINFO's rate: converts frames with their own rate, skips what is not a frame."""
        total = 0.0
        for start in starts:
            frame = read_frame(view, start)
            if frame:
                self.rate = self.rate or frame.rate
                total += frame.samples * self.rate / (frame.rate or self.rate or 1)
        return round(total)


def is_flac(view: memoryview) -> bool:
    """Checks the magic and a plausible STREAMINFO block (RFC 9639 sections 8.1 and 8.2)."""
    block = bytes(view[: 8 + _STREAMINFO])
    blocks = int.from_bytes(block[8:10], "big"), int.from_bytes(block[10:12], "big")
    magic = block[:4] == b"fLaC" and block[4:8] in (b"\0\0\0\x22", b"\x80\0\0\x22")
    return magic and 16 <= blocks[0] <= blocks[1] and read_streaminfo_rate(block[8:]) > 0


def measure_flac(view: memoryview, found: Finding, budget: Budget) -> None:
    """Adds up the frames after the metadata blocks; the file begins with `fLaC`."""
    found.codec = "flac"
    found.has_audio = True
    position, rate = _skip_metadata(view, 4, budget)
    samples: dict[int, int] = {}  # by rate
    for begin, end, frame in _frames(view, position, budget):
        hertz = frame.rate or rate
        # No next frame confirms where the last one ends: it may be cut short.
        if end < len(view) or _is_whole(view, begin, budget):
            samples[hertz] = samples.get(hertz, 0) + frame.samples
        if hertz and samples.get(hertz, 0) > budget.max_seconds * hertz:
            break
    found.seconds = sum(count / hertz for hertz, count in samples.items() if hertz)


def _skip_metadata(view: memoryview, position: int, budget: Budget) -> tuple[int, int]:
    """The position of the first frame, and STREAMINFO's sample rate (RFC 9639 section 8.1)."""
    rate = 0
    last = False
    while not last and position + 4 <= len(view):
        budget.spend()
        kind = view[position]
        length = int.from_bytes(view[position + 1 : position + 4], "big")
        if kind & 127 == 0:
            rate = read_streaminfo_rate(bytes(view[position + 4 : position + 4 + min(length, _STREAMINFO)]))
        last = bool(kind & 128)
        position += 4 + length
    return position, rate


def _frames(view: memoryview, position: int, budget: Budget) -> "Iterator[tuple[int, int, Frame]]":
    """Start, end and header of each frame from `position` on.

    No field gives a frame's length, so this searches for the next frame. A sync code alone is not enough: the
    header must follow from the previous one, or the previous frame's CRC-16 must end there.
    """
    current: Frame | None = None
    begin = 0
    sync = b"\xff"
    for at in occurrences(view, sync, position):
        current = read_frame(view, at)
        budget.spend()
        if current:
            begin, sync = at, bytes(view[at : at + 2])
            break
    if current is None:
        return
    for at in occurrences(view, sync, begin + 2):
        budget.spend(2)
        frame = read_frame(view, at)
        if frame and (frame.follows(current) or _crc16(view[begin:at], budget) == 0):
            budget.spend(8)
            yield begin, at, current
            begin, current = at, frame
    yield begin, len(view), current


def _is_whole(view: memoryview, begin: int, budget: Budget) -> bool:
    """Whether the CRC-16 of the last frame, at `begin`, ends where the audio does (tags may follow)."""
    tail = view[begin:]
    if bytes(tail[-_ID3V1:]).startswith(b"TAG"):
        tail = tail[:-_ID3V1]
    ape = next(occurrences(tail, b"APETAGEX", 0), len(tail))
    return _crc16(tail[:ape], budget) == 0


def _crc16(data: memoryview, budget: Budget) -> int:
    """The CRC-16 of RFC 9639 section 9.3: 0 over a whole frame including its last two bytes."""
    budget.spend(len(data) // 16)
    crc = 0
    for byte in bytes(data):
        crc = crc << 8 & 0xFFFF ^ _CRC16[crc >> 8 ^ byte]
    return crc
