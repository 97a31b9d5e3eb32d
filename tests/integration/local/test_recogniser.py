"""The local recogniser: real speech in, OpenAI's formats out."""

import io
import json
import os
import signal
import subprocess
import time
import wave
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import av
import numpy
import pytest

from tests.running import SAMPLE, SENTENCE, Answer, Server, multipart, start

ROUTE = "/v1/audio/transcriptions"


@pytest.fixture(scope="module")
def recogniser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = start("local.recogniser", ["--workers=2"], tmp_path_factory.mktemp("recogniser") / "log")
    yield running
    assert running.end() in (0, -signal.SIGTERM)
    assert "Traceback" not in running.log.read_text()


def transcribe(recogniser: Server, audio: bytes | None, *fields: tuple[str, str]) -> Answer:
    body, headers = multipart([("model", "pocketsphinx/en-us"), *fields], audio)
    return recogniser.call("POST", ROUTE, body, headers)


def wav(samples: Any, rate: int = 16_000) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(numpy.asarray(samples, numpy.int16).tobytes())
    return buffer.getvalue()


def encoded(container: str, codec: str, rate: int) -> bytes:
    """The sample in another format."""
    buffer = io.BytesIO()
    with av.open(str(SAMPLE)) as source, av.open(buffer, "w", format=container) as target:
        stream: Any = target.add_stream(codec, rate=rate)
        resampler = av.AudioResampler(format=stream.format, layout="mono", rate=rate)
        stream.layout = "mono"
        fifo = av.AudioFifo()
        frames = [part for frame in source.decode(audio=0) for part in resampler.resample(frame)]
        for frame in [*frames, *resampler.resample(None)]:
            frame.pts = None
            fifo.write(frame)
        size = stream.codec_context.frame_size or 1024
        while piece := fifo.read(size, partial=True):
            target.mux(stream.encode(piece))
        target.mux(stream.encode(None))
    return buffer.getvalue()


def test_the_shipped_sample_is_recognised_word_for_word(recogniser: Server) -> None:
    answer = transcribe(recogniser, SAMPLE.read_bytes())
    assert answer.status == 200
    assert answer.json["text"] == SENTENCE


def test_the_shipped_sample_is_small() -> None:
    assert SAMPLE.stat().st_size < 100_000


def test_a_human_voice_is_understood(recogniser: Server) -> None:
    recording = Path(__file__).parents[3] / ".." / "shared" / "audio" / "speech_goforward.wav"
    if not recording.exists():
        pytest.skip(f"the recording is not part of the repository: copy it to {recording.resolve()}")
    assert transcribe(recogniser, recording.read_bytes()).json["text"] == "go forward ten meters"


def test_verbose_json_has_words_and_segments_with_their_times(recogniser: Server) -> None:
    answer = transcribe(
        recogniser,
        SAMPLE.read_bytes(),
        ("response_format", "verbose_json"),
        ("timestamp_granularities[]", "word"),
        ("timestamp_granularities[]", "segment"),
    ).json
    assert answer["task"] == "transcribe"
    assert answer["language"] == "en"
    with wave.open(str(SAMPLE)) as file:
        assert answer["duration"] == file.getnframes() / file.getframerate()
    assert " ".join(word["word"] for word in answer["words"]) == SENTENCE
    times = [time for word in answer["words"] for time in (word["start"], word["end"])]
    assert times == sorted(times)
    assert 0 <= times[0] < times[-1] <= answer["duration"]
    assert answer["segments"][0]["id"] == 0
    assert " ".join(segment["text"] for segment in answer["segments"]) == SENTENCE


def test_verbose_json_has_only_segments_unless_words_are_requested(recogniser: Server) -> None:
    answer = transcribe(recogniser, SAMPLE.read_bytes(), ("response_format", "verbose_json")).json
    assert "segments" in answer
    assert "words" not in answer


def test_a_pause_starts_a_new_segment(recogniser: Server) -> None:
    with wave.open(str(SAMPLE)) as file:
        speech = numpy.frombuffer(file.readframes(file.getnframes()), numpy.int16)
    twice = numpy.concatenate([speech, numpy.zeros(16_000, numpy.int16), speech])
    answer = transcribe(recogniser, wav(twice), ("response_format", "verbose_json")).json
    assert len(answer["segments"]) == 2
    assert answer["segments"][1]["start"] > answer["segments"][0]["end"] + 0.9


def test_long_audio_is_transcribed_to_its_end_with_times_from_its_start(recogniser: Server) -> None:
    with wave.open(str(SAMPLE)) as file:
        speech = numpy.frombuffer(file.readframes(file.getnframes()), numpy.int16)
    silence = numpy.zeros(40 * 16_000, numpy.int16)
    answer = transcribe(
        recogniser,
        wav(numpy.concatenate([silence, speech])),
        ("response_format", "verbose_json"),
        ("timestamp_granularities[]", "word"),
    ).json
    assert answer["text"] == SENTENCE
    assert 39.9 <= answer["words"][0]["start"] < 41


