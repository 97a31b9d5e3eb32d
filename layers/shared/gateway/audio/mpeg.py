"""MPEG audio frame headers, layers II and III: the length of a frame in bytes and samples."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

# ISO/IEC 11172-3 section 2.4.2.3 and 13818-3 section 2.4.2.3; version 0 is the unofficial MPEG 2.5.
_KBPS_1_3 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_KBPS_1_2 = (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384)
_KBPS_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_RATES = (44100, 48000, 32000)
_DIVIDE = {3: 1, 2: 2, 0: 4}  # version bits -> divisor of MPEG-1's rates
_LAYER_3, _LAYER_2 = 1, 2

KEY_SHIFT = 9
"""`header >> KEY_SHIFT` sets a frame's size: sync, version, layer, protection, bitrate, rate, padding."""
SAME_STREAM = 0xFFFE0C00
"""The header bits that are constant within a stream: sync, version, layer and sample rate."""


class Frame:
    """The fields of one header: `size` in bytes (0: free format, the next header ends it), samples, rate (Hz)."""

    __slots__ = ("codec", "mono", "mpeg1", "rate", "samples", "size")

    def __init__(self, header: int, size: int, samples: int, rate: int) -> None:
        self.size = size
        self.samples = samples
        self.rate = rate
        self.codec = "mp3" if header >> 17 & 3 == _LAYER_3 else "mp2"
        self.mpeg1 = header >> 19 & 3 == 3
        self.mono = header >> 6 & 3 == 3


def read_frame(header: int) -> Frame | None:
    """The frame that a 32-bit big-endian header describes; None if it is not a layer II or III header."""
    version, layer = header >> 19 & 3, header >> 17 & 3
    bitrate, rate_index, padding = header >> 12 & 15, header >> 10 & 3, header >> 9 & 1
    if header >> 21 != 0x7FF or version == 1 or layer not in (_LAYER_2, _LAYER_3):
        return None
    if bitrate == 15 or rate_index == 3:
        return None
    rate = _RATES[rate_index] // _DIVIDE[version]
    samples = 576 if layer == _LAYER_3 and version != 3 else 1152
    table = _KBPS_2 if version != 3 else _KBPS_1_3 if layer == _LAYER_3 else _KBPS_1_2
    size = samples * 125 * table[bitrate] // rate + padding if bitrate else 0
    return Frame(header, size, samples, rate)


_sizes: dict[int, dict[int, int]] = {}


def frame_sizes(header: int, size: int) -> dict[int, int]:
    """Bytes of every frame in the stream of `header`, by `header >> KEY_SHIFT`.

    `size` is this frame's: in a free-format stream all frames have it, apart from the padding byte.
    """
    stream = header & SAME_STREAM
    if stream not in _sizes:
        headers = [stream | low << KEY_SHIFT for low in range(1 << 8)]
        headers = [each for each in headers if not (each ^ stream) & SAME_STREAM]
        frames = {each >> KEY_SHIFT: read_frame(each) for each in headers}
        _sizes[stream] = {key: frame.size for key, frame in frames.items() if frame and frame.size}
    if header >> 12 & 15:
        return _sizes[stream]
    padding = 0x200
    shortest = size - (1 if header & padding else 0)
    plain = header & ~padding
    return {plain >> KEY_SHIFT: shortest, (plain | padding) >> KEY_SHIFT: shortest + 1}


class MpegFrames:
    """Counts MPEG audio frames carried as packets, in ticks of a clock that all sample rates divide."""

    looped = True
    priming = 0
    rate = 14_112_000

    def __init__(self, name: str) -> None:
        self.name = name

    def count(self, view: memoryview, starts: "Sequence[int]", sizes: "Sequence[int]", /) -> int:
        """Ticks in these packets; decoders split a packet that holds several frames."""
        total = 0
        for start, size in zip(starts, sizes, strict=True):
            position, end = start, start + size
            while position + 4 <= end:
                frame = read_frame(int.from_bytes(view[position : position + 4], "big"))
                if frame is None or not frame.size or position + frame.size > end:
                    break
                total += frame.samples * (self.rate // frame.rate)
                position += frame.size
        return total
