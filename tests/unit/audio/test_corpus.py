from typing import Any

import pytest

from gateway.audio import probe

from . import corpus

ENTRIES = corpus.entries()
MEASURABLE = [entry for entry in ENTRIES if entry["seconds_truth"] is not None]
UNMEASURABLE = [entry for entry in ENTRIES if entry["seconds_truth"] is None]
FORMATS = {"m4a": "mp4", "ogg-vorbis": "ogg", "ogg-opus": "ogg"}


def test_the_samples_of_known_duration_exist() -> None:
    corpus.read("manifest.json")


@pytest.mark.parametrize("entry", MEASURABLE, ids=lambda entry: entry["file"])
def test_a_sample_is_measured_like_a_full_decode(entry: dict[str, Any]) -> None:
    audio = probe(corpus.read(entry["file"]))
    assert audio.format == FORMATS.get(entry["format"], entry["format"])
    assert audio.has_audio is True
    assert audio.codec
    assert audio.seconds == pytest.approx(entry["seconds_truth"], abs=corpus.tolerance(entry))


@pytest.mark.parametrize("entry", UNMEASURABLE, ids=lambda entry: entry["file"])
def test_a_file_that_no_decoder_reads_has_no_duration(entry: dict[str, Any]) -> None:
    audio = probe(corpus.read(entry["file"]))
    assert audio.seconds is None
    assert audio.has_audio is None
    assert audio.format == (None if entry["format"] == "none" else "mp4")
