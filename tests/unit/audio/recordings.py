"""Small recordings made with PyAV, and their length from a full decode by PyAV."""

import functools
import io
import math
import random
from array import array
from typing import Any

import av

from gateway.audio import probe

_PHRASE = 1.0  # seconds of tone and noise, so that variable bitrates vary


@functools.cache
def tone(seconds: float, rate: int, channels: int = 1, *, silence: bool = False) -> bytes:
    """Interleaved 16-bit samples of a rising tone with noise in it, or of silence."""
    count = round(seconds * rate)
    if silence:
        return bytes(2 * count * channels)
    noise = random.Random(1)
    samples = array("h")
    for index in range(count):
        time = index / rate
        loud = 0.5 + 0.5 * math.sin(2 * math.pi * time / _PHRASE)
        value = (
            9000 * loud * math.sin(2 * math.pi * (200 + 150 * time) * time) + noise.uniform(-900, 900) * loud
        )
        samples.extend([int(value)] * channels)
    return samples.tobytes()


def record(  # each keyword is one way that recordings differ
    container: str,
    codec: str,
    *,
    seconds: float = 3.2,
    rate: int = 16000,
    channels: int = 1,
    bit_rate: int | None = None,
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    silence: bool = False,
    video: bool = False,
    audio_tracks: int = 1,
) -> bytes:
    """An encoded file with this many equal audio tracks, and a video track if requested."""
    buffer = io.BytesIO()
    output: Any
    layout = {1: "mono", 2: "stereo"}[channels]
    with av.open(buffer, "w", format=container, container_options=container_options or {}) as output:
        picture = _add_video(output, container) if video else None
        streams = []
        for _ in range(audio_tracks):
            stream = output.add_stream(codec, rate=rate, options=options or {})
            stream.codec_context.layout = layout
            if bit_rate:
                stream.codec_context.bit_rate = bit_rate
            streams.append(stream)
        if picture:
            _encode_video(output, picture, seconds)
        pcm = tone(seconds, rate, channels, silence=silence)
        for stream in streams:
            _encode_audio(output, stream, pcm, layout=layout, rate=rate, channels=channels)
    return buffer.getvalue()


def film(container: str, seconds: float = 1.0) -> bytes:
    """A file with a picture and no sound."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as output:
        _encode_video(output, _add_video(output, container), seconds)
    return buffer.getvalue()


def measured(data: bytes, *, max_seconds: float = 14_400.0) -> float:
    """What `probe` measures, in seconds, of a file whose length it must know."""
    seconds = probe(data, max_seconds=max_seconds).seconds
    assert seconds is not None
    return seconds


def decoded_seconds(data: bytes, format: str | None = None) -> float | None:
    """Seconds of the first audio track by a full decode, counted in samples; None if there is none."""
    samples = rate = 0
    source: Any
    try:
        with av.open(io.BytesIO(data), format=format) as source:
            for packet in source.demux(source.streams.audio[0]):
                try:
                    for frame in packet.decode():
                        samples += frame.samples
                        rate = frame.sample_rate
                except av.FFmpegError:
                    continue
    except (av.FFmpegError, IndexError):
        return None
    return samples / rate if rate else None


def _encode_audio(output: Any, stream: Any, pcm: bytes, *, layout: str, rate: int, channels: int) -> None:
    width = 2 * channels
    step = 1024
    for first in range(0, len(pcm) // width, step):
        part = pcm[first * width : (first + step) * width]
        frame = av.AudioFrame(format="s16", layout=layout, samples=len(part) // width)
        frame.planes[0].update(part)
        frame.sample_rate = rate
        frame.pts = first
        output.mux(stream.encode(frame))
    output.mux(stream.encode(None))


def _add_video(output: Any, container: str) -> Any:
    stream = output.add_stream("libvpx" if container == "webm" else "mpeg4", rate=10)
    stream.width = stream.height = 64
    stream.pix_fmt = "yuv420p"
    return stream


def _encode_video(output: Any, stream: Any, seconds: float) -> None:
    for index in range(round(seconds * 10)):
        frame = av.VideoFrame(64, 64, "yuv420p")
        for plane in frame.planes:
            plane.update(bytes([(index * 16 + 40) % 256]) * plane.buffer_size)
        frame.pts = index
        output.mux(stream.encode(frame))
    output.mux(stream.encode(None))
