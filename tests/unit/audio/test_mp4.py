import struct

import pytest

from gateway.audio import probe

from .recordings import decoded_seconds, film, measured, record

FRAGMENTED = [
    "frag_keyframe+empty_moov",
    "frag_keyframe+empty_moov+default_base_moof",
    "frag_keyframe+empty_moov+omit_tfhd_offset",
    "frag_keyframe+empty_moov+default_base_moof+delay_moov",
    "dash+frag_keyframe",
]
LOSSLESS = [
    "pcm_s16le",
    "pcm_s16be",
    "pcm_s24le",
    "pcm_f32le",
    "pcm_alaw",
    "pcm_mulaw",
    "pcm_u8",
    "alac",
    "flac",
]


def box(kind: bytes, body: bytes = b"") -> bytes:
    return struct.pack(">I4s", 8 + len(body), kind) + body


def patched(data: bytes, kind: bytes, offset: int, layout: str, *values: int) -> bytes:
    """`data` with fields of the first box of a kind overwritten, `offset` bytes into its body."""
    copy = bytearray(data)
    struct.pack_into(layout, copy, copy.index(kind) + 4 + offset, *values)
    return bytes(copy)


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100, 48000])
@pytest.mark.parametrize("container", ["mp4", "ipod", "mov"])
def test_aac_is_measured_except_for_the_padding_of_its_last_unit(container: str, rate: int) -> None:
    data = record(container, "aac", rate=rate)
    audio = probe(data)
    assert (audio.format, audio.codec, audio.has_audio) == ("mp4", "aac", True)
    assert -0.0005 < measured(data) - 3.2 < 1024 / rate + 0.0005


@pytest.mark.parametrize("flags", FRAGMENTED)
@pytest.mark.parametrize(("codec", "rate"), [("aac", 16000), ("libopus", 48000), ("flac", 16000)])
def test_fragments_are_measured_by_their_runs(flags: str, codec: str, rate: int) -> None:
    data = record("mp4", codec, rate=rate, container_options={"movflags": flags, "frag_duration": "500000"})
    assert b"moof" in data
    assert probe(data).seconds == pytest.approx(decoded_seconds(data), abs=1024 / rate + 0.0005)


@pytest.mark.parametrize(("container", "codec"), [("mov", codec) for codec in LOSSLESS if codec != "flac"])
def test_quicktime_audio_is_measured_as_it_decodes(container: str, codec: str) -> None:
    data = record(container, codec)
    assert probe(data).seconds == pytest.approx(decoded_seconds(data), abs=0.0005)


@pytest.mark.parametrize(
    ("codec", "rate", "name"),
    [
        ("alac", 44100, "alac"),
        ("libopus", 48000, "opus"),
        ("flac", 16000, "flac"),
        ("pcm_s16le", 16000, "pcm"),
    ],
)
def test_other_codecs_in_mp4_are_measured_as_they_decode(codec: str, rate: int, name: str) -> None:
    data = record("mp4", codec, rate=rate)
    assert probe(data).codec == name
    assert probe(data).seconds == pytest.approx(decoded_seconds(data), abs=0.0005)


@pytest.mark.parametrize("rate", [16000, 44100])
def test_mp3_in_mp4_is_measured_except_for_its_padding(rate: int) -> None:
    data = record("mp4", "libmp3lame", rate=rate)
    assert probe(data).codec == "mp3"
    assert -0.0005 < measured(data) - 3.2 < 1152 / rate


def test_a_video_track_does_not_change_the_duration() -> None:
    assert probe(record("mp4", "aac", video=True)).seconds == probe(record("mp4", "aac")).seconds


def test_the_longest_of_several_audio_tracks_counts() -> None:
    assert probe(record("mp4", "aac", audio_tracks=2)).seconds == probe(record("mp4", "aac")).seconds


@pytest.mark.parametrize("container", ["mp4", "mov"])
def test_a_film_without_sound_provably_has_no_audio(container: str) -> None:
    assert probe(film(container)).has_audio is False


