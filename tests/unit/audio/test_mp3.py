import struct

import pytest

from gateway.audio import probe

from .recordings import decoded_seconds, record

NO_TAGS = {"write_xing": "0", "id3v2_version": "0"}


def mp3(rate=44100, seconds=3.2, bit_rate=64000, channels=1) -> bytes:
    """Bare frames without any tag."""
    options = {"container_options": NO_TAGS, "bit_rate": bit_rate, "channels": channels}
    return record("mp3", "libmp3lame", rate=rate, seconds=seconds, **options)


def id3(body: bytes, footer: bool = False) -> bytes:
    size = bytes(len(body) >> shift & 127 for shift in (21, 14, 7, 0))
    head = b"ID3\4\0" + bytes([0x10 if footer else 0]) + size
    return head + body + (b"3DI" + head[3:] if footer else b"")


def ape(body: bytes) -> bytes:
    def part(flags):
        return b"APETAGEX" + struct.pack("<IIII8x", 2000, len(body) + 32, 1, flags)

    return part(0xA0000000) + body + part(0x80000000)


@pytest.mark.parametrize("rate", [8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000])
def test_mpeg_1_and_2_and_2_5_are_measured_as_they_decode(rate):
    data = record("mp3", "libmp3lame", rate=rate)
    assert probe(data).codec == "mp3"
    assert probe(data).seconds == pytest.approx(decoded_seconds(data), abs=0.0005)


@pytest.mark.parametrize("rate", [16000, 22050, 24000, 32000, 44100, 48000])
def test_layer_ii_is_measured_as_it_decodes(rate):
    data = record("mp2", "mp2", rate=rate, channels=2)
    assert (probe(data).format, probe(data).codec) == ("mp3", "mp2")
    assert probe(data).seconds == pytest.approx(decoded_seconds(data), abs=0.0005)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (id3(bytes(5000)), b""),
        (id3(bytes(500), footer=True), b""),
        (id3(b"one") + id3(b"two"), b""),
        (id3(bytes(300000)), b""),
        (b"", b"TAG" + bytes(125)),
        (b"", ape(bytes(200)) + b"TAG" + bytes(125)),
        (id3(b"\xff\xfb\x90\x00" * 500), b""),
        (bytes(1500), b""),
        (b"junk" * 700, b""),
    ],
    ids=["id3", "id3 footer", "two id3", "art", "id3v1", "ape", "false syncs in id3", "zeros", "junk"],
)
def test_tags_and_junk_around_the_frames_do_not_count(before, after):
    data = mp3()
    assert probe(before + data + after).seconds == pytest.approx(probe(data).seconds, abs=0.0005)
    assert probe(before + data + after).format == "mp3"


def test_a_tag_between_two_joined_files_does_not_count():
    data = mp3()
    assert probe(data + id3(bytes(999)) + data).seconds == pytest.approx(2 * probe(data).seconds)


def test_junk_between_frames_hides_none():
    data = mp3(rate=24000, bit_rate=64000)
    size = 144 * 64000 // 24000 // 2
    frames = [data[at : at + size] for at in range(0, len(data), size)]
    assert all(frame.startswith(b"\xff\xf3") for frame in frames)
    assert probe(b"".join(frames[:8]) + b"x".join(frames[8:])).seconds == pytest.approx(probe(data).seconds)


def test_frames_with_different_rates_each_count_at_their_own_rate():
    first, second = mp3(rate=44100), mp3(rate=24000)
    assert probe(first + second).seconds == pytest.approx(probe(first).seconds + probe(second).seconds)


@pytest.mark.parametrize("frames", [0, 1, 40_000_000])
def test_the_number_of_frames_in_a_xing_header_is_ignored(frames):
    data = bytearray(record("mp3", "libmp3lame", rate=44100))
    at = max(data.find(b"Xing"), data.find(b"Info"))
    struct.pack_into(">I", data, at + 8, frames)
    assert probe(data).seconds == pytest.approx(3.2, abs=0.05)


def test_a_free_format_stream_is_read_by_its_own_frame_length():
    frame = b"\xff\xfb\x00\xc4" + bytes(496)  # bitrate index 0: no field gives the length
    assert probe(frame * 100).seconds == pytest.approx(99 * 1152 / 44100, abs=1152 / 44100)


def test_a_truncated_last_frame_does_not_count():
    data = mp3()
    assert probe(data[:-10]).seconds == pytest.approx(probe(data).seconds - 1152 / 44100)


def test_an_id3_tag_without_frames_is_an_unknown_format():
    assert probe(id3(bytes(1000))).format is None


def test_two_frames_that_fill_the_file_are_enough():
    data = mp3(rate=24000, bit_rate=64000)
    assert probe(data[:384]).seconds == pytest.approx(2 * 576 / 24000)
    assert probe(data[:192]).format is None
