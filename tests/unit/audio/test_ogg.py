import struct
from collections.abc import Sequence
from typing import Any

import pytest

from gateway.audio import probe
from gateway.audio.ogg import _checksum

from .recordings import decoded_seconds, measured, record

VORBIS: dict[str, Any] = {
    "channels": 2,
    "rate": 44100,
    "options": {"strict": "-2"},
}  # libavcodec's own encoder
HEAD = b"OpusHead\1\1\0\0\x80\xbb\0\0\0\0\0"


def page(
    packets: Sequence[bytes], *, serial: int = 1, sequence: int = 0, granule: int = 0, flags: int = 0
) -> bytes:
    """A page of whole packets, each shorter than 255 bytes."""
    body = b"".join(packets)
    lacing = bytes(len(packet) for packet in packets)
    return seal(
        struct.pack("<4sBBqIIIB", b"OggS", 0, flags, granule, serial, sequence, 0, len(lacing))
        + lacing
        + body
    )


def seal(data: bytes) -> bytes:
    checksum = _checksum(memoryview(data))
    return data[:22] + struct.pack("<I", checksum) + data[26:]


def pages(data: bytes) -> list[bytes]:
    starts, at = [], 0
    while at < len(data):
        size = 27 + data[at + 26] + sum(data[at + 27 : at + 27 + data[at + 26]])
        starts.append(data[at : at + size])
        at += size
    return starts


def opus(*packets: bytes, granule: int | None = None, flags: int = 4) -> bytes:
    head = page([HEAD], flags=2) + page([b"OpusTags" + bytes(8)], sequence=1)
    end = 2**40 if granule is None else granule
    return head + page(list(packets), sequence=2, granule=end, flags=flags)


def with_granule(data: bytes, granule: int) -> bytes:
    """The file with another granule position on its last page, and its checksum."""
    *rest, last = pages(data)
    return b"".join(rest) + seal(last[:6] + struct.pack("<q", granule) + last[14:])


@pytest.mark.parametrize("frame", ["2.5", "5", "10", "20", "40", "60", "80", "100", "120"])
@pytest.mark.parametrize("container", ["ogg", "webm"])
def test_opus_frames_of_every_length_are_measured_as_they_decode(container: str, frame: str) -> None:
    data = record(container, "libopus", rate=48000, options={"frame_duration": frame})
    assert probe(data).seconds == pytest.approx(decoded_seconds(data), abs=0.0005)


def test_discontinuous_transmission_packets_count_as_silence() -> None:
    options = {"application": "voip", "dtx": "1"}
    data = record("ogg", "libopus", rate=16000, silence=True, seconds=6, options=options)
    assert len(data) < 3000
    assert probe(data).seconds == pytest.approx(6.0)
    assert decoded_seconds(data) == pytest.approx(6.0, abs=0.0005)


@pytest.mark.parametrize(
    ("packet", "milliseconds"),
    [
        (b"\x00", 10), (b"\x08", 20), (b"\x10", 40), (b"\x18", 60), (b"\x60", 10), (b"\x68", 20),
        (b"\x80", 2.5), (b"\x88", 5), (b"\x90", 10), (b"\x98", 20), (b"\x81", 5), (b"\x1a", 120),
        (b"\x83\x30", 120), (b"\x83\x31", 0), (b"\x1b\x02", 120), (b"\x1b\x03", 0), (b"\x83\x00", 0),
        (b"\x83", 0),
    ],
)  # fmt: skip
def test_the_first_byte_of_an_opus_packet_gives_its_duration(packet: bytes, milliseconds: float) -> None:
    assert (probe(opus(packet)).seconds or 0) * 1000 == pytest.approx(milliseconds)


def test_pre_skip_and_the_end_of_the_last_packet_are_not_played() -> None:
    data = record("ogg", "libopus", rate=48000, seconds=1.2345)
    assert probe(data).seconds == pytest.approx(1.2345, abs=0.0001)


@pytest.mark.parametrize("granule", [48000 * 10**9, 2**62])
def test_a_granule_position_that_claims_more_is_ignored(granule: int) -> None:
    data = record("ogg", "libopus", rate=48000)
    assert probe(with_granule(data, granule)).seconds == pytest.approx(3.2, abs=0.05)


def test_a_granule_position_that_hides_audio_trims_at_most_its_own_page() -> None:
    data = record("ogg", "libopus", rate=48000)
    lie = with_granule(data, 1)
    assert probe(lie).seconds == pytest.approx(decoded_seconds(lie), abs=0.05)
    assert measured(lie) > 2.8


def test_a_stream_may_start_at_any_granule_position() -> None:
    data = record("ogg", "libopus", rate=48000)
    moved = [
        seal(each[:6] + struct.pack("<q", struct.unpack_from("<q", each, 6)[0] + 10**9) + each[14:])
        for each in pages(data)[2:]
    ]
    assert probe(b"".join(pages(data)[:2] + moved)).seconds == pytest.approx(probe(data).seconds)


def test_chained_streams_add_up() -> None:
    first, second = record("ogg", "libopus", rate=48000), record("ogg", "vorbis", **VORBIS)
    assert probe(first + second).seconds == pytest.approx(measured(first) + measured(second))


def test_vorbis_is_measured_by_its_block_sizes() -> None:
    data = record("ogg", "vorbis", **VORBIS)
    assert probe(data).codec == "vorbis"
    assert probe(data).seconds == pytest.approx(decoded_seconds(data), abs=0.0005)


def test_multiplexed_streams_do_not_add_up() -> None:
    packets = [b"\x98abc"] * 50
    streams = [
        page([HEAD], serial=serial, flags=2) for serial in (1, 2)
    ] + [
        page([b"OpusTags" + bytes(8)], serial=serial, sequence=1) for serial in (1, 2)
    ] + [page(packets, serial=serial, sequence=2, granule=10**6) for serial in (1, 2)]  # fmt: skip
    assert probe(b"".join(streams)).seconds == pytest.approx(1.0)


def test_a_damaged_page_is_dropped_as_decoders_do() -> None:
    data = bytearray(record("ogg", "libopus", rate=48000))
    data[len(data) // 2] ^= 0xFF
    assert probe(data).seconds == pytest.approx(decoded_seconds(bytes(data)), abs=0.05)


def test_a_packet_without_its_start_does_not_count() -> None:
    whole = opus(b"\x98a")
    lost = seal(struct.pack("<4sBBqIIIB", b"OggS", 0, 1, 10**6, 1, 9, 0, 2) + b"\2\2" + b"\x98a\x98b")
    assert probe(whole + lost).seconds == pytest.approx(0.04)


@pytest.mark.parametrize("magic", [b"\x80theora\3\2\1", b"BBCD\0", b"OVP80\1"])
def test_a_film_without_sound_provably_has_no_audio(magic: bytes) -> None:
    film = page([magic + bytes(40)], flags=2) + page([b"data"], sequence=1, flags=4)
    skeleton = page([b"fishead\0" + bytes(56)], serial=7, flags=2)
    assert probe(skeleton + film).has_audio is False
    assert probe(film[:-3]).has_audio is None
    assert probe(skeleton).has_audio is None


def test_an_unknown_stream_proves_nothing() -> None:
    assert probe(page([b"mystery" + bytes(20)], flags=2) + page([b"data"], sequence=1)).has_audio is None


def test_speex_is_audio_of_unknown_length() -> None:
    audio = probe(page([b"Speex   " + bytes(72)], flags=2))
    assert (audio.codec, audio.seconds, audio.has_audio) == ("speex", None, True)
