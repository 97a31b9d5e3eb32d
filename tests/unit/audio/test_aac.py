"""libavcodec has no free HE-AAC encoder: the configurations are hand-written from ISO/IEC 14496-3."""

import pytest

from gateway.audio import probe
from gateway.audio.aac import read_audio_specific_config

from .recordings import record

UNIT = memoryview(bytes(1000))


def config(*fields: tuple[int, int]) -> bytes:
    """Bit fields, each a value and its width."""
    bits = "".join(f"{value:0{width}b}" for value, width in fields)
    return int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8), "big")


@pytest.mark.parametrize(
    ("fields", "seconds"),
    [
        pytest.param([(2, 5), (8, 4), (1, 4), (0, 3)], 1024 / 16000, id="LC"),
        pytest.param([(2, 5), (8, 4), (1, 4), (1, 1)], 960 / 16000, id="LC with 960"),
        pytest.param([(2, 5), (15, 4), (12345, 24), (1, 4), (0, 3)], 1024 / 12345, id="LC with its own rate"),
        pytest.param([(5, 5), (6, 4), (2, 4), (3, 4), (2, 5), (0, 3)], 1024 / 24000, id="HE-AAC"),
        pytest.param([(29, 5), (7, 4), (1, 4), (4, 4), (2, 5), (0, 3)], 1024 / 22050, id="HE-AAC v2"),
        pytest.param([(23, 5), (3, 4), (1, 4), (0, 1)], 512 / 48000, id="LD"),
        pytest.param([(31, 5), (7, 6), (3, 4), (1, 4), (1, 1)], 480 / 48000, id="ELD"),
        pytest.param([(31, 5), (10, 6), (3, 4), (2, 4), (3, 5), (3, 3)], 2048 / 48000, id="xHE-AAC"),
    ],
)
def test_a_unit_lasts_as_long_as_the_configuration_says(
    fields: list[tuple[int, int]], seconds: float
) -> None:
    units = read_audio_specific_config(config(*fields))
    assert units is not None
    assert units.count(UNIT, [0, 100], [100, 100]) / units.rate == pytest.approx(2 * seconds)


@pytest.mark.parametrize("broken", [b"", b"\0", b"\xff\xff", config((2, 5), (13, 4)), config((9, 5), (3, 4))])
def test_a_configuration_that_is_not_aac_counts_nothing(broken: bytes) -> None:
    assert read_audio_specific_config(broken) is None


def test_sbr_in_a_real_file_leaves_the_duration_as_it_is() -> None:
    data = record("mp4", "aac", rate=24000)
    plain = config((2, 5), (6, 4), (1, 4), (0, 3))
    explicit = config((5, 5), (6, 4), (1, 4), (3, 4), (2, 5), (0, 3))
    at = data.index(b"\x05\x80\x80\x80", data.index(b"esds")) + 5
    assert data[at : at + 2] == plain
    length = data[at - 1]
    assert length >= len(explicit)
    assert probe(data[:at] + explicit + data[at + len(explicit) :]).seconds == probe(data).seconds


def test_a_packet_too_long_for_one_unit_counts_as_several() -> None:
    units = read_audio_specific_config(config((2, 5), (8, 4), (1, 4), (0, 3)))
    assert units is not None
    assert units.count(UNIT, [0], [1100]) == 1024
    assert units.count(UNIT, [0], [1536 * 3]) == 3 * 1024
