"""Lambda's limits: the largest event, the function's timeout, and what happens when code breaks."""

import base64
import json
import struct
from typing import Any

import pytest

from tests.lambda_runtime.conftest import Start, event
from tests.lambda_runtime.emulator import MAX_EVENT_BYTES
from tests.lambda_runtime.test_built_functions import Functions, Publish, body_of
from tests.misbehaving_server import MisbehavingServer

# The least that Lambda allows with a budget left: 1.5 s of it are the gateway's margin.
TIMEOUT_SECONDS = 4.0


def wav(size: int) -> bytes:
    """Silence of exactly `size` bytes: 8 kHz, 8 bit, mono."""
    samples = size - 44
    head = struct.pack("<4sI4s4sIHHIIHH", b"RIFF", size - 8, b"WAVE", b"fmt ", 16, 1, 1, 8000, 8000, 1, 8)
    return head + struct.pack("<4sI", b"data", samples) + b"\x80" * samples


def upload_of(size: int) -> tuple[bytes, int]:
    """A transcription event of exactly `size` bytes of JSON, and the bytes of audio in it."""
    template: dict[str, Any] = event("transcribe")
    boundary = template["headers"]["content-type"].partition("boundary=")[2]
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="model"\r\n\r\npocketsphinx/en-us\r\n'
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
    ).encode()
    tail = f"\r\n--{boundary}--\r\n".encode()
    room = size - len(json.dumps({**template, "body": "", "padding": ""}))
    audio = wav(room // 4 * 3 - len(head) - len(tail))
    body = base64.b64encode(head + audio + tail).decode()
    payload = json.dumps({**template, "body": body, "padding": " " * (room - len(body))}).encode()
    assert len(payload) == size
    return payload, len(audio)


def test_an_event_of_exactly_the_most_that_lambda_carries_is_transcribed(
    functions: Functions, published: Publish, provider: MisbehavingServer
) -> None:
    published("ok")
    payload, audio_bytes = upload_of(MAX_EVENT_BYTES)
    answer = functions["TranscribeFunction"].invoke(payload)
    assert answer["statusCode"] == 200, answer
    received = provider.received("ok")[-1].file
    assert received is not None
    assert len(received) == audio_bytes > 4_700_000


def test_a_reply_of_five_megabytes_of_accented_text_fits_lambdas_answer(
    start: Start, published: Publish
) -> None:
    published("long-text")
    answer = start("TranscribeFunction").invoke(event("transcribe"))
    assert answer["statusCode"] == 200, str(answer)[:500]
    assert len(body_of(answer)["text"].encode()) == 5_000_000


def test_a_reply_that_escaping_makes_too_large_is_an_upstream_error_instead(
    start: Start, published: Publish
) -> None:
    published("long-text-of-quotes")
    answer = start("TranscribeFunction").invoke(event("transcribe"))
    assert answer["statusCode"] == 502, str(answer)[:500]
    assert body_of(answer)["error"]["type"] == "upstream_error"


def test_a_hanging_provider_is_answered_502_before_the_functions_timeout(
    start: Start, published: Publish
) -> None:
    published("never-answer")
    transcribe = start("TranscribeFunction", seconds=TIMEOUT_SECONDS)
    answer = transcribe.invoke(event("transcribe"))
    assert answer["statusCode"] == 502, answer
    assert body_of(answer)["error"]["type"] == "upstream_error"
    assert answer["multiValueHeaders"]["x-should-retry"] == ["false"]
    assert "timed out" not in transcribe.log()


def test_a_function_that_outlives_its_timeout_is_ended(start: Start, provider: MisbehavingServer) -> None:
    """The emulator's own limit is real: without it the test before would prove nothing."""
    retry = start("UsageRetryFunction", seconds=1.0, AWS_ENDPOINT_URL=provider.url("never-answer"))
    assert "timed out" in retry.invoke(event("usage_retry_batch"))


def test_a_handler_that_raises_is_an_error_to_lambda_and_the_next_event_is_served(
    functions: Functions,
) -> None:
    authorizer = functions["AuthorizerFunction"]
    failed = authorizer.invoke({"type": "TOKEN"})
    assert failed["errorType"] == "KeyError"
    served = authorizer.invoke(event("authorizer_known_key"))
    assert served["principalId"] == "alice"


def test_a_defect_behind_the_edge_is_our_500_with_nothing_internal(start: Start) -> None:
    models = start("ModelsFunction", PROVIDERS_TABLE="not-a-table")
    answer = models.invoke(event("models_list"))
    assert (answer["statusCode"], body_of(answer)["error"]["type"]) == (500, "api_error")
    assert "not-a-table" not in json.dumps(answer)
    assert event("models_list")["requestContext"]["requestId"] in models.log()


@pytest.mark.parametrize(
    ("variable", "value"), [("PROVIDER_ONLINE_SECONDS", "soon"), ("AWS_ENDPOINT_URL", "no-address")]
)
def test_settings_that_cannot_be_used_fail_the_initialisation_and_are_named(
    start: Start, variable: str, value: str
) -> None:
    answer = start("ModelsFunction", **{variable: value}).invoke(event("models_list"))
    assert "errorType" in answer
    assert value in answer["errorMessage"] or variable in answer["errorMessage"]
