import pytest

from gateway.audio import Audio, probe

from .recordings import decoded_seconds, measured, record

BLOCK = 1024


def frames_of(data: bytes) -> list[bytes]:
    frames, at = [], 0
    while at < len(data):
        size = (data[at + 3] & 3) << 11 | data[at + 4] << 3 | data[at + 5] >> 5
        frames.append(data[at : at + size])
        at += size
    return frames


def frame(payload: bytes, *, blocks: int = 1, rate_index: int = 8, checksum: bool = False) -> bytes:
    """An ADTS frame of AAC LC, mono; 16 kHz by default."""
    size = 7 + 2 * checksum + len(payload)
    value = 0xFFF << 44 | (0 if checksum else 1) << 40 | 1 << 38 | rate_index << 34 | 1 << 30
    value |= size << 13 | 0x7FF << 2 | blocks - 1
    return value.to_bytes(7, "big") + bytes(2 * checksum) + payload


@pytest.mark.parametrize("rate", [8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 96000])
@pytest.mark.parametrize("channels", [1, 2])
def test_adts_is_measured_as_it_decodes(rate: int, channels: int) -> None:
    data = record("adts", "aac", rate=rate, channels=channels, seconds=1.5)
    assert probe(data) == Audio("aac", "aac", decoded_seconds(data), True)


def test_silence_counts_too() -> None:
    data = record("adts", "aac", rate=8000, silence=True)
    assert probe(data).seconds == decoded_seconds(data)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"ID3\4\0\0\0\0\x27\x08" + bytes(5000), b""),
        (b"ID3\4\0\0\0\x12\x27\x08" + bytes(5000 + (0x12 << 14)), b""),
        (b"", b"TAG" + bytes(125)),
        (b"\0", b""),
        (bytes(60_000), b""),
        (b"\xff\xf1\x60" * 20_000, b""),
    ],
    ids=["id3", "art", "id3v1", "a byte", "zeros", "false syncs"],
)
def test_tags_and_junk_around_the_frames_do_not_count(before: bytes, after: bytes) -> None:
    data = record("adts", "aac")
    assert probe(before + data + after) == probe(data)


def test_junk_between_frames_hides_none() -> None:
    data = record("adts", "aac")
    frames = frames_of(data)
    torn = b"".join(frames[:8]) + b"junk".join(frames[8:])
    assert probe(torn).seconds == pytest.approx(probe(data).seconds)


def test_a_truncated_last_frame_does_not_count() -> None:
    data = record("adts", "aac")
    assert probe(data[:-5]).seconds == pytest.approx(measured(data) - BLOCK / 16000)


def test_frames_with_different_rates_each_count_at_their_own_rate() -> None:
    first, second = record("adts", "aac", rate=16000), record("adts", "aac", rate=44100)
    assert probe(first + second).seconds == pytest.approx(measured(first) + measured(second))


def test_a_frame_may_hold_four_blocks_and_a_checksum() -> None:
    assert probe(frame(bytes(100), blocks=4) * 10).seconds == pytest.approx(40 * BLOCK / 16000)
    assert probe(frame(bytes(100), checksum=True) * 10).seconds == pytest.approx(10 * BLOCK / 16000)


def test_blocks_joined_into_one_frame_count_as_the_fewest_possible() -> None:
    assert probe(frame(bytes(8000)) * 10).seconds == pytest.approx(60 * BLOCK / 16000)


@pytest.mark.parametrize("payload", [b"", b"\xe0", b"\xe0\0\0"])
def test_frames_too_small_for_a_sample_are_not_audio(payload: bytes) -> None:
    data = frame(payload, blocks=4) * 100_000
    assert decoded_seconds(data[:5000], "aac") is None
    assert probe(data) == Audio("aac", "aac", None, True)
    mixed = record("adts", "aac")
    assert probe(frame(payload).join(frames_of(mixed))).seconds == probe(mixed).seconds


def test_a_header_cannot_claim_more_blocks_than_there_are_bytes_for() -> None:
    assert probe(frame(bytes(9), blocks=4) * 100).seconds == pytest.approx(200 * BLOCK / 16000)


@pytest.mark.parametrize("index", [13, 14, 15])
def test_an_invalid_sample_rate_is_not_a_header(index: int) -> None:
    assert probe(frame(bytes(100), rate_index=index) * 100).format is None


def test_a_recording_over_the_limit_is_reported_as_longer() -> None:
    data = frame(bytes(4), rate_index=12) * 700_000
    assert 14_400 < measured(data) < 15_000


def test_two_frames_that_fill_the_file_are_enough_but_one_is_not() -> None:
    frames = frames_of(record("adts", "aac"))
    assert probe(b"".join(frames[:2])).seconds == pytest.approx(2 * BLOCK / 16000)
    assert probe(frames[0]).format is None


def test_adts_is_not_mistaken_for_mp3_nor_mp3_for_adts() -> None:
    assert probe(record("adts", "aac")).format == "aac"
    assert probe(record("mp3", "libmp3lame")).format == "mp3"
