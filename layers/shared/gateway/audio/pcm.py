"""Linear PCM and the fixed-size block codecs: from bytes to samples."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class PcmBytes:
    """Counts samples of audio whose frames (one sample per channel) all have the same number of bytes."""

    looped = False
    priming = 0

    def __init__(self, name: str, rate: int, frame_bytes: int) -> None:
        self.name = name
        self.rate = rate
        self.frame_bytes = frame_bytes

    def count(self, _view: memoryview, _starts: "Sequence[int]", sizes: "Sequence[int]", /) -> int:
        """Samples in these packets, which hold whole frames."""
        return sum(sizes) // self.frame_bytes


def adpcm_samples(size: int, block: int, head: int, seed: int, channels: int) -> int:
    """Samples of 4-bit ADPCM in `size` bytes: blocks of `block` bytes, the last may be shorter.

    A block has `head` bytes per channel, which hold `seed` samples, then two samples per byte: 4 and 1 in IMA,
    7 and 2 in Microsoft's (Multimedia Data Standards Update 1994, "IMA ADPCM" and "MS ADPCM").
    """

    def block_samples(length: int) -> int:
        body = length - head * channels
        return seed + body * 2 // channels if body >= 0 else 0

    blocks, rest = divmod(size, block)
    return blocks * block_samples(block) + block_samples(rest)