@pytest.mark.parametrize(
    ("container", "codec", "rate"),
    [
        ("flac", "flac", 44_100),
        ("ogg", "libopus", 48_000),
        ("webm", "libopus", 48_000),
        ("mp4", "aac", 44_100),
        ("mp3", "libmp3lame", 44_100),
    ],
)
def test_other_formats_are_decoded(recogniser: Server, container: str, codec: str, rate: int) -> None:
    if codec not in av.codecs_available:
        pytest.skip(f"this PyAV has no {codec}: make clean test")
    # Writing an mp4 needs a file that can seek, such as BytesIO.
    answer = transcribe(recogniser, encoded(container, codec, rate), ("response_format", "verbose_json"))
    assert answer.status == 200
    assert abs(answer.json["duration"] - 2.88) < 0.2
    assert "station tomorrow" in answer.json["text"]


@pytest.mark.parametrize(
    "samples",
    [numpy.zeros(16_000), numpy.random.default_rng(1).normal(0, 40, 16_000), numpy.zeros(0)],
    ids=["silence", "hiss", "no samples"],
)
def test_audio_without_speech_has_an_empty_text(recogniser: Server, samples: Any) -> None:
    answer = transcribe(recogniser, wav(samples), ("response_format", "verbose_json"))
    assert answer.status == 200
    assert (answer.json["text"], answer.json["segments"]) == ("", [])


@pytest.mark.parametrize(
    "data",
    [
        b"not audio at all",
        b"\0" * 5000,
        b"RIFF\x24\0\0\0WAVE",
        b"#EXTM3U\n#EXTINF:9,\nhttp://127.0.0.1:9/x.wav\n",
        b"ffconcat version 1.0\nfile /etc/hostname\n",
    ],
    ids=["text", "zeros", "header only", "playlist of addresses", "playlist of files"],
)
def test_a_file_that_is_not_audio_is_a_bad_request(recogniser: Server, data: bytes) -> None:
    answer = transcribe(recogniser, data)
    assert answer.status == 400
    assert answer.json["error"]["type"] == "invalid_request_error"
    assert set(answer.json["error"]) == {"message", "type", "param", "code"}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ([("response_format", "srt")], "response_format"),
        ([("timestamp_granularities[]", "letter")], "timestamp_granularities[]"),
    ],
)
def test_a_bad_field_is_named(recogniser: Server, fields: list[tuple[str, str]], param: str) -> None:
    answer = transcribe(recogniser, SAMPLE.read_bytes(), *fields)
    assert (answer.status, answer.json["error"]["param"]) == (400, param)


def test_a_request_without_a_file_is_a_bad_request(recogniser: Server) -> None:
    assert transcribe(recogniser, None).json["error"]["param"] == "file"


@pytest.mark.parametrize(
    "content_type", ["", "application/json", "multipart/form-data", "multipart/form-data; boundary="]
)
def test_a_body_that_is_not_a_form_is_a_bad_request(recogniser: Server, content_type: str) -> None:
    answer = recogniser.call("POST", ROUTE, b"x" * 100, {"Content-Type": content_type})
    assert answer.status == 400
    assert answer.json["error"]["type"] == "invalid_request_error"


def test_a_body_over_the_limit_is_refused(recogniser: Server) -> None:
    answer = transcribe(recogniser, bytes(27_000_000))
    assert answer.status == 413


def test_an_unknown_route_gets_an_error_in_the_same_format(recogniser: Server) -> None:
    answer = recogniser.call("GET", "/nope")
    assert (answer.status, set(answer.json["error"])) == (404, {"message", "type", "param", "code"})


def test_eight_concurrent_callers_get_the_same_transcript(recogniser: Server) -> None:
    audio = SAMPLE.read_bytes()
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: transcribe(recogniser, audio), range(8)))
    assert {json.dumps(answer.json, sort_keys=True) for answer in answers} == {
        json.dumps(answers[0].json, sort_keys=True)
    }
    assert answers[0].json["text"] == SENTENCE


def workers_of(recogniser: Server) -> set[int]:
    """Children of the fork server, the child of the server with more than one child."""
    listing = subprocess.run(["ps", "-eo", "pid,ppid"], check=True, capture_output=True, text=True).stdout
    pairs = [tuple(map(int, line.split())) for line in listing.splitlines()[1:]]
    children = {pid for pid, parent in pairs if parent == recogniser.process.pid}
    return {pid for pid, parent in pairs if parent in children}


def test_workers_that_end_are_replaced(recogniser: Server) -> None:
    workers = workers_of(recogniser)
    assert len(workers) == 2
    for pid in workers:
        os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 30
    while workers & workers_of(recogniser) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert transcribe(recogniser, SAMPLE.read_bytes()).json["text"] == SENTENCE
