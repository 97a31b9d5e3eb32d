"""What a provider is asked, and what the caller gets of its answer."""

from typing import Any

import pytest

from tests.e2e.conftest import Publish
from tests.e2e.wire import (
    BOUNDARY,
    WAV,
    assert_headers,
    fields,
    file_part,
    form,
    part,
    post_form,
    send,
    transcribe,
)
from tests.running import Gateway
from tests.stub_provider import ANSWER, TEXT, Say

pytestmark = pytest.mark.e2e
USAGE = {"type": "duration", "seconds": 3}
VERBOSE = ("response_format", "verbose_json")
DOWNGRADED = "x-downgraded-response-format"
REFUSAL = {"error": {"message": "verbose_json is not supported"}}
UNMEASURABLE = file_part(b"\x00damaged" * 500, content_type="audio/mpeg")


def test_nothing_of_the_caller_but_fields_and_audio_goes_upstream(gateway: Gateway, publish: Publish) -> None:
    published = publish()
    file = part("file", WAV, filename="my-secret-name.wav", content_type="audio/x-wav")
    sent = {
        "x-secret": "private",
        "cookie": "session=private",
        "user-agent": "private/1",
        "openai-project": "private",
    }
    reply = post_form(gateway, form(fields(("model", published.model)), file), headers=sent)
    assert reply.status == 200
    (asked,) = published.stub.asked
    everything = asked.body + repr(asked.headers).encode()
    for secret in (gateway.keys["alice"], "my-secret-name", "private", BOUNDARY, "alice"):
        assert secret.encode() not in everything
    assert "authorization" not in asked.headers


def test_the_request_upstream_is_what_an_openai_server_expects(gateway: Gateway, publish: Publish) -> None:
    published = publish()
    given = [
        ("language", "en-US"),
        ("prompt", "Ørsted, 日本\r\nline"),
        ("temperature", "0.5"),
        ("hotwords", "x"),
    ]
    assert transcribe(gateway, *given, ("stream", "false"), model=published.model.upper()).status == 200
    (asked,) = published.stub.asked
    assert asked.path == "/v1/audio/transcriptions"
    assert dict(asked.fields) == {
        "model": f"served-{published.provider}",
        "response_format": "json",
        "language": "en",
        "prompt": "Ørsted, 日本\r\nline",
        "temperature": "0.5",
        "hotwords": "x",
    }
    assert (asked.file.filename, asked.file.media_type, asked.file.content) == ("audio.wav", "audio/wav", WAV)


@pytest.mark.parametrize(
    ("sent", "forwarded"), [("de", "de"), ("yue", "yue"), ("EN", "en"), ("pt-BR", "pt"), ("zh-Hans-CN", "zh")]
)
def test_a_language_is_forwarded_without_its_region(
    gateway: Gateway, publish: Publish, sent: str, forwarded: str
) -> None:
    published = publish()
    assert transcribe(gateway, ("language", sent), model=published.model).status == 200
    assert ("language", forwarded) in published.stub.asked[0].fields


@pytest.mark.parametrize("value", ["0", "1", "0.0", "1.0", "0.25"])
def test_a_temperature_from_0_to_1_is_forwarded(gateway: Gateway, publish: Publish, value: str) -> None:
    published = publish()
    assert transcribe(gateway, ("temperature", value), model=published.model).status == 200
    assert ("temperature", value) in published.stub.asked[0].fields


def test_the_credential_of_a_service_goes_to_it_and_nowhere_else(gateway: Gateway, publish: Publish) -> None:
    published = publish(api_key="service-secret-0123456789")
    reply = transcribe(gateway, model=published.model)
    assert published.stub.asked[0].headers["authorization"] == "Bearer service-secret-0123456789"
    listing = send(gateway, "GET", "/v1/providers")
    assert published.provider in listing.body.decode()
    for answer in (reply, listing, send(gateway, "GET", "/v1/models")):
        assert b"service-secret" not in answer.body


def test_a_json_answer_is_text_and_usage_and_nothing_else(gateway: Gateway, publish: Publish) -> None:
    published = publish()
    reply = transcribe(gateway, model=published.model)
    assert reply.json() == {"text": TEXT, "usage": USAGE}
    assert_headers(reply)
    assert reply.headers["x-provider"] == f"alice/{published.provider}"
    assert reply.headers["x-attempts"] == "1"
    assert int(reply.headers["openai-processing-ms"]) >= 0
    assert DOWNGRADED not in reply.headers


