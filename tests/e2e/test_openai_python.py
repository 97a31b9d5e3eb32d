"""openai-python against the gateway, used as its documentation says."""

import asyncio
import io
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types.audio import Transcription, TranscriptionVerbose

from server.app import MAX_AUDIO_CALLS
from tests.e2e.conftest import Publish, Published
from tests.e2e.wire import MODEL, WAV
from tests.running import SAMPLE, SENTENCE, Gateway
from tests.stub_provider import TEXT, Say

pytestmark = pytest.mark.e2e
PYTHON = "openai-python"
RETRIED = "x-stainless-retry-count"


@pytest.fixture
def client(gateway: Gateway) -> Iterator[OpenAI]:
    with OpenAI(base_url=gateway.base_url, api_key=gateway.keys["alice"]) as made:
        yield made


def unnamed() -> io.BytesIO:
    return io.BytesIO(WAV)


def named() -> io.BytesIO:
    file = io.BytesIO(WAV)
    file.name = "speech.wav"
    return file


@pytest.mark.parametrize(
    "file",
    [
        pytest.param(lambda _: SAMPLE, marks=pytest.mark.conformance(PYTHON, "file as a path")),
        pytest.param(
            lambda stack: stack.enter_context(SAMPLE.open("rb")),
            marks=pytest.mark.conformance(PYTHON, "file as an open file"),
        ),
        pytest.param(lambda _: WAV, marks=pytest.mark.conformance(PYTHON, "file as bytes")),
        pytest.param(
            lambda _: ("speech.wav", WAV), marks=pytest.mark.conformance(PYTHON, "file as (name, bytes)")
        ),
        pytest.param(
            lambda _: ("speech", WAV, "audio/wav"),
            marks=pytest.mark.conformance(PYTHON, "file as (name, bytes, type)"),
        ),
        pytest.param(
            lambda _: unnamed(), marks=pytest.mark.conformance(PYTHON, "file as BytesIO without a name")
        ),
        pytest.param(lambda _: named(), marks=pytest.mark.conformance(PYTHON, "file as BytesIO with a name")),
    ],
)
def test_a_file_is_sent_in_every_shape_the_sdk_takes(client: OpenAI, published: Published, file: Any) -> None:
    with ExitStack() as stack:
        result = client.audio.transcriptions.create(model=published.model, file=file(stack))
    assert result.text == TEXT
    assert published.stub.asked[0].file.content == WAV


@pytest.mark.conformance(PYTHON, "json, with real recognition")
def test_a_recording_is_recognised(client: OpenAI) -> None:
    result = client.audio.transcriptions.create(model=MODEL, file=SAMPLE)
    assert isinstance(result, Transcription)
    assert result.text == SENTENCE
    assert result.usage is not None
    assert result.usage.model_dump() == {"type": "duration", "seconds": 3}


@pytest.mark.conformance(PYTHON, "verbose_json with segments and words, with real recognition")
def test_a_recording_is_recognised_with_timings(client: OpenAI) -> None:
    result = client.audio.transcriptions.create(
        model=MODEL,
        file=SAMPLE,
        response_format="verbose_json",
        timestamp_granularities=["word", "segment"],
    )
    assert isinstance(result, TranscriptionVerbose)
    assert result.text == SENTENCE
    assert result.duration == pytest.approx(2.88, abs=0.01)
    assert result.words is not None
    assert [word.word for word in result.words] == SENTENCE.split()
    assert all(word.start <= word.end <= result.duration for word in result.words)
    assert result.segments is not None
    assert " ".join(segment.text.strip() for segment in result.segments) == SENTENCE
    assert result.usage is not None
    assert result.usage.seconds == 3


@pytest.mark.parametrize(("granularity", "other"), [("word", "segments"), ("segment", "words")])
@pytest.mark.conformance(PYTHON, "one granularity alone")
def test_one_granularity_gives_its_own_list_alone(client: OpenAI, granularity: Any, other: str) -> None:
    result = client.audio.transcriptions.create(
        model=MODEL, file=SAMPLE, response_format="verbose_json", timestamp_granularities=[granularity]
    )
    assert getattr(result, f"{granularity}s")
    assert getattr(result, other) is None


