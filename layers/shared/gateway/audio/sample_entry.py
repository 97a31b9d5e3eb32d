"""The sample entry of an MP4 audio track: the codec of its samples, and how to count them."""

from struct import unpack_from

from .aac import AacUnits, read_audio_specific_config
from .alac import read_magic_cookie
from .boxes import boxes
from .flac import FlacFrames, read_streaminfo_rate
from .limits import Budget
from .mpeg import MpegFrames
from .opus import read_dops
from .pcm import PcmBytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .packets import Packets

# QuickTime File Format, "Sound sample description"; ISO/IEC 23003-5 for ipcm and fpcm. Bytes per sample; 0:
# as stated.
_PCM = {
    b"sowt": 0, b"twos": 0, b"raw ": 0, b"NONE": 0, b"lpcm": 0, b"ipcm": 0, b"fpcm": 0,
    b"in24": 3, b"in32": 4, b"fl32": 4, b"fl64": 8, b"alaw": 1, b"ulaw": 1,
}  # fmt: skip
_MPEG = {b".mp3": "mp3", b"ms\0\x55": "mp3", b".mp2": "mp2", b"ms\0\x50": "mp2"}
# Object types of an ES descriptor (mp4ra.org): MPEG-4 AAC, MPEG-2 AAC, MPEG-1 and MPEG-2 audio.
_AAC_OBJECTS, _MPEG_OBJECTS = (0x40, 0x66, 0x67, 0x68), (0x69, 0x6B)
_EXTENSIONS = {b"esds", b"dOps", b"dfLa", b"alac"}
_NAMES = {b"ac-3": "ac3", b"ec-3": "eac3", b"samr": "amr_nb", b"sawb": "amr_wb", b"ima4": "adpcm_ima_qt"}


def read_sample_entry(kind: bytes, entry: memoryview, budget: Budget) -> tuple[str | None, "Packets | None"]:
    """Codec and packet counter from the body of an AudioSampleEntry (ISO/IEC 14496-12 section 12.2.3)."""
    packets = _read_packets(kind, entry, budget)
    if packets:
        return packets.name, packets
    name = kind.decode("ascii", "replace").strip()
    return _NAMES.get(kind, name if name.isalnum() else None), None


def _read_packets(kind: bytes, entry: memoryview, budget: Budget) -> "Packets | None":
    if len(entry) < 28:
        return None
    version, channels, bits = (unpack_from(">H", entry, at)[0] for at in (8, 16, 18))
    rate = unpack_from(">H", entry, 24)[0]
    if version == 2 and len(entry) >= 64:  # QuickTime's sound description version 2
        rate, channels, _, bits = unpack_from(">dIII", entry, 32)
        rate = round(rate) if 0 < rate < 1e7 else 0
    if kind in _PCM:
        frame = channels * (_PCM[kind] or bits // 8)
        return PcmBytes("pcm", rate, frame) if rate and frame else None
    if kind in _MPEG:
        return MpegFrames(_MPEG[kind])
    extension = _read_extensions(entry, budget)
    if kind == b"mp4a" and b"esds" in extension:
        return _read_elementary_stream(extension[b"esds"][4:], rate, channels)
    if kind == b"Opus" and b"dOps" in extension:
        return read_dops(extension[b"dOps"])
    if kind == b"fLaC" and b"dfLa" in extension:
        return FlacFrames(read_streaminfo_rate(extension[b"dfLa"][8:]))
    if kind == b"alac" and b"alac" in extension:
        return read_magic_cookie(extension[b"alac"][4:])
    return None


def _read_extensions(entry: memoryview, budget: Budget) -> dict[bytes, bytes]:
    """The boxes after the fields; QuickTime adds 16 or 36 bytes of fields and wraps boxes in `wave`."""
    for fields in (28, 44, 64):
        found = {kind: body for kind, _, body, _ in boxes(entry[fields:], budget)}
        if b"wave" in found:
            found |= {kind: body for kind, _, body, _ in boxes(found[b"wave"], budget)}
        if found.keys() & _EXTENSIONS:
            return {kind: bytes(found[kind][:4096]) for kind in found.keys() & _EXTENSIONS}
    return {}


def _read_elementary_stream(descriptor: bytes, rate: int, channels: int) -> "Packets | None":
    """Reads an ES_Descriptor and its decoder configuration (ISO/IEC 14496-1 sections 7.2.6.5 to 7.2.6.7)."""
    body = _read_descriptor(descriptor, 0x03)
    if len(body) < 3:
        return None
    flags = body[2]
    skipped = 3 + (2 if flags & 0x80 else 0)
    if flags & 0x40 and len(body) > skipped:  # a URL
        skipped += 1 + body[skipped]
    skipped += 2 if flags & 0x20 else 0
    config = _read_descriptor(body[skipped:], 0x04)
    if len(config) < 13:
        return None
    if config[0] in _MPEG_OBJECTS:
        return MpegFrames("mp3")
    if config[0] not in _AAC_OBJECTS:
        return None
    specific = _read_descriptor(config[13:], 0x05)
    # MPEG-2 AAC may lack it; MPEG-4 AAC without it cannot be decoded.
    if not specific and config[0] != _AAC_OBJECTS[0] and rate:
        return AacUnits(rate, 1024, channels)
    return read_audio_specific_config(specific)


def _read_descriptor(data: bytes, tag: int) -> bytes:
    """The body of the descriptor at the start of `data`, if it has `tag` (ISO/IEC 14496-1 section 8.3.3)."""
    if data[:1] != bytes([tag]):
        return b""
    size, at = 0, 1
    for byte in data[1:5]:
        size = size << 7 | byte & 127
        at += 1
        if byte < 128:
            break
    return data[at : at + size]
