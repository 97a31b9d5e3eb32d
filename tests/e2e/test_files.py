"""Which files are accepted: the contract's rules (a) to (d), by label and by bytes."""

import io
from typing import Any

import av
import numpy
import pytest

from tests.e2e.conftest import Published
from tests.e2e.wire import WAV, Reply, assert_error, fields, file_part, form, part, post_form, transcribe
from tests.running import Gateway

pytestmark = pytest.mark.e2e

LABELS = [
    *(f"audio/{kind}" for kind in ("wav", "x-wav", "wave", "vnd.wave", "mpeg", "mp3", "mpga", "mp4", "m4a")),
    *(f"audio/{kind}" for kind in ("x-m4a", "aac", "flac", "x-flac", "ogg", "opus", "vorbis", "webm")),
    *("video/mp4", "video/webm", "video/ogg", "application/ogg", "application/mp4"),
]
UNSURE = [None, "application/octet-stream", "audio/x-unheard-of"]
NEVER = ["application/pdf", "text/plain", "image/png", "video/quicktime", "application/json", "wav"]
# Name: container and codec as FFmpeg calls them, and the extension upstream.
FORMATS = {
    "wav": ("wav", "pcm_s16le", "wav"),
    "mp3": ("mp3", "mp3", "mp3"),
    "m4a": ("ipod", "aac", "m4a"),
    "flac": ("flac", "flac", "flac"),
    "ogg vorbis": ("ogg", "vorbis", "ogg"),
    "ogg opus": ("ogg", "libopus", "ogg"),
    "webm": ("webm", "libopus", "webm"),
}
JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + bytes(2000)
ZIP = b"PK\x03\x04" + bytes(2000)
PDF = b"%PDF-1.7\n" + bytes(2000)
GARBAGE = {"pdf": PDF, "jpeg": JPEG, "zip": ZIP, "text": b"please transcribe me " * 100, "zeros": bytes(4000)}


def encoded(container: str, codec: str, *, seconds: float = 1.0) -> bytes:
    """A tone in this container."""
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        # FFmpeg's own encoder of Vorbis is marked experimental, and knows stereo only.
        layout = "stereo" if codec == "vorbis" else "mono"
        stream: Any = output.add_stream(codec, rate=48_000, layout=layout, options={"strict": "experimental"})
        moments = numpy.arange(int(48_000 * seconds)) / 48_000
        tone = (numpy.sin(moments * 2764.6) * 9000).astype(numpy.int16).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(tone, format="s16", layout="mono")
        frame.sample_rate = 48_000
        for packet in (*stream.encode(frame), *stream.encode(None)):
            output.mux(packet)
    return file.getvalue()


def silent_film(container: str, codec: str) -> bytes:
    """A video without any audio track."""
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        stream: Any = output.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for _ in range(5):
            frame = av.VideoFrame.from_ndarray(numpy.zeros((64, 64, 3), numpy.uint8), format="rgb24")
            for packet in stream.encode(frame):
                output.mux(packet)
        for packet in stream.encode(None):
            output.mux(packet)
    return file.getvalue()


def labelled(gateway: Gateway, published: Published, content: bytes, label: str | None) -> Reply:
    return transcribe(gateway, model=published.model, file=file_part(content, content_type=label))


@pytest.mark.parametrize("label", LABELS)
def test_a_known_label_is_accepted_whatever_the_bytes(
    gateway: Gateway, published: Published, label: str
) -> None:
    reply = labelled(gateway, published, PDF, label)
    assert reply.status == 200, reply.body
    sent = published.stub.asked[0].file
    assert sent.content == PDF
    assert sent.filename
    assert sent.filename.startswith("audio.")
    assert sent.media_type
    assert sent.media_type.startswith("audio/")


@pytest.mark.parametrize("label", ["AUDIO/MPEG", "audio/webm;codecs=opus", 'audio/ogg; codecs="vorbis"'])
def test_a_label_is_read_in_any_case_and_without_parameters(
    gateway: Gateway, published: Published, label: str
) -> None:
    assert labelled(gateway, published, PDF, label).status == 200


@pytest.mark.parametrize("label", UNSURE)
@pytest.mark.parametrize("kind", FORMATS)
def test_an_unsure_label_is_accepted_when_the_bytes_are_audio(
    gateway: Gateway, published: Published, kind: str, label: str | None
) -> None:
    container, codec, extension = FORMATS[kind]
    content = encoded(container, codec)
    reply = labelled(gateway, published, content, label)
    assert reply.status == 200, reply.body
    assert reply.json()["usage"]["seconds"] in (1, 2)
    sent = published.stub.asked[0].file
    assert (sent.filename, sent.content) == (f"audio.{extension}", content)


@pytest.mark.parametrize("label", UNSURE)
@pytest.mark.parametrize("kind", GARBAGE)
def test_an_unsure_label_is_refused_when_the_bytes_are_not_audio(
    gateway: Gateway, published: Published, kind: str, label: str | None
) -> None:
    reply = labelled(gateway, published, GARBAGE[kind], label)
    assert_error(reply, 415, "unsupported_media_type", param="file")
    assert not published.stub.asked


@pytest.mark.parametrize("label", NEVER)
def test_any_other_label_is_refused_even_around_real_audio(
    gateway: Gateway, published: Published, label: str
) -> None:
    assert_error(labelled(gateway, published, WAV, label), 415, "unsupported_media_type", param="file")
    assert not published.stub.asked


@pytest.mark.parametrize("label", ["video/mp4", "audio/mp4", "application/octet-stream", None])
@pytest.mark.parametrize(("container", "codec"), [("mp4", "mpeg4"), ("webm", "libvpx")])
def test_a_film_without_sound_is_refused_under_every_label(
    gateway: Gateway, published: Published, container: str, codec: str, label: str | None
) -> None:
    film = silent_film(container, codec)
    assert_error(labelled(gateway, published, film, label), 415, "unsupported_media_type", param="file")


@pytest.mark.parametrize("kind", ["m4a", "webm", "ogg opus", "flac", "mp3", "wav"])
def test_truncation_is_no_proof_against_a_file(gateway: Gateway, published: Published, kind: str) -> None:
    container, codec, _ = FORMATS[kind]
    content = encoded(container, codec)
    reply = labelled(gateway, published, content[: len(content) // 2], "application/octet-stream")
    assert reply.status == 200, reply.body


def test_a_file_part_without_a_filename_is_still_the_file(gateway: Gateway, published: Published) -> None:
    reply = transcribe(gateway, model=published.model, file=part("file", WAV))
    assert reply.status == 200, reply.body
    assert published.stub.asked[0].file.content == WAV


@pytest.mark.parametrize("size", [26_214_400, 26_214_401])
def test_25_mb_pass_and_one_byte_more_does_not(gateway: Gateway, published: Published, size: int) -> None:
    content = encoded("mp3", "mp3").ljust(size, b"\x55")
    whole = form(file_part(content, content_type="audio/mpeg"), fields(("model", published.model)))
    reply = post_form(gateway, whole)
    if size == 26_214_400:
        assert reply.status == 200, reply.body
        assert len(published.stub.asked[0].file.content) == size
    else:
        assert_error(reply, 413, "file_too_large")


def test_a_body_far_over_the_limit_is_refused_while_it_is_read(gateway: Gateway) -> None:
    assert_error(post_form(gateway, form(file_part(bytes(40_000_000)))), 413, "file_too_large")