@pytest.mark.conformance(PYTHON, "AsyncOpenAI, eight at once")
def test_the_async_client_transcribes_eight_at_once(gateway: Gateway, published: Published) -> None:
    async def transcribe() -> list[str]:
        async with AsyncOpenAI(base_url=gateway.base_url, api_key=gateway.keys["alice"]) as client:
            calls = [
                client.audio.transcriptions.create(model=published.model, file=("a.wav", WAV))
                for _ in range(8)
            ]
            return [result.text for result in await asyncio.gather(*calls)]

    assert asyncio.run(transcribe()) == [TEXT] * 8
    assert len(published.stub.asked) == 8


@pytest.mark.conformance(PYTHON, "with_raw_response: headers")
def test_a_raw_response_has_the_headers(client: OpenAI, published: Published) -> None:
    raw = client.audio.transcriptions.with_raw_response.create(model=published.model, file=WAV)
    assert raw.headers["x-provider"] == f"alice/{published.provider}"
    assert raw.headers["x-attempts"] == "1"
    assert raw.request_id == raw.headers["x-request-id"]
    assert raw.parse().text == TEXT


@pytest.mark.conformance(PYTHON, "with_streaming_response")
def test_a_response_is_read_as_a_stream_of_bytes(client: OpenAI, published: Published) -> None:
    create = client.audio.transcriptions.with_streaming_response.create
    with create(model=published.model, file=WAV) as response:
        assert TEXT in "".join(response.iter_text())


@pytest.mark.conformance(PYTHON, "downgrade header")
def test_a_downgrade_is_told_in_a_header(client: OpenAI, published: Published) -> None:
    raw = client.audio.transcriptions.with_raw_response.create(
        model=published.model, file=WAV, response_format="verbose_json", timestamp_granularities=["word"]
    )
    assert raw.headers["x-downgraded-response-format"] == "json"
    assert raw.parse().text == TEXT


@pytest.mark.conformance(PYTHON, "language, prompt, temperature, extra_body")
def test_fields_reach_the_provider(client: OpenAI, published: Published) -> None:
    client.audio.transcriptions.create(
        model=published.model,
        file=WAV,
        language="en",
        prompt="names: Ørsted",
        temperature=0.25,
        stream=False,
        extra_body={"hotwords": "station"},
    )
    assert dict(published.stub.asked[0].fields) == {
        "model": f"served-{published.provider}",
        "response_format": "json",
        "language": "en",
        "prompt": "names: Ørsted",
        "temperature": "0.25",
        "hotwords": "station",
    }


ERRORS = [
    (400, openai.BadRequestError, "invalid_request_error", {"temperature": 3}),
    (400, openai.BadRequestError, "missing_file", {"file": b""}),
    (404, openai.NotFoundError, "no_provider", {"model": "nobody/has-this"}),
    (413, openai.APIStatusError, "file_too_large", {"file": ("a.mp3", bytes(26_214_401))}),
    (415, openai.APIStatusError, "unsupported_media_type", {"file": ("a.pdf", b"%PDF-1.7")}),
]


@pytest.mark.parametrize(
    ("status", "error", "kind", "arguments"),
    [
        pytest.param(*case, marks=pytest.mark.conformance(PYTHON, f"{case[0]} {case[2]}"), id=case[2])
        for case in ERRORS
    ],
)
def test_an_error_is_raised_as_its_class(
    client: OpenAI, status: int, error: type[openai.APIStatusError], kind: str, arguments: dict[str, Any]
) -> None:
    with pytest.raises(error) as raised:
        client.audio.transcriptions.create(**{"model": MODEL, "file": WAV, **arguments})
    assert raised.value.status_code == status
    assert raised.value.type == kind
    assert raised.value.request_id
    assert isinstance(raised.value.body, dict)
    assert raised.value.body["message"] in str(raised.value)


@pytest.mark.conformance(PYTHON, "401 authentication_error")
def test_a_wrong_key_is_an_authentication_error(gateway: Gateway) -> None:
    with (
        OpenAI(base_url=gateway.base_url, api_key="sk-local-nobody-0000000000000000") as client,
        pytest.raises(openai.AuthenticationError) as raised,
    ):
        client.audio.transcriptions.create(model=MODEL, file=WAV)
    assert raised.value.code == "invalid_api_key"


