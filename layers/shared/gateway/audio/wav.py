"""WAV: measures the data chunks by sample format (RIFF MCI 1991; RF64: EBU Tech 3306)."""

from struct import unpack_from

from .limits import Budget
from .mp3 import measure_frames
from .pcm import adpcm_samples
from .result import Finding

_PCM, _MS_ADPCM, _FLOAT, _ALAW, _MULAW, _IMA_ADPCM = 1, 2, 3, 6, 7, 0x11
_GSM, _MP2, _MP3, _EXTENSIBLE = 0x31, 0x50, 0x55, 0xFFFE
_NAMES = {
    _PCM: "pcm",
    _MS_ADPCM: "adpcm_ms",
    _FLOAT: "pcm_float",
    _ALAW: "pcm_alaw",
    _MULAW: "pcm_mulaw",
    _IMA_ADPCM: "adpcm_ima",
    _GSM: "gsm",
    _MP2: "mp2",
    _MP3: "mp3",
}
RIFF = (b"RIFF", b"RF64", b"BW64", b"RIFX")
_UNSET_SIZES = (0, 0xFFFFFFFF)  # from a writer that could not seek back: the chunk runs to the end


def is_wav(view: memoryview) -> bool:
    """A RIFF form of type WAVE with at least one chunk header."""
    return len(view) >= 20 and bytes(view[:4]) in RIFF and bytes(view[8:12]) == b"WAVE"


def measure_wav(view: memoryview, found: Finding, budget: Budget) -> None:
    """Measures the data chunk, up to the end of the file."""
    order = ">" if bytes(view[:4]) == b"RIFX" else "<"  # the Motorola form
    position, end = 12, len(view)
    format_chunk: _Format | None = None
    large_size = 0
    seconds = 0.0
    while position + 8 <= end and seconds <= budget.max_seconds:
        budget.spend()
        name = bytes(view[position : position + 4])
        size = unpack_from(order + "I", view, position + 4)[0]
        body = position + 8
        if name == b"ds64" and body + 16 <= end:
            large_size = unpack_from("<Q", view, body + 8)[0]
        elif name == b"fmt " and format_chunk is None:
            format_chunk = _read_format(bytes(view[body : min(body + size, body + 40)]), order)
            found.codec = format_chunk.name if format_chunk else None
        elif name == b"data":
            if size == 0xFFFFFFFF and large_size:
                size = large_size
            elif size in _UNSET_SIZES:
                size = end - body
            found.has_audio = True
            budget.spend()
            if format_chunk:
                # A decoder plays one chunk: libavformat the last, SoX the first. So take the longest.
                seconds = max(seconds, format_chunk.measure(view[body : min(body + size, end)], budget))
        position = body + size + (size & 1)
    found.seconds = seconds


class _Format:
    """The fmt chunk: the fields decoders use. None uses the byte rate."""

    def __init__(self, tag: int, channels: int, rate: int, block: int, bits: int) -> None:
        self.name = _NAMES.get(tag)
        self._tag = tag
        self._channels = channels
        self._rate = rate
        self._block = block
        self._bits = bits

    def measure(self, data: memoryview, budget: Budget) -> float:
        """Seconds in the bytes of one data chunk; 0 if unknown."""
        if self._tag in (_MP2, _MP3):
            return measure_frames(data, 0, budget)
        if not self._rate or not self._channels:
            return 0.0
        return self._samples(len(data)) / self._rate

    def _samples(self, size: int) -> int:
        channels, block = self._channels, self._block
        if self._tag in (_PCM, _FLOAT):
            frame = channels * ((self._bits + 7) // 8)
            # 24 bits in four bytes; decoders ignore any other block align that contradicts the sample size.
            if self._bits == 24 and block == 4 * channels:
                frame = block
            return size // frame if frame else 0
        if self._tag in (_ALAW, _MULAW):
            return size // channels
        if self._tag == _GSM:
            return size // 65 * 320  # two GSM 06.10 frames in 65 bytes
        if self._tag == _IMA_ADPCM and block > 4 * channels:
            return adpcm_samples(size, block, 4, 1, channels)
        if self._tag == _MS_ADPCM and block > 7 * channels:
            return adpcm_samples(size, block, 7, 2, channels)
        return 0


def _read_format(chunk: bytes, order: str) -> _Format | None:
    """Reads a fmt chunk of 16 bytes or more; an EXTENSIBLE chunk's format is at the start of its sub-format GUID."""
    if len(chunk) < 14:
        return None
    tag, channels, rate, _byte_rate, block = unpack_from(order + "HHIIH", chunk)
    bits = unpack_from(order + "H", chunk, 14)[0] if len(chunk) >= 16 else 8
    if tag == _EXTENSIBLE and len(chunk) >= 26:
        tag = unpack_from(order + "H", chunk, 24)[0]
    return _Format(tag, channels, rate, block, bits)
