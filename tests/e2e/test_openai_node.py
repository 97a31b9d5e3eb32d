"""openai-node against the gateway, used as its documentation says."""

import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests import missing
from tests.e2e.conftest import Publish, Published
from tests.e2e.wire import MODEL, WAV
from tests.running import SAMPLE, SENTENCE, Gateway
from tests.stub_provider import TEXT, Say

ROOT = Path(__file__).parents[2]
NODE = "openai-node"
pytestmark = [pytest.mark.e2e, pytest.mark.node, missing.needs(missing.node_package("openai"))]


def run(
    gateway: Gateway, call: str, model: str, *, key: str | None = None, environment: Mapping[str, str] = {}
) -> Any:
    """What a call of transcribe.mjs printed."""
    given = {
        "BASE_URL": gateway.base_url,
        "API_KEY": key or gateway.keys["alice"],
        "MODEL": model,
        "SPEECH": str(SAMPLE),
        "PATH": "",
    }
    done = subprocess.run(
        [shutil.which("node") or "node", str(ROOT / "tests/e2e/node/transcribe.mjs"), call],
        env={**given, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    "call",
    [
        pytest.param("file", marks=pytest.mark.conformance(NODE, "file as a File")),
        pytest.param(
            "unlabelled", marks=pytest.mark.conformance(NODE, "file as a File without type or ending")
        ),
        pytest.param("stream", marks=pytest.mark.conformance(NODE, "file as fs.createReadStream")),
        pytest.param("buffer", marks=pytest.mark.conformance(NODE, "file as a Buffer by toFile")),
        pytest.param("unnamed", marks=pytest.mark.conformance(NODE, "file as a Buffer without a name")),
        pytest.param("response", marks=pytest.mark.conformance(NODE, "file as a fetch Response")),
    ],
)
def test_a_file_is_sent_in_every_shape_the_sdk_takes(
    gateway: Gateway, published: Published, call: str
) -> None:
    assert run(gateway, call, published.model)["result"]["text"] == TEXT
    assert published.stub.asked[0].file.content == WAV


@pytest.mark.conformance(NODE, "json, with real recognition")
def test_a_recording_is_recognised(gateway: Gateway) -> None:
    result = run(gateway, "stream", MODEL)["result"]
    assert result == {"text": SENTENCE, "usage": {"type": "duration", "seconds": 3}}


@pytest.mark.conformance(NODE, "verbose_json with segments and words, with real recognition")
def test_a_recording_is_recognised_with_timings(gateway: Gateway) -> None:
    result = run(gateway, "verbose", MODEL)["result"]
    assert [word["word"] for word in result["words"]] == SENTENCE.split()
    assert " ".join(segment["text"].strip() for segment in result["segments"]) == SENTENCE
    assert result["duration"] == pytest.approx(2.88, abs=0.01)


@pytest.mark.conformance(NODE, "language, prompt, temperature, other fields")
def test_fields_reach_the_provider(gateway: Gateway, published: Published) -> None:
    run(gateway, "fields", published.model)
    assert dict(published.stub.asked[0].fields) == {
        "model": f"served-{published.provider}",
        "response_format": "json",
        "language": "en",
        "prompt": "Ørsted",
        "temperature": "0.25",
        "hotwords": "station",
    }


@pytest.mark.conformance(NODE, "withResponse: headers")
def test_the_headers_can_be_read(gateway: Gateway, published: Published) -> None:
    result = run(gateway, "headers", published.model)["result"]
    assert result == {"text": TEXT, "provider": f"alice/{published.provider}", "attempts": "1"}


@pytest.mark.conformance(NODE, "models.list")
def test_models_are_listed(gateway: Gateway) -> None:
    assert MODEL in run(gateway, "list", MODEL)["result"]


@pytest.mark.conformance(NODE, "models.retrieve of an id with a slash")
def test_a_model_with_a_slash_is_retrieved(gateway: Gateway) -> None:
    assert run(gateway, "retrieve", MODEL)["result"]["id"] == MODEL
    assert run(gateway, "retrieve", "nobody/has-this")["error"]["class"] == "NotFoundError"


ERRORS = [
    (400, "BadRequestError", "invalid_request_error", "bad_field"),
    (400, "BadRequestError", "missing_file", "empty_file"),
    (413, "APIError", "file_too_large", "too_large"),
    (415, "APIError", "unsupported_media_type", "not_audio"),
]


@pytest.mark.parametrize(
    ("status", "error", "kind", "call"),
    [
        pytest.param(*case, marks=pytest.mark.conformance(NODE, f"{case[0]} {case[2]}"), id=case[2])
        for case in ERRORS
    ],
)
def test_an_error_is_thrown_as_its_class(
    gateway: Gateway, status: int, error: str, kind: str, call: str
) -> None:
    thrown = run(gateway, call, MODEL)["error"]
    assert (thrown["class"], thrown["status"], thrown["type"]) == (error, status, kind)
    assert thrown["requestID"]
    assert "no body" not in thrown["message"]


@pytest.mark.conformance(NODE, "404 no_provider")
def test_an_unknown_model_is_not_found(gateway: Gateway) -> None:
    thrown = run(gateway, "stream", "nobody/has-this")["error"]
    assert (thrown["class"], thrown["type"]) == ("NotFoundError", "no_provider")


@pytest.mark.conformance(NODE, "401 authentication_error")
def test_a_wrong_key_is_an_authentication_error(gateway: Gateway) -> None:
    thrown = run(gateway, "stream", MODEL, key="sk-local-nobody-0000000000000000")["error"]
    assert (thrown["class"], thrown["code"]) == ("AuthenticationError", "invalid_api_key")


@pytest.mark.conformance(NODE, "stream: true is refused with a clear message")
def test_streaming_is_a_bad_request_and_not_an_empty_stream(gateway: Gateway) -> None:
    thrown = run(gateway, "streaming", MODEL)["error"]
    assert (thrown["class"], thrown["param"]) == ("BadRequestError", "stream")


@pytest.mark.conformance(NODE, "translations are refused with a clear message")
def test_translations_are_not_found(gateway: Gateway) -> None:
    thrown = run(gateway, "translation", MODEL)["error"]
    assert (thrown["class"], thrown["type"]) == ("NotFoundError", "not_found")


@pytest.mark.conformance(NODE, "502 is not retried when a retry cannot help")
def test_a_502_is_not_retried_when_trying_again_cannot_help(gateway: Gateway, publish: Publish) -> None:
    published = publish()
    published.stub.answers.extend([Say(500, {"error": "broken"})] * 9)
    thrown = run(gateway, "buffer", published.model)["error"]
    assert (thrown["class"], thrown["status"], thrown["type"]) == (
        "InternalServerError",
        502,
        "upstream_error",
    )
    assert len(published.stub.asked) == 1


@pytest.mark.conformance(NODE, "502 of a busy provider is retried after retry-after")
def test_a_502_is_retried_when_the_provider_was_merely_busy(gateway: Gateway, publish: Publish) -> None:
    published = publish()
    published.stub.answers.append(Say(429, {"error": "busy"}, {"retry-after": "1"}))
    assert run(gateway, "buffer", published.model)["result"]["text"] == TEXT