@pytest.mark.conformance(PYTHON, "stream=True is refused with a clear message")
def test_streaming_is_a_bad_request_and_not_an_empty_stream(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        list(client.audio.transcriptions.create(model=MODEL, file=WAV, stream=True))
    assert raised.value.param == "stream"


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")  # the SDK's own word on this method
@pytest.mark.conformance(PYTHON, "translations are refused with a clear message")
def test_translations_are_not_found(client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as raised:
        client.audio.translations.create(model=MODEL, file=WAV)
    assert raised.value.type == "not_found"


@pytest.mark.conformance(PYTHON, "502 is not retried when a retry cannot help")
def test_a_502_is_not_retried_when_trying_again_cannot_help(client: OpenAI, publish: Publish) -> None:
    published = publish()
    published.stub.answers.extend([Say(500, {"error": "broken"})] * 9)
    with pytest.raises(openai.InternalServerError) as raised:
        client.audio.transcriptions.create(model=published.model, file=WAV)
    assert (raised.value.status_code, raised.value.type) == (502, "upstream_error")
    assert raised.value.response.headers["x-should-retry"] == "false"
    assert len(published.stub.asked) == 1


@pytest.mark.conformance(PYTHON, "502 of a busy provider is retried after retry-after")
def test_a_502_is_retried_when_the_provider_was_merely_busy(client: OpenAI, publish: Publish) -> None:
    published = publish()
    published.stub.answers.append(Say(429, {"error": "busy"}, {"retry-after": "1"}))
    began = time.monotonic()
    raw = client.audio.transcriptions.with_raw_response.create(model=published.model, file=WAV)
    assert raw.parse().text == TEXT
    assert raw.http_request.headers[RETRIED] == "1"
    assert time.monotonic() - began >= 1


@pytest.mark.conformance(PYTHON, "429 is retried after retry-after")
def test_a_429_is_retried_after_the_time_it_names(
    gateway: Gateway, client: OpenAI, published: Published
) -> None:
    # More requests than the local gateway lets one caller have at a time, whose bodies never come.
    head = (
        f"POST /v1/audio/transcriptions HTTP/1.1\r\nhost: 127.0.0.1\r\n"
        f"authorization: Bearer {gateway.keys['alice']}\r\n"
        "content-type: multipart/form-data; boundary=x\r\ncontent-length: 100\r\n\r\n"
    ).encode()
    with ExitStack() as held:
        for _ in range(MAX_AUDIO_CALLS * 4 // 5 + 1):
            held.enter_context(socket.create_connection(("127.0.0.1", gateway.port))).sendall(head)
        refused = _first_refusal(client.with_options(max_retries=0), published)
        # While the SDK waits, the gateway gets free again.
        release = threading.Timer(0.3, held.pop_all().close)
        release.start()
        raw = client.audio.transcriptions.with_raw_response.create(model=published.model, file=WAV)
        release.join()
    assert (refused.type, refused.code) == ("rate_limit_error", "rate_limit_exceeded")
    assert refused.response.headers["retry-after"] == "1"
    assert raw.parse().text == TEXT
    assert raw.http_request.headers[RETRIED] == "1"


def _first_refusal(client: OpenAI, published: Published) -> openai.RateLimitError:
    """The gateway counts the held requests as it comes to read them: asks until it has."""
    for _ in range(100):
        try:
            client.audio.transcriptions.create(model=published.model, file=WAV)
        except openai.RateLimitError as error:
            return error
    raise AssertionError("the gateway never refused")


@pytest.mark.conformance(PYTHON, "models.list")
def test_models_are_listed(client: OpenAI) -> None:
    models = {model.id: model for model in client.models.list()}
    assert models[MODEL].owned_by == "local"
    assert "timestamps" in (models[MODEL].model_extra or {})["supported_features"]


@pytest.mark.conformance(PYTHON, "models.retrieve of an id with a slash")
def test_a_model_with_a_slash_is_retrieved(client: OpenAI) -> None:
    assert client.models.retrieve(MODEL).id == MODEL
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("nobody/has-this")
