import pytest

from gateway.audio import probe

from .recordings import decoded_seconds, measured, record


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 44100, 96000])
@pytest.mark.parametrize("channels", [1, 2])
def test_flac_is_measured_as_it_decodes(rate: int, channels: int) -> None:
    data = record("flac", "flac", rate=rate, channels=channels)
    assert probe(data).seconds == pytest.approx(decoded_seconds(data), abs=0.0005)


def test_silence_is_measured_in_its_tiny_frames() -> None:
    assert probe(record("flac", "flac", silence=True)).seconds == pytest.approx(3.2)


def test_flac_in_ogg_is_measured_as_it_decodes() -> None:
    data = record("ogg", "flac")
    assert (probe(data).format, probe(data).codec) == ("ogg", "flac")
    assert probe(data).seconds == pytest.approx(3.2)


@pytest.mark.parametrize("claim", [0, 1, 2**36 - 1])
def test_the_total_in_streaminfo_is_ignored(claim: int) -> None:
    data = bytearray(record("flac", "flac"))
    assert data[4] & 127 == 0
    packed = int.from_bytes(data[18:26], "big") >> 36 << 36 | claim
    data[18:26] = packed.to_bytes(8, "big")
    assert probe(data).seconds == pytest.approx(3.2)


@pytest.mark.parametrize("after", [b"TAG" + bytes(125), b"APETAGEX" + bytes(24), bytes(64)])
def test_tags_after_the_last_frame_do_not_matter(after: bytes) -> None:
    assert probe(record("flac", "flac") + after).seconds == pytest.approx(3.2)


def test_a_truncated_frame_does_not_count() -> None:
    data = record("flac", "flac")
    assert probe(data[:-20]).seconds == pytest.approx(decoded_seconds(data), abs=0.1)
    assert measured(data[:-20]) < 3.2


def test_false_sync_codes_count_nothing() -> None:
    data = record("flac", "flac")
    assert probe(data + b"\xff\xf8\xc9\x18\x00\x00" * 200).seconds == pytest.approx(3.2, abs=0.1)


def test_an_id3_tag_before_the_stream_is_skipped() -> None:
    assert probe(b"ID3\4\0\0\0\0\0\5hello" + record("flac", "flac")).format == "flac"
