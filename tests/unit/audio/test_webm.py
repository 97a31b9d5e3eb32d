import struct

import pytest

from gateway.audio import probe

from .recordings import decoded_seconds, film, record

OPUS_HEAD = b"OpusHead\1\1\0\0\x80\xbb\0\0\0\0\0"
UNKNOWN = b"\x01" + b"\xff" * 7
SEGMENT, CLUSTER, TRACKS = bytes.fromhex("18538067"), bytes.fromhex("1f43b675"), bytes.fromhex("1654ae6b")
PACKET = b"\x98abc"  # 20 ms of Opus


def element(ident: bytes, body: bytes) -> bytes:
    return ident + struct.pack(">Q", len(body) | 1 << 56) + body


def header(doc_type: bytes = b"webm") -> bytes:
    return element(bytes.fromhex("1a45dfa3"), element(b"\x42\x82", doc_type))


def track(
    number: int = 1, kind: int = 2, codec: bytes = b"A_OPUS", private: bytes = OPUS_HEAD, more: bytes = b""
) -> bytes:
    fields = element(b"\xd7", bytes([number])) + element(b"\x83", bytes([kind])) + element(b"\x86", codec)
    return element(b"\xae", fields + element(b"\x63\xa2", private) + more)


def block(*frames: bytes, number: int = 1, flags: int = 0x80) -> bytes:
    return element(b"\xa3", bytes([0x80 | number, 0, 0, flags]) + b"".join(frames))


def webm(tracks: bytes, *blocks: bytes, doc_type: bytes = b"webm") -> bytes:
    cluster = CLUSTER + UNKNOWN + element(b"\xe7", b"\0") + b"".join(blocks)
    return header(doc_type) + SEGMENT + UNKNOWN + element(TRACKS, tracks) + cluster


@pytest.mark.parametrize(
    ("codec", "rate", "name"),
    [("aac", 16000, "aac"), ("flac", 16000, "flac"), ("pcm_s16le", 16000, "pcm"), ("pcm_f32le", 16000, "pcm"),
     ("libmp3lame", 44100, "mp3"), ("libmp3lame", 16000, "mp3"), ("mp2", 44100, "mp2"), ("alac", 44100,
     "alac"), ("libopus", 48000, "opus")],
)  # fmt: skip
def test_every_codec_in_matroska_is_measured_as_it_decodes(codec: str, rate: int, name: str) -> None:
    data = record("matroska", codec, rate=rate)
    assert (probe(data).format, probe(data).codec) == ("webm", name)
    assert probe(data).seconds == pytest.approx(decoded_seconds(data), abs=0.0005)


def test_vorbis_in_webm_is_measured_as_it_decodes() -> None:
    data = record("webm", "vorbis", channels=2, rate=44100, options={"strict": "-2"})
    assert probe(data).seconds == pytest.approx(decoded_seconds(data), abs=0.0005)


@pytest.mark.parametrize(
    "options", [{"live": "1"}, {"cluster_time_limit": "100"}, {"reserve_index_space": "5000"}]
)
def test_a_file_of_any_layout_is_measured_as_it_decodes(options: dict[str, str]) -> None:
    data = record("webm", "libopus", rate=48000, container_options=options)
    assert probe(data).seconds == pytest.approx(decoded_seconds(data), abs=0.0005)


def test_a_video_track_does_not_change_the_duration() -> None:
    data = record("webm", "libopus", rate=48000, video=True)
    assert probe(data).seconds == pytest.approx(3.2, abs=0.0005)


def test_a_film_without_sound_provably_has_no_audio() -> None:
    assert probe(film("webm")).has_audio is False
    assert probe(film("matroska")).has_audio is False


def test_a_film_with_truncated_tracks_proves_nothing() -> None:
    data = webm(track(kind=1, codec=b"V_VP8"))
    assert probe(data).has_audio is False
    assert probe(data[: data.index(b"V_VP8") + 3]).has_audio is None
    assert probe(webm(track(kind=3))).has_audio is None


@pytest.mark.parametrize(
    ("flags", "body", "frames"),
    [
        pytest.param(0x02, b"\2\4\4" + PACKET * 3, 3, id="Xiph"),
        pytest.param(0x04, b"\2" + PACKET * 3, 3, id="fixed size"),
        pytest.param(0x06, b"\2\x84\xbf" + PACKET * 3, 3, id="EBML"),
        pytest.param(0x06, b"\2\x84\xc2" + PACKET + PACKET + b"abc" + PACKET, 3, id="EBML, longer second"),
        pytest.param(0x02, b"\1\xff\1" + PACKET + bytes(252) + PACKET, 2, id="Xiph, 256 bytes"),
        pytest.param(0x02, b"\2\xff\xff", 0, id="Xiph, beyond the block"),
    ],
)
def test_laced_frames_are_split(flags: int, body: bytes, frames: int) -> None:
    assert (probe(webm(track(), block(body, flags=flags))).seconds or 0) == pytest.approx(0.02 * frames)


def test_blocks_in_groups_count_as_simple_blocks_do() -> None:
    inner = block(PACKET)
    group = element(b"\xa0", b"\xa1" + inner[1:])
    assert probe(webm(track(), inner, group, inner)).seconds == pytest.approx(0.06)


def test_void_and_unknown_elements_are_skipped() -> None:
    data = webm(
        track(), element(b"\xec", block(PACKET)), block(PACKET), element(b"\x4f\xff", PACKET), block(PACKET)
    )
    assert probe(data).seconds == pytest.approx(0.04)


def test_padding_is_discarded_from_the_last_block_only() -> None:
    discard = element(b"\x75\xa2", struct.pack(">q", 15_000_000))
    group = element(b"\xa0", b"\xa1" + block(PACKET)[1:] + discard)
    assert probe(webm(track(), group * 9, block(PACKET))).seconds == pytest.approx(0.2)
    assert probe(webm(track(), block(PACKET) * 9, group)).seconds == pytest.approx(0.185)


@pytest.mark.parametrize("delay", [10**9, 2**63])
def test_an_implausible_codec_delay_is_ignored(delay: int) -> None:
    entry = track(more=element(b"\x56\xaa", delay.to_bytes(8, "big")))
    assert probe(webm(entry, block(PACKET) * 100)).seconds == pytest.approx(2.0)


def test_the_longest_of_several_audio_tracks_counts() -> None:
    data = webm(track(1) + track(2), block(PACKET), block(PACKET, number=2) * 5)
    assert probe(data).seconds == pytest.approx(0.1)


def test_a_truncated_block_does_not_count() -> None:
    assert probe(webm(track(), block(PACKET), block(PACKET))[:-2]).seconds == pytest.approx(0.02)


def test_reading_continues_with_the_next_cluster_after_damage() -> None:
    more = CLUSTER + UNKNOWN + block(PACKET)
    assert probe(webm(track(), block(PACKET), b"\0\0\0") + more).seconds == pytest.approx(0.04)


def test_compressed_frames_are_audio_of_unknown_length() -> None:
    audio = probe(webm(track(more=element(b"\x6d\x80", b"\0")), block(PACKET)))
    assert (audio.seconds, audio.has_audio) == (None, True)


@pytest.mark.parametrize(("doc_type", "format"), [(b"webm", "webm"), (b"matroska", "webm"), (b"other", None)])
def test_the_document_type_decides(doc_type: bytes, format: str | None) -> None:
    assert probe(webm(track(), block(PACKET), doc_type=doc_type)).format == format