@pytest.mark.parametrize(
    ("said", "usage"),
    [
        ({"text": TEXT, "duration": 4.2}, {"type": "duration", "seconds": 5}),
        ({"text": TEXT, "duration": 9, "usage": {"seconds": 4.0}}, {"type": "duration", "seconds": 4}),
        ({"text": TEXT}, None),
        ({"text": TEXT, "duration": -1}, None),
        ({"text": TEXT, "usage": {"seconds": "soon"}}, None),
    ],
)
def test_a_duration_that_cannot_be_measured_is_the_providers_or_left_out(
    gateway: Gateway, publish: Publish, said: dict[str, Any], usage: dict[str, Any] | None
) -> None:
    published = publish()
    published.stub.answers.append(Say(200, said))
    body = transcribe(gateway, model=published.model, file=UNMEASURABLE).json()
    assert body.get("usage") == usage
    assert ("usage" in body) == (usage is not None)


@pytest.mark.parametrize(
    ("granularities", "lists"),
    [
        ([], {"segments"}),
        (["word"], {"words"}),
        (["segment"], {"segments"}),
        (["word", "segment"], {"words", "segments"}),
    ],
)
def test_a_verbose_answer_has_the_lists_that_were_asked(
    gateway: Gateway, publish: Publish, granularities: list[str], lists: set[str]
) -> None:
    published = publish(features=["timestamps"])
    asked = [("timestamp_granularities[]", each) for each in granularities]
    reply = transcribe(gateway, VERBOSE, *asked, model=published.model)
    body = reply.json()
    assert set(body) == {"task", "language", "duration", "text", "usage"} | lists
    assert (body["task"], body["language"], body["text"], body["usage"]) == ("transcribe", "en", TEXT, USAGE)
    assert isinstance(body["duration"], float)
    for name in lists:
        assert body[name] == ANSWER[name]
    assert DOWNGRADED not in reply.headers
    upstream = [
        value for name, value in published.stub.asked[0].fields if name == "timestamp_granularities[]"
    ]
    assert sorted(upstream) == sorted(granularities or ["segment"])


def test_a_language_that_the_provider_did_not_say_is_left_out(gateway: Gateway, publish: Publish) -> None:
    published = publish(features=["timestamps"])
    published.stub.answers.append(Say(200, {"text": TEXT, "segments": ANSWER["segments"]}))
    body = transcribe(gateway, VERBOSE, ("language", "en"), model=published.model).json()
    assert "language" not in body
    assert "words" not in body


def test_a_model_without_timestamps_is_asked_for_json_and_the_caller_told(
    gateway: Gateway, publish: Publish
) -> None:
    published = publish()
    reply = transcribe(gateway, VERBOSE, ("timestamp_granularities[]", "word"), model=published.model)
    assert reply.json() == {"text": TEXT, "usage": USAGE}
    assert reply.headers[DOWNGRADED] == "json"
    asked = dict(published.stub.asked[0].fields)
    assert asked["response_format"] == "json"
    assert not any(name.startswith("timestamp_granularities") for name in asked)


@pytest.mark.parametrize("status", [400, 415, 422])
def test_a_refused_verbose_request_is_asked_once_more_for_json(
    gateway: Gateway, publish: Publish, status: int
) -> None:
    published = publish(features=["timestamps"])
    published.stub.answers.append(Say(status, REFUSAL))
    reply = transcribe(gateway, VERBOSE, model=published.model)
    assert reply.json() == {"text": TEXT, "usage": USAGE}
    assert reply.headers[DOWNGRADED] == "json"
    formats = [dict(asked.fields)["response_format"] for asked in published.stub.asked]
    assert formats == ["verbose_json", "json"]


def test_silence_is_an_empty_text_and_no_error(gateway: Gateway, publish: Publish) -> None:
    published = publish(features=["timestamps"])
    published.stub.answers.append(Say(200, {"text": "", "segments": [], "words": []}))
    reply = transcribe(gateway, VERBOSE, model=published.model)
    assert (reply.status, reply.json()["text"], reply.json()["segments"]) == (200, "", [])


def test_a_model_is_listed_with_what_it_can_do(gateway: Gateway, publish: Publish) -> None:
    published = publish(features=["timestamps"], access="authenticated")
    for reply in (send(gateway, "GET", f"/v1/models/{published.model}", key=key) for key in ("alice", "bob")):
        assert_headers(reply)
        model = reply.json()
        assert isinstance(model.pop("created"), int)
        assert model == {
            "id": published.model.lower(),
            "object": "model",
            "owned_by": published.provider,
            "service_type": "stt",
            "input_modalities": ["audio"],
            "output_modalities": ["text"],
            "supported_features": ["timestamps"],
            "context_length": None,
            "providers": 1,
        }


def test_the_models_are_sorted_by_id(gateway: Gateway, publish: Publish) -> None:
    publish()
    ids = [model["id"] for model in send(gateway, "GET", "/v1/models").json()["data"]]
    assert ids == sorted(ids)
    assert len(ids) >= 2