def test_a_film_with_truncated_tracks_proves_nothing() -> None:
    data = film("mp4")
    assert probe(data[: data.index(b"moov") + 100]).has_audio is None
    assert probe(data[: data.index(b"moov") - 10]).has_audio is None


@pytest.mark.parametrize("kind", [b"mvhd", b"mdhd", b"tkhd"])
@pytest.mark.parametrize("value", [1, 2**31 - 1])
def test_duration_fields_are_ignored(kind: bytes, value: int) -> None:
    data = record("mp4", "aac")
    lie = patched(data, kind, 20 if kind == b"tkhd" else 16, ">I", value)
    assert probe(lie).seconds == probe(data).seconds


@pytest.mark.parametrize("delta", [0, 1, 2**31])
def test_the_time_to_sample_table_is_ignored(delta: int) -> None:
    data = record("mp4", "aac")
    assert probe(patched(data, b"stts", 12, ">I", delta)).seconds == probe(data).seconds


@pytest.mark.parametrize("duration", [0, 1, 2**31 - 1])
def test_the_length_of_an_edit_is_ignored(duration: int) -> None:
    data = record("mp4", "aac")
    assert probe(patched(data, b"elst", 8, ">I", duration)).seconds == probe(data).seconds


def test_an_edit_that_skips_more_than_priming_is_ignored() -> None:
    data = record("mp4", "aac")
    untrimmed = measured(data) + 1024 / 16000
    assert probe(patched(data, b"elst", 12, ">i", 40000)).seconds == pytest.approx(untrimmed)
    assert probe(patched(data, b"elst", 12, ">i", 2**31 - 1)).seconds == pytest.approx(untrimmed)


def test_an_empty_edit_only_delays() -> None:
    data = record("mp4", "aac")
    assert probe(patched(data, b"elst", 12, ">i", -1)).seconds == pytest.approx(measured(data) + 1024 / 16000)


def test_only_samples_whose_bytes_exist_count() -> None:
    data = record("mp4", "aac", container_options={"movflags": "frag_keyframe+empty_moov"})
    whole = measured(data)
    assert 0 < measured(data[: len(data) * 6 // 10]) < 0.7 * whole


def test_a_table_with_too_many_samples_ends_with_the_file() -> None:
    data = record("mov", "pcm_s16le")
    assert probe(patched(data, b"stsz", 8, ">I", 2**32 - 1)).seconds == pytest.approx(3.2, abs=0.1)


def test_samples_with_a_second_description_are_not_counted_as_the_first() -> None:
    data = record("mp4", "aac")
    assert probe(patched(data, b"stsc", 16, ">I", 2)).seconds is None


def test_a_box_with_a_64_bit_size_is_read() -> None:
    data = record("mp4", "aac")
    at = data.index(b"moov") - 4
    size = struct.unpack_from(">I", data, at)[0]
    large = struct.pack(">I4sQ", 1, b"moov", size + 8) + data[at + 8 : at + size]
    assert probe(data[:at] + large).seconds == probe(data).seconds


def test_a_movie_that_continues_to_the_end_is_read() -> None:
    data = record("mp4", "aac")
    at = data.index(b"moov") - 4
    assert probe(data[:at] + bytes(4) + data[at + 4 :]).seconds == probe(data).seconds


def test_old_quicktime_without_a_file_type_box_is_recognised() -> None:
    data = record("mov", "pcm_s16le")
    start = struct.unpack_from(">I", data)[0]
    assert probe(box(b"free", bytes(start - 8)) + data[start:]).seconds == pytest.approx(3.2)


def test_an_image_is_not_an_mp4() -> None:
    assert probe(box(b"ftyp", b"heic\0\0\0\0mif1heic") + box(b"meta", bytes(100))).format is None
    assert probe(box(b"free", bytes(100)) + box(b"mdat", bytes(100))).format is None


def test_an_uncounted_codec_is_audio_of_unknown_length() -> None:
    audio = probe(record("mp4", "ac3", rate=48000))
    assert (audio.codec, audio.seconds, audio.has_audio) == ("ac3", None, True)
