"""Turns audio bytes into 16 kHz mono samples, cut into utterances for the recogniser."""

import contextlib
import io
from collections.abc import Iterator
from dataclasses import dataclass

import av
import numpy
from av.audio.frame import AudioFrame
from numpy.typing import NDArray

SAMPLE_RATE = 16_000
Samples = NDArray[numpy.int16]

# Demuxers for audio only: playlists (hls, concat) could name files on this machine.
FORMATS = "wav,w64,mp3,mov,mp4,m4a,flac,ogg,matroska,webm,aac"

# Up to this length, one utterance, so the language model sees every word. Longer audio is cut where quiet.
UTTERANCE_SECONDS = 25
_SHORTEST_SECONDS = 10
_WINDOW = SAMPLE_RATE // 5
# Peaks below this (-50 dBFS) are not speech; the recogniser would waste time finding words in noise.
_SILENCE_PEAK = 104


class UndecodableAudio(Exception):
    """The decoder cannot read the bytes as audio, or the audio is too long."""


@dataclass(frozen=True)
class Utterance:
    """Samples, and their start in the recording, in seconds."""

    start: float
    samples: Samples


def decode(data: bytes | bytearray, limit_seconds: float) -> Samples:
    """The first audio track as 16 kHz mono samples. For a damaged file, what is left of it.

    Raises UndecodableAudio: not audio, nothing decodable in it, or longer than `limit_seconds`.
    """
    limit = int(limit_seconds * SAMPLE_RATE)
    chunks: list[Samples] = []
    count = 0
    with contextlib.suppress(av.error.FFmpegError), _open(data) as container:
        if not container.streams.audio:
            raise UndecodableAudio("The file has no audio track.")
        for samples in _resample(container):
            chunks.append(samples)
            count += len(samples)
            if count > limit:
                raise UndecodableAudio(f"The audio is longer than {limit_seconds:g} seconds.")
    return numpy.concatenate(chunks) if chunks else numpy.zeros(0, numpy.int16)


def _open(data: bytes | bytearray) -> av.container.InputContainer:
    try:
        return av.open(io.BytesIO(data), mode="r", options={"format_whitelist": FORMATS})
    except (av.error.FFmpegError, ValueError) as error:
        raise UndecodableAudio("The file is not audio that this server can decode.") from error


def _resample(container: av.container.InputContainer) -> Iterator[Samples]:
    resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)
    for packet in container.demux(container.streams.audio[0]):
        with contextlib.suppress(av.error.InvalidDataError):
            for frame in packet.decode():
                if isinstance(frame, AudioFrame):
                    yield from map(_samples, resampler.resample(frame))
    yield from map(_samples, resampler.resample(None))


def _samples(frame: AudioFrame) -> Samples:
    return frame.to_ndarray().reshape(-1).astype(numpy.int16, copy=False)


def cut(samples: Samples) -> Iterator[Utterance]:
    """Cuts the recording where it is quietest into pieces of at most UTTERANCE_SECONDS; drops silent ones."""
    start = 0
    while start < len(samples):
        end = _quietest_end(samples, start)
        piece = samples[start:end]
        if int(numpy.abs(piece.astype(numpy.int32)).max(initial=0)) >= _SILENCE_PEAK:
            yield Utterance(start / SAMPLE_RATE, piece)
        start = end


def _quietest_end(samples: Samples, start: int) -> int:
    longest = start + UTTERANCE_SECONDS * SAMPLE_RATE
    if longest >= len(samples):
        return len(samples)
    first = start + _SHORTEST_SECONDS * SAMPLE_RATE
    windows = samples[first : first + (longest - first) // _WINDOW * _WINDOW].astype(numpy.float32)
    energy = numpy.square(windows.reshape(-1, _WINDOW)).sum(axis=1)
    return first + int(numpy.argmin(energy)) * _WINDOW + _WINDOW // 2
