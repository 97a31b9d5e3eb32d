import math
from collections.abc import Callable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.audio import Audio, probe

from .recordings import measured, record

MAGICS = [
    b"", b"ID3\4\0\0\0\0\0\0", b"RIFF\0\0\0\0WAVEfmt ", b"OggS\0\2", b"fLaC\x80\0\0\x22", b"\xff\xfb\x90\x00",
    b"\xff\xf1\x60\x40",
    b"\x1a\x45\xdf\xa3\x84\x42\x82\x84webm", b"\0\0\0\x10ftypM4A ", b"\0\0\0\x10moov\0\0\0\x08mvhd",
]  # fmt: skip


@given(st.sampled_from(MAGICS), st.binary(max_size=2000))
@example(b"", b"")
@settings(deadline=None, max_examples=500)
def test_any_bytes_give_a_sensible_answer(magic: bytes, rest: bytes) -> None:
    audio = probe(magic + rest)
    assert audio.format in (None, "wav", "mp3", "mp4", "flac", "ogg", "webm", "aac")
    assert audio.has_audio in (None, True, False)
    assert audio.seconds is None or (math.isfinite(audio.seconds) and audio.seconds > 0)
    assert audio.format or audio == Audio()


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, lambda data: memoryview(b"xx" + data)[2:]])
def test_any_kind_of_buffer_is_read(kind: Callable[[bytes], bytes | bytearray | memoryview]) -> None:
    data = record("flac", "flac", seconds=1)
    assert probe(kind(data)).seconds == pytest.approx(1.0)


def test_a_buffer_with_gaps_is_read() -> None:
    data = record("ogg", "libopus", rate=48000, seconds=1)
    spread = bytes(byte for each in data for byte in (each, 0))
    assert probe(memoryview(spread)[::2]).seconds == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("container", "codec", "rate"),
    [("wav", "pcm_s16le", 16000), ("mp3", "libmp3lame", 44100), ("mp4", "aac", 16000), ("flac", "flac",
    16000),
     ("ogg", "libopus", 48000), ("webm", "libopus", 48000), ("mp4", "alac", 44100), ("ogg", "flac", 16000)],
)  # fmt: skip
def test_a_recording_over_the_limit_is_reported_as_longer(container: str, codec: str, rate: int) -> None:
    data = record(container, codec, rate=rate)
    assert measured(data, max_seconds=0.5) > 0.5
    assert probe(data, max_seconds=3.3).seconds == pytest.approx(3.2, abs=0.07)


def test_the_answer_is_frozen_and_compares_by_value() -> None:
    audio = Audio("wav", "pcm", 1.5, True)
    with pytest.raises(AttributeError):
        audio.seconds = 2.0
    with pytest.raises(AttributeError):
        del audio.seconds
    assert audio == Audio(format="wav", codec="pcm", seconds=1.5, has_audio=True)
    assert hash(audio) == hash(Audio("wav", "pcm", 1.5, True))
    assert audio != Audio()
    assert audio != 1.5
    assert repr(audio) == "Audio(format='wav', codec='pcm', seconds=1.5, has_audio=True)"
