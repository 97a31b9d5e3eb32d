"""The duration of Opus packets, from their table-of-contents byte."""

from struct import unpack_from

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

RATE = 48_000
_UNIT = 120  # samples in 2.5 ms, the shortest frame; all durations are multiples of it
_MAX_UNITS = 48  # a packet is at most 120 ms (RFC 6716 section 3.1, requirement R5)

# Frame length of the 32 configurations, in units of 2.5 ms (RFC 6716 section 3.1, table 2):
# SILK 10, 20, 40, 60 ms; hybrid 10, 20 ms; CELT 2.5, 5, 10, 20 ms.
_FRAME = bytes([4, 8, 16, 24] * 3 + [4, 8] * 2 + [1, 2, 4, 8] * 4)
# Frame count codes 0 to 2 mean one frame or two (sections 3.2.2 to 3.2.4). For code 3 the number of frames is
# in the low bits of the second byte (section 3.2.5). No decoder accepts more than 120 ms.
_PACKET = bytes((0 if toc & 3 == 3 else 2 if toc & 3 else 1) * _FRAME[toc >> 3] for toc in range(256))
_NOT_COUNTED = bytes(toc for toc in range(256) if toc & 3 != 3)
_COUNTED = [bytes(n * frame if n * frame <= _MAX_UNITS else 0 for n in range(64)) for frame in _FRAME]


class OpusPackets:
    """Counts 48 kHz samples of Opus packets; `priming` samples at the start are not played."""

    name = "opus"
    rate = RATE
    looped = False

    def __init__(self, pre_skip: int) -> None:
        self.priming = pre_skip

    def count(self, view: memoryview, starts: "Sequence[int]", sizes: "Sequence[int]", /) -> int:
        """Samples in the packets that start at `starts`, each `sizes` (at least one) bytes long."""
        tocs = bytes(map(view.__getitem__, starts))
        units = sum(tocs.translate(_PACKET))
        if tocs.translate(None, _NOT_COUNTED):
            units += sum(
                _COUNTED[toc >> 3][view[start + 1] & 63]
                for toc, start, size in zip(tocs, starts, sizes, strict=True)
                if toc & 3 == 3 and size > 1
            )
        return units * _UNIT


def read_opus_head(head: bytes) -> OpusPackets | None:
    """Reads an `OpusHead` packet (RFC 7845 section 5.1), as in Ogg and Matroska."""
    if len(head) < 19 or not head.startswith(b"OpusHead") or head[8] >> 4:
        return None
    return OpusPackets(unpack_from("<H", head, 10)[0])


def read_dops(box: bytes) -> OpusPackets | None:
    """Reads a `dOps` box: big-endian OpusHead without magic (Encapsulation of Opus in ISOBMFF, section 4.3.2)."""
    if len(box) < 11:
        return None
    return OpusPackets(unpack_from(">H", box, 2)[0])
