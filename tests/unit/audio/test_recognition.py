"""Bytes before the audio: junk is skipped, decoys hide nothing."""

import struct

import pytest

from gateway.audio import Audio, probe
from gateway.audio.ogg import _checksum

from .recordings import film, record

KINDS = {
    "wav": ("wav", "pcm_s16le"),
    "flac": ("flac", "flac"),
    "ogg": ("ogg", "libopus"),
    "webm": ("webm", "libopus"),
    "mp4": ("mp4", "aac"),
    "mp3": ("mp3", "libmp3lame"),
    "aac": ("adts", "aac"),
}
JUNK = 1 << 16


def recording(kind: str, seconds: float = 3.2) -> bytes:
    container, codec = KINDS[kind]
    return record(container, codec, rate=48000 if codec == "libopus" else 16000, seconds=seconds)


def id3(size: int) -> bytes:
    return b"ID3\4\0\0" + bytes(size >> shift & 127 for shift in (21, 14, 7, 0)) + bytes(size)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "junk",
    [
        b"\0",
        b"\xff",
        b"\r\n",
        b"fLaC",
        b"OggS",
        b"R",
        b"junk" * 15_000,
        bytes(JUNK),
        b"\xff" * JUNK,
        id3(9) + b"\0",
    ],
    ids=[
        "zero",
        "one",
        "line",
        "flac magic",
        "ogg magic",
        "half a magic",
        "60 kB",
        "64 KiB",
        "64 KiB of ones",
        "id3",
    ],
)
def test_junk_before_a_container_is_skipped(kind: str, junk: bytes) -> None:
    data = recording(kind)
    assert probe(junk + data) == probe(data)


@pytest.mark.parametrize("kind", KINDS)
def test_more_than_64_kib_of_junk_is_not_searched(kind: str) -> None:
    assert probe(bytes(JUNK + 1) + recording(kind)) == Audio()


@pytest.mark.parametrize("kind", ["mp3", "aac", "flac", "wav"])
def test_tags_are_never_junk(kind: str) -> None:
    data = recording(kind)
    for before in (id3(300_000), id3(300_000) + b"\0", b"\0" + id3(300_000), id3(5) + b"\0" + id3(300_000)):
        assert probe(before + data) == probe(data)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("hidden", ["ogg", "flac", "wav", "webm", "mp4", "mp3", "aac"])
def test_a_container_at_the_first_byte_wins_over_one_inside_it(kind: str, hidden: str) -> None:
    data = recording(kind)
    audio = probe(data + recording(hidden, 9.6))
    assert audio.format == kind
    assert kind not in ("wav", "mp4") or audio.seconds == pytest.approx(probe(data).seconds, abs=0.1)


@pytest.mark.parametrize(
    "magic",
    [
        b"OggS",
        b"OggS\0\2" + bytes(20) + b"\1\x10" + bytes(100),
        b"fLaC\0\0\0\x22" + bytes(34),
        b"RIFF\0\0\0\0WAVE",
        b"\x1a\x45\xdf\xa3\x84",
        b"\0\0\0\x14ftypM4A \0\0\0\0none",
        b"ID3",
    ],
)
@pytest.mark.parametrize("kind", ["mp3", "aac"])
def test_a_magic_in_junk_or_in_a_payload_is_not_a_container(magic: bytes, kind: str) -> None:
    data = recording(kind)
    assert probe(b"\0" + magic * 20 + data) == probe(data)
    middle = len(data) // 2
    assert probe(data[:middle] + magic * 20 + data[middle:]).format == kind


@pytest.mark.parametrize("decoy", ["wav", "flac", "ogg"])
def test_a_short_decoy_does_not_hide_a_long_recording(decoy: str) -> None:
    data = recording("mp3", 9.6)
    assert probe(b"\0" + recording(decoy, 0.1) + data).seconds == pytest.approx(probe(data).seconds, abs=0.1)


def test_a_short_decoy_does_not_make_an_unknown_length_short() -> None:
    speex = struct.pack("<4sBBqIIIB", b"OggS", 0, 2, 0, 1, 0, 0, 1) + b"\x50" + b"Speex   ".ljust(80, b"\0")
    speex = speex[:22] + struct.pack("<I", _checksum(memoryview(speex))) + speex[26:]
    data = recording("mp3", 1)
    assert probe(speex + data) == Audio("ogg", "speex", None, True)
    assert probe(b"\0" + speex + data) == Audio()


@pytest.mark.parametrize(
    "start", [b"\xff\xf1\x60\x40\x00\xff\xfc" * 9, b"fLaC", b"OggS", b"OggS" + bytes(99)]
)
@pytest.mark.parametrize("before", [b"", b"\0"])
def test_a_false_start_does_not_hide_a_recording(before: bytes, start: bytes) -> None:
    data = recording("mp3")
    assert probe(before + start + data) == probe(data)


def test_a_film_after_junk_is_an_unknown_format() -> None:
    assert probe(film("mp4")).has_audio is False
    assert probe(b"\0" + film("mp4")) == Audio()
