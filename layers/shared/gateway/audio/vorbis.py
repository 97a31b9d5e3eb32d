"""The duration of Vorbis packets, from their block size and their neighbour's."""

from struct import unpack_from

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_SHORT, _LONG, _NO_AUDIO = 0, 1, 2
_MODE_BITS = 41  # blockflag 1, windowtype 16, transformtype 16, mapping 8 (Vorbis I section 4.2.4)


class VorbisPackets:
    """Counts samples of Vorbis packets.

    A packet yields a quarter of its own block plus a quarter of the previous one; the first yields nothing
    (Vorbis I section 4.3.8).
    """

    name = "vorbis"
    looped = False
    priming = 0

    def __init__(self, rate: int, blocks: tuple[int, int], long_modes: list[int]) -> None:
        self.rate = rate
        self._blocks = blocks
        self._previous = 0
        # Bit 0 of a packet is 0 for audio; the mode number follows, in as few bits as fit (section 4.3.1).
        mask = (1 << (len(long_modes) - 1).bit_length()) - 1
        self._kinds = bytes(
            _NO_AUDIO if byte & 1 or byte >> 1 & mask >= len(long_modes) else long_modes[byte >> 1 & mask]
            for byte in range(256)
        )

    def count(self, view: memoryview, starts: "Sequence[int]", _sizes: "Sequence[int]", /) -> int:
        """Samples that a decoder gains from these packets, given those counted before."""
        kinds = bytes(map(view.__getitem__, starts)).translate(self._kinds, b"")
        kinds = kinds.replace(bytes([_NO_AUDIO]), b"")
        if not kinds:
            return 0
        first, last = self._blocks[kinds[0]], self._blocks[kinds[-1]]
        blocks = kinds.count(_SHORT) * self._blocks[_SHORT] + kinds.count(_LONG) * self._blocks[_LONG]
        # Each block counts half, but only a quarter at each end of the row.
        doubled = 2 * blocks - first - last
        if self._previous:
            doubled += self._previous + first
        self._previous = last
        return doubled // 4


def read_vorbis_headers(identification: bytes, setup: bytes) -> VorbisPackets | None:
    """Reads the first and third header packets (Vorbis I sections 4.2.2 and 4.2.4); None if unusable."""
    if len(identification) < 30 or not identification.startswith(b"\x01vorbis"):
        return None
    rate = unpack_from("<I", identification, 12)[0]
    short, long = 1 << (identification[28] & 15), 1 << (identification[28] >> 4)
    modes = _read_modes(setup)
    if not rate or not modes or not 64 <= short <= long <= 8192:
        return None
    return VorbisPackets(rate, (short, long), modes)


def _read_modes(setup: bytes) -> list[int]:
    """The block flag of every mode.

    The modes are last in the setup header, after kilobytes of codebooks that must be decoded to be skipped. So
    this reads backwards from the end, as libavcodec's parser does: each mode has 32 bits that must be zero,
    and the count before the first must agree.
    """
    if not setup.startswith(b"\x05vorbis"):
        return []
    bits = int.from_bytes(setup, "little")
    end = bits.bit_length() - 1  # the framing bit is the last one set
    flags: list[int] = []
    best = 0
    while end >= 56 + 6 + _MODE_BITS and len(flags) < 64:
        mode = bits >> (end - _MODE_BITS) & ((1 << _MODE_BITS) - 1)
        if mode >> 33 > 63 or mode >> 1 & 0xFFFFFFFF:
            break
        end -= _MODE_BITS
        flags.append(mode & 1)
        if (bits >> (end - 6) & 63) + 1 == len(flags):
            best = len(flags)
    return flags[:best][::-1]
