"""Large files for the audio prober: ordinary files of each kind, and files made to be slow."""

import struct
from collections.abc import Callable

from gateway.audio.ogg import _checksum
from tests.unit.audio.recordings import record

Maker = Callable[[int], bytes]

_OPUS_HEAD = b"OpusHead\1\1\0\0\x80\xbb\0\0\0\0\0"
_BARE = {"write_xing": "0", "id3v2_version": "0"}
_FRAGMENTED = {"movflags": "frag_keyframe+empty_moov+default_base_moof", "frag_duration": "1000000"}


def fill(size: int, head: bytes, unit: bytes) -> bytes:
    """`head`, then `unit` as often as fits into `size` bytes."""
    return head + unit * ((size - len(head)) // len(unit))


def box(kind: bytes, body: bytes) -> bytes:
    """An MP4 box."""
    return struct.pack(">I4s", 8 + len(body), kind) + body


def page(packets: list[bytes], *, sequence: int = 2, flags: int = 0, granule: int = -1) -> bytes:
    """An Ogg page of whole packets."""
    lacing = b"".join(b"\xff" * (len(packet) // 255) + bytes([len(packet) % 255]) for packet in packets)
    head = struct.pack("<4sBBqIIIB", b"OggS", 0, flags, granule, 1, sequence, 0, len(lacing))
    data = head + lacing + b"".join(packets)
    return data[:22] + struct.pack("<I", _checksum(memoryview(data))) + data[26:]


def element(ident: str, body: bytes) -> bytes:
    """An EBML element with an eight-byte size."""
    return bytes.fromhex(ident) + struct.pack(">Q", len(body) | 1 << 56) + body


_OPUS_START = page([_OPUS_HEAD], sequence=0, flags=2) + page([b"OpusTags" + bytes(8)], sequence=1)
_UNKNOWN = b"\x01" + b"\xff" * 7


def webm_start(tracks: int = 1) -> bytes:
    """A live WebM file with Opus tracks, up to the inside of its first cluster."""
    entries = b"".join(
        element(
            "ae",
            element("d7", bytes([number]))
            + element("83", b"\2")
            + element("86", b"A_OPUS")
            + element("63a2", _OPUS_HEAD),
        )
        for number in range(1, tracks + 1)
    )
    header = element("1a45dfa3", element("4282", b"webm"))
    return (
        header
        + b"\x18\x53\x80\x67"
        + _UNKNOWN
        + element("1654ae6b", entries)
        + b"\x1f\x43\xb6\x75"
        + _UNKNOWN
    )


def movie(description: bytes, sizes: bytes, runs: bytes, chunks: bytes) -> bytes:
    """An MP4 file of one audio track, without the data."""
    table = box(b"stbl", description + box(b"stsz", sizes) + box(b"stsc", runs) + box(b"stco", chunks))
    handler = box(b"hdlr", bytes(8) + b"soun" + bytes(13))
    media = box(
        b"mdia", box(b"mdhd", struct.pack(">IIIII", 0, 0, 0, 16000, 0)) + handler + box(b"minf", table)
    )
    return box(b"ftyp", b"M4A \0\0\0\0") + box(b"moov", box(b"mvhd", bytes(100)) + box(b"trak", media))


def description_of(data: bytes) -> bytes:
    """The sample description box of an MP4 file."""
    at = data.index(b"stsd") - 4
    return data[at : at + int.from_bytes(data[at : at + 4], "big")]


def _wav(size: int) -> bytes:
    head = (
        b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0\1\0\1\0\x80\x3e\0\0\0\x7d\0\0\2\0\x10\0data\xff\xff\xff\xff"
    )
    return fill(size, head, bytes(4096))


def _adpcm(size: int) -> bytes:
    data = record("wav", "adpcm_ima_wav")
    at = data.index(b"data")
    return fill(size, data[: at + 4] + bytes(4), data[at + 8 : at + 8 + 1024])


def _mp3(size: int) -> bytes:
    data = record("mp3", "libmp3lame", rate=44100, bit_rate=64000, container_options=_BARE)
    return fill(size, b"ID3\4\0\0\0\0\0\0", data)


def _mp3_low(size: int) -> bytes:
    return fill(size, b"", record("mp3", "libmp3lame", rate=16000, bit_rate=16000, container_options=_BARE))


def _flac(size: int) -> bytes:
    data = record("flac", "flac", options={"compression_level": "5"})
    frames = data.index(b"\xff\xf8")
    return fill(size, data[:frames], data[frames:])


def _opus(size: int) -> bytes:
    return fill(size, b"", record("ogg", "libopus", rate=48000, bit_rate=32000, seconds=10))


def _vorbis(size: int) -> bytes:
    return fill(
        size, b"", record("ogg", "vorbis", rate=44100, channels=2, seconds=10, options={"strict": "-2"})
    )


def _webm(size: int) -> bytes:
    cluster = b"\x1f\x43\xb6\x75" + _UNKNOWN + (b"\xa3\x40\x54\x81\0\0\x80\x98" + bytes(79)) * 50
    return fill(size, webm_start(), cluster)


def _m4a(size: int) -> bytes:
    """64 kbit/s at 44.1 kHz: units of 186 bytes, 21 in a chunk."""
    count = size // 190 // 21 * 21
    description = description_of(record("mp4", "aac", rate=44100, seconds=0.2))
    sizes = struct.pack(">III", 0, 0, count) + struct.pack(">I", 186) * count
    runs = struct.pack(">IIIII", 0, 1, 1, 21, 1)
    empty = len(movie(description, sizes, runs, bytes(8 + count // 21 * 4)))
    offsets = b"".join(struct.pack(">I", empty + 8 + at * 186 * 21) for at in range(count // 21))
    start = movie(description, sizes, runs, struct.pack(">II", 0, count // 21) + offsets)
    return start + box(b"mdat", bytes(186 * count))


def _fragments(size: int) -> bytes:
    data = record("mp4", "aac", seconds=5, container_options=_FRAGMENTED)
    first = data.index(b"moof") - 4
    return fill(size, data[:first], data[first : data.rindex(b"mfra") - 4])


def _adts(size: int) -> bytes:
    return fill(size, b"", record("adts", "aac", rate=44100, bit_rate=64000))


ORDINARY: dict[str, Maker] = {
    "WAV, PCM": _wav,
    "WAV, IMA ADPCM": _adpcm,
    "MP3, 64 kbit/s": _mp3,
    "MP3, 16 kbit/s": _mp3_low,
    "FLAC, 16 kHz": _flac,
    "Ogg Opus, 32 kbit/s": _opus,
    "Ogg Vorbis": _vorbis,
    "WebM Opus, 32 kbit/s": _webm,
    "M4A, 64 kbit/s": _m4a,
    "MP4 in fragments": _fragments,
    "ADTS, 64 kbit/s": _adts,
}


def _broken_pages(size: int) -> bytes:
    return fill(size, _OPUS_START, b"OggS" + bytes(22) + b"\xff" * 256)


def _nested(size: int) -> bytes:
    return fill(size, webm_start(), b"\x18\x53\x80\x67" + _UNKNOWN)


def _tiny_table(size: int) -> bytes:
    count = size // 8
    description = description_of(record("mp4", "aac", seconds=0.2))
    sizes = struct.pack(">III", 0, 0, count) + struct.pack(">I", 1) * count
    chunks = struct.pack(">II", 0, count) + struct.pack(">I", 1) * count
    return movie(description, sizes, struct.pack(">IIIII", 0, 1, 1, 1, 1), chunks)


def _equal_samples(size: int) -> bytes:
    description = description_of(record("mp4", "libopus", rate=48000, seconds=0.2))
    sizes, runs = struct.pack(">III", 0, 1, 2**32 - 1), struct.pack(">IIIII", 0, 1, 1, 2**32 - 1, 1)
    return fill(size, movie(description, sizes, runs, struct.pack(">III", 0, 1, 2000)), b"\x83")


def _tiny_runs(size: int) -> bytes:
    data = record("mp4", "aac", seconds=0.3, container_options=_FRAGMENTED)
    run = box(b"tfhd", struct.pack(">III", 0x20010, 1, 1)) + box(b"trun", struct.pack(">II", 0, 1))
    return fill(size, data, box(b"moof", box(b"traf", run)))


def _mp3_and(junk: bytes) -> Maker:
    return lambda size: fill(size, record("mp3", "libmp3lame", rate=44100), junk)


def _flac_and(junk: bytes) -> Maker:
    return lambda size: fill(size, record("flac", "flac"), junk)


def _torn_mp3(size: int) -> bytes:
    data = record("mp3", "libmp3lame", rate=24000, bit_rate=64000, container_options=_BARE)
    frames = [data[at : at + 192] for at in range(0, len(data) - 191, 192)]
    return fill(size, data, b"x".join([*frames, b""]))


def _torn_adts(size: int) -> bytes:
    return fill(size, record("adts", "aac"), b"\xff\xf1\x60\x40\x01\x7f\xfc" + bytes(4) + b"x")


HOSTILE: dict[str, Maker] = {
    "Ogg, packets of 1 byte, 255 a page": lambda size: fill(size, _OPUS_START, page([b"\x80"] * 255)),
    "Ogg, packets of 1 byte, 1 a page": lambda size: fill(size, _OPUS_START, page([b"\x80"])),
    "Ogg, packets without frames": lambda size: fill(size, _OPUS_START, page([b"\x83\0"] * 127)),
    "Ogg, empty pages": lambda size: fill(size, _OPUS_START, page([])),
    "Ogg, a stream a page": lambda size: fill(size, b"", page([_OPUS_HEAD], flags=2)),
    "Ogg, broken pages that overlap": _broken_pages,
    "Ogg, only magic": lambda size: fill(size, _OPUS_START, b"OggS"),
    "WAV, empty chunks": lambda size: fill(size, b"RIFF\0\0\0\0WAVE", b"junk\0\0\0\0"),
    "WAV, tiny data chunks": lambda size: fill(size, _wav(44)[:36], b"data\2\0\0\0ab"),
    "EBML, nested segments": _nested,
    "EBML, void elements": lambda size: fill(size, webm_start(), b"\xec\x80"),
    "EBML, empty clusters": lambda size: fill(size, webm_start(), b"\x1f\x43\xb6\x75\x80"),
    "EBML, broken clusters": lambda size: fill(size, webm_start(), b"\x1f\x43\xb6\x75\0"),
    "WebM, packets of 1 byte": lambda size: fill(size, webm_start(), b"\xa3\x85\x81\0\0\x80\x80"),
    "WebM, sixteen tracks": lambda size: fill(
        size,
        webm_start(16),
        b"".join(b"\xa3\x85" + bytes([0x80 + each]) + b"\0\0\x80\x80" for each in range(1, 17)),
    ),
    "WebM, 128 laced frames a block": lambda size: fill(
        size, webm_start(), b"\xa3\x40\x84\x81\0\0\x82\x7f" + bytes(127)
    ),
    "WebM, 256 laced frames a block": lambda size: fill(
        size, webm_start(), b"\xa3\x42\x04\x81\0\0\x86\xff\x81" + b"\xbf" * 254 + b"\x80" * 256
    ),
    "WebM, tracks without end": lambda size: fill(size, webm_start(), element("ae", element("83", b"\2"))),
    "MP4, boxes of size 0": lambda size: fill(size, box(b"ftyp", b"M4A \0\0\0\0"), b"\0\0\0\0free"),
    "MP4, boxes of size 1": lambda size: fill(
        size, box(b"ftyp", b"M4A \0\0\0\0"), struct.pack(">I4sQ", 1, b"free", 16)
    ),
    "MP4, empty boxes": lambda size: fill(size, box(b"ftyp", b"M4A \0\0\0\0"), box(b"free", b"")),
    "MP4, empty tracks": lambda size: (
        box(b"ftyp", b"M4A \0\0\0\0") + box(b"moov", fill(size, b"", box(b"trak", b"")))
    ),
    "MP4, three million chunks": _tiny_table,
    "MP4, packets of 1 byte": _equal_samples,
    "MP4, tiny fragments": _tiny_runs,
    "FLAC, false syncs": _flac_and(b"\xff\xf8\xc9\x18\x00\x00"),
    "FLAC, only syncs": _flac_and(b"\xff\xf8"),
    "MP3, false syncs": _mp3_and(b"\xff\xfb\x90\x00"),
    "MP3, only syncs": _mp3_and(b"\xff"),
    "MP3, free format without end": _mp3_and(b"\xff\xfb\0\0"),
    "MP3, junk between all frames": _torn_mp3,
    "ADTS, empty frames": lambda size: fill(size, b"", b"\xff\xf1\x60\x40\x00\xff\xfc"),
    "ADTS, blocks of 4 bytes": lambda size: fill(size, b"", b"\xff\xf1\x40\x40\x01\x7f\xfc" + bytes(4)),
    "ADTS, two streams in turn": lambda size: fill(
        size,
        b"",
        (b"\xff\xf1\x40\x40\x01\x7f\xfc" + bytes(4)) * 3 + b"\xff\xf1\x60\x40\x01\x7f\xfc" + bytes(4),
    ),
    "ADTS, junk between all frames": _torn_adts,
    "ADTS, only syncs": lambda size: fill(size, record("adts", "aac"), b"\xff\xf1"),
    "junk, ID3 tags": lambda size: fill(size, b"\0", b"ID3\4\0\0\0\0\0\0"),
    "junk, ID3 tags around the file": lambda size: fill(
        size, b"\0" + b"ID3\4\0\0\0\0\x7f\0" * 6000, _mp3_low(9000)
    ),
    "junk, broken pages that overlap": lambda size: fill(
        size, b"\0", b"OggS\0\2" + bytes(20) + b"\xff" * 256 + b"OggS\0\2" * 3
    ),
    "junk, then every container": lambda size: (
        b"\0"
        + b"".join(make(8000) for make in (_flac, _opus, _webm, _mp3, _adts))
        + _broken_pages(size - 50_000)
    ),
    "junk, EBML heads": lambda size: fill(size, b"\0", b"\x1a\x45\xdf\xa3\x88\xec\x80\xec\x80"),
    "ID3, empty tags": lambda size: fill(size, b"", b"ID3\4\0\0\0\0\0\0"),
    "only 0xFF": lambda size: b"\xff" * size,
}
