"""Counts the samples in AAC access units, from the AudioSpecificConfig."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
# Audio object types (ISO/IEC 14496-3 table 1.17): samples in one access unit, for frameLengthFlag 0 and 1.
_GENERAL = dict.fromkeys((1, 2, 3, 4, 5, 6, 7, 17, 19, 20, 22, 29), (1024, 960)) | {
    23: (512, 480),
    39: (512, 480),
}
_SBR = (5, 29)
_USAC = 42
_USAC_FRAMES = (
    768,
    1024,
    2048,
    2048,
    4096,
)  # outputFrameLength by coreSbrFrameLengthIndex (ISO/IEC 23003-3 table 70)
# The longest unit, per channel: twice the decoder's 6,144-bit input buffer (ISO/IEC 14496-3 section 4.5.3.1),
# because encoders exceed it (1,090 bytes seen at 8 kHz).
_MAX_UNIT_BYTES = 1536


def max_unit_bytes(configuration: int) -> int:
    """The longest unit in bytes, by channel configuration (ISO/IEC 14496-3 table 1.19).

    0: the layout is given elsewhere, at most 16 elements; 7 and up: eight channels.
    """
    channels = configuration if 0 < configuration < 7 else 8 if configuration else 16
    return _MAX_UNIT_BYTES * channels


class AacUnits:
    """Counts samples of AAC access units at the core rate: SBR doubles both rate and samples."""

    name = "aac"
    looped = False
    priming = 0

    def __init__(self, rate: int, frame: int, channels: int) -> None:
        self.rate = rate
        self._frame = frame
        self._limit = max_unit_bytes(channels)

    def count(self, _view: memoryview, _starts: "Sequence[int]", sizes: "Sequence[int]", /) -> int:
        """Samples in these access units.

        If bytes are left in a packet, decoders read them as another unit, so units joined into one packet are
        audible. A packet too long for one unit therefore counts as the fewest units that fit its size.
        """
        units = len(sizes)
        if max(sizes) > self._limit:
            units += sum((size - 1) // self._limit for size in sizes)
        return units * self._frame


class _Bits:
    """Reads big-endian bit fields; past the end, it reads zeros."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data[:64].ljust(64, b"\0"), "big")
        self._left = 512

    def read(self, count: int) -> int:
        self._left -= count
        return self._value >> self._left & ((1 << count) - 1)

    def read_object_type(self) -> int:
        kind = self.read(5)
        return 32 + self.read(6) if kind == 31 else kind

    def read_rate(self) -> int:
        index = self.read(4)
        if index == 15:
            return self.read(24)
        return RATES[index] if index < len(RATES) else 0


def read_audio_specific_config(config: bytes) -> AacUnits | None:
    """Reads an AudioSpecificConfig (ISO/IEC 14496-3 section 1.6.2.1); None if not AAC."""
    bits = _Bits(config)
    kind = bits.read_object_type()
    rate = bits.read_rate()
    channels = bits.read(4)
    if kind in _SBR:
        bits.read_rate()  # the doubled rate
        kind = bits.read_object_type()
    frame = 0
    if kind == _USAC:
        rate, frame = _read_usac(bits)
    elif kind in _GENERAL:
        frame = _GENERAL[kind][bits.read(1)]
    if not rate or not frame:
        return None
    return AacUnits(rate, frame, channels)


def _read_usac(bits: _Bits) -> tuple[int, int]:
    """Output rate and samples per xHE-AAC frame (UsacConfig, ISO/IEC 23003-3 section 5.2)."""
    index = bits.read(5)
    rate = bits.read(24) if index == 31 else RATES[index] if index < len(RATES) else 0
    length = bits.read(3)
    return rate, _USAC_FRAMES[length] if length < len(_USAC_FRAMES) else 0
