import struct
from typing import Any

import pytest

from gateway.audio import probe

from .recordings import decoded_seconds, record

CODECS = [
    "pcm_u8", "pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le", "pcm_f64le", "pcm_alaw", "pcm_mulaw",
    "adpcm_ima_wav", "adpcm_ms", "mp2", "libmp3lame",
]  # fmt: skip


def chunk(name: bytes, body: bytes, size: int | None = None, order: str = "<") -> bytes:
    padding = b"\0" * (len(body) & 1)
    return name + struct.pack(order + "I", len(body) if size is None else size) + body + padding


def format_chunk(
    *,
    tag: int = 1,
    channels: int = 1,
    rate: int = 16000,
    block: int = 2,
    bits: int = 16,
    byte_rate: int = 32000,
    order: str = "<",
) -> bytes:
    return chunk(
        b"fmt ", struct.pack(order + "HHIIHH", tag, channels, rate, byte_rate, block, bits), order=order
    )


def wav(*chunks: bytes, magic: bytes = b"RIFF", order: str = "<") -> bytes:
    body = b"WAVE" + b"".join(chunks)
    return magic + struct.pack(order + "I", len(body)) + body


PCM = bytes(32000)  # one second of 16-bit mono at 16 kHz


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("codec", CODECS)
def test_every_sample_format_is_measured_as_it_decodes(codec: str, channels: int) -> None:
    data = record("wav", codec, channels=channels, rate=44100)
    assert probe(data).seconds == pytest.approx(decoded_seconds(data), abs=0.0005)


def test_rf64_is_measured_by_its_data() -> None:
    data = record("wav", "pcm_s16le", container_options={"rf64": "always"})
    assert data.startswith(b"RF64")
    assert probe(data).seconds == pytest.approx(3.2)


def test_rf64_with_a_false_ds64_ends_with_the_file() -> None:
    ds64 = chunk(b"ds64", struct.pack("<QQQI", 2**40, 2**40, 2**39, 0))
    data = wav(ds64, format_chunk(), chunk(b"data", PCM, 0xFFFFFFFF), magic=b"RF64")
    assert probe(data).seconds == pytest.approx(1.0)


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 2_000_000_000, 32001])
def test_an_unset_or_too_large_data_size_ends_with_the_file(size: int) -> None:
    assert probe(wav(format_chunk(), chunk(b"data", PCM, size))).seconds == pytest.approx(1.0)


def test_a_false_byte_rate_changes_nothing() -> None:
    assert probe(wav(format_chunk(byte_rate=1), chunk(b"data", PCM))).seconds == pytest.approx(1.0)


@pytest.mark.parametrize("block", [0, 1, 65535])
def test_a_false_block_align_changes_nothing(block: int) -> None:
    data = wav(format_chunk(block=block), chunk(b"data", PCM))
    assert probe(data).seconds == pytest.approx(1.0)


def test_24_bits_in_four_bytes_are_counted_by_the_block_align() -> None:
    data = wav(format_chunk(block=4, bits=24), chunk(b"data", bytes(64000)))
    assert probe(data).seconds == pytest.approx(1.0)


def test_chunks_of_odd_size_are_padded() -> None:
    data = wav(chunk(b"LIST", b"odd"), format_chunk(), chunk(b"JUNK", b"x"), chunk(b"data", PCM))
    assert probe(data).seconds == pytest.approx(1.0)


def test_the_longer_of_two_data_chunks_counts_because_decoders_play_different_ones() -> None:
    short, long = chunk(b"data", PCM[:100]), chunk(b"data", PCM)
    assert probe(wav(format_chunk(), short, long)).seconds == pytest.approx(1.0)
    assert probe(wav(format_chunk(), long, chunk(b"LIST", b"abcd"), short)).seconds == pytest.approx(1.0)


def test_a_big_endian_file_is_read() -> None:
    data = wav(format_chunk(order=">"), chunk(b"data", PCM, order=">"), magic=b"RIFX", order=">")
    assert probe(data).seconds == pytest.approx(1.0)


def test_gsm_is_counted_in_blocks_of_65_bytes() -> None:
    data = wav(format_chunk(tag=0x31, rate=8000, block=65, bits=0), chunk(b"data", bytes(65 * 25)))
    assert probe(data).seconds == pytest.approx(1.0)


@pytest.mark.parametrize("fields", [{"channels": 0}, {"rate": 0}, {"bits": 0}, {"tag": 0x9999}])
def test_an_uncountable_format_has_no_duration(fields: dict[str, Any]) -> None:
    audio = probe(wav(format_chunk(**fields), chunk(b"data", PCM)))
    assert (audio.format, audio.seconds, audio.has_audio) == ("wav", None, True)


def test_an_id3_tag_before_the_header_is_skipped() -> None:
    data = b"ID3\4\0\0\0\0\0\5hello" + wav(format_chunk(), chunk(b"data", PCM))
    assert probe(data).seconds == pytest.approx(1.0)


def test_another_riff_form_is_not_a_wav() -> None:
    assert probe(b"RIFF\0\0\0\0AVI " + bytes(100)).format is None
