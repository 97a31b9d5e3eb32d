"""Mutations of small samples. `AUDIO_MUTATIONS` sets how many of each (`make fuzz`); the default is 2,000."""

import os
import random
import time

import pytest

from gateway.audio import measure
from gateway.audio.result import Finding

from . import corpus
from .recordings import film, record

pytestmark = pytest.mark.scaled
MUTATIONS = int(os.environ.get("AUDIO_MUTATIONS", "2000"))
SEED = os.environ.get("AUDIO_SEED", "0")
MAX_SECONDS = 0.5  # of CPU time, the limit for one call
SMALL = 120_000  # bytes

SHARED = [
    entry["file"]
    for entry in corpus.entries()
    if entry["file"].partition(".")[0].endswith("_3")
    and (corpus.FOLDER / entry["file"]).stat().st_size < SMALL
]
RECORDED = {
    "adpcm.wav": lambda: record("wav", "adpcm_ima_wav", seconds=1),
    "mp3.wav": lambda: record("wav", "libmp3lame", seconds=1),
    "layer2.mp3": lambda: record("mp2", "mp2", seconds=1),
    "alac.m4a": lambda: record("mp4", "alac", seconds=1),
    "opus.mp4": lambda: record("mp4", "libopus", rate=48000, seconds=1),
    "pcm.mov": lambda: record("mov", "pcm_s16le", seconds=1),
    "film.mp4": lambda: film("mp4"),
    "film.webm": lambda: film("webm"),
    "flac.ogg": lambda: record("ogg", "flac", seconds=1),
    "aac.mkv": lambda: record("matroska", "aac", seconds=1),
    "flac.mkv": lambda: record("matroska", "flac", seconds=1),
    "mp3.mkv": lambda: record("matroska", "libmp3lame", seconds=1),
    "vorbis.webm": lambda: record(
        "webm", "vorbis", rate=44100, channels=2, options={"strict": "-2"}, seconds=1
    ),
}

NUMBERS = [bytes(4), b"\xff" * 4, b"\x7f" + b"\xff" * 3, b"\x80" + bytes(3), b"\0\0\0\1", b"\1\0\0\0"]


def mutate(data: bytes, chance: random.Random) -> bytearray:
    """A copy with one to twenty changes, half of them near the start, where the structure is."""
    copy = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 5, 20))):
        at = chance.randrange(len(copy) if chance.random() < 0.5 else min(len(copy), 600))
        kind = chance.random()
        if kind < 0.5:
            copy[at] = chance.choice(
                (0, 1, 127, 128, 255, copy[at] ^ 1 << chance.randrange(8), chance.randrange(256))
            )
        elif kind < 0.65:
            copy[at : at + 4] = chance.choice(NUMBERS)
        elif kind < 0.75:
            del copy[at : at + chance.choice((1, 2, 100, 5000))]
        elif kind < 0.85:
            copy[at:at] = copy[at : at + chance.choice((1, 8, 1000))]
        elif kind < 0.95:
            copy[at:at] = chance.randbytes(chance.choice((1, 4, 100)))
        else:
            del copy[at + 1 :]
        copy = copy or bytearray(1)
    return copy


def assert_mutations_are_answered(name: str, data: bytes) -> None:
    chance = random.Random(f"{name} {SEED}")
    for number in range(MUTATIONS):
        mutated = mutate(data, chance)
        found = Finding()
        start = time.process_time()
        # Below probe(), which would hide an exception.
        measure(memoryview(mutated), found, 14_400.0)
        spent = time.process_time() - start
        assert spent < MAX_SECONDS, f"mutation {number} of {name} took {spent:.2f} s"
        seconds = found.result().seconds
        assert seconds is None or 0 < seconds < 1e9


@pytest.mark.parametrize("name", SHARED)
def test_no_mutation_of_a_shared_sample_raises_or_takes_long(name: str) -> None:
    assert_mutations_are_answered(name, corpus.read(name))


@pytest.mark.parametrize("name", RECORDED)
def test_no_mutation_of_a_recording_raises_or_takes_long(name: str) -> None:
    assert_mutations_are_answered(name, RECORDED[name]())
