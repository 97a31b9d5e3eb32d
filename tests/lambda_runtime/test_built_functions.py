"""Every function as `sam build` made it, under the emulator."""

import json
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from functions.build_openapi import as_json
from tests.faults import TEXT
from tests.lambda_runtime.conftest import Start, event
from tests.lambda_runtime.emulator import Emulator
from tests.misbehaving_server import MisbehavingServer
from tests.template import Template

Functions = Mapping[str, Emulator]
Publish = Callable[[str], None]


# One case of each function; a new function needs one too.
CASES = {
    "AuthorizerFunction": "authorizer_known_key",
    "TranscribeFunction": "transcribe_missing_file",
    "ModelsFunction": "models_list",
    "AgentsFunction": "agents_register",
    "UploadsFunction": "uploads_create",
    "KeysFunction": "keys_make",
    "UsageFunction": "usage_by_day",
    "UsageRollupFunction": "usage_rollup_insert",
    "UsageRetryFunction": "usage_retry_batch",
    "SiteFunction": "site_healthz",
}


def body_of(answer: dict[str, Any]) -> Any:
    return json.loads(answer["body"])


def test_every_function_of_the_template_serves_an_event_cold_and_warm(
    functions: Functions, template: Template
) -> None:
    for name in template.functions():
        cold, warm = (functions[name].invoke(event(CASES[name])) for _ in range(2))
        assert "errorType" not in cold, (name, cold)
        assert cold.get("statusCode") == warm.get("statusCode"), (name, warm)


def test_the_site_serves_the_document_that_its_build_made(functions: Functions) -> None:
    answer = functions["SiteFunction"].invoke(event("site_openapi"))
    assert (answer["statusCode"], answer["body"]) == (200, as_json())


def test_the_authorizer_allows_a_known_key_the_whole_stage(functions: Functions) -> None:
    answer = functions["AuthorizerFunction"].invoke(event("authorizer_known_key"))
    (statement,) = answer["policyDocument"]["Statement"]
    assert (statement["Effect"], answer["context"]["user_id"]) == ("Allow", "alice")
    assert statement["Resource"].endswith("/prod/*")


@pytest.mark.parametrize("name", ["authorizer_unknown_key", "authorizer_malformed_header"])
def test_the_authorizer_denies_what_is_no_known_key(functions: Functions, name: str) -> None:
    answer = functions["AuthorizerFunction"].invoke(event(name))
    assert answer["policyDocument"]["Statement"][0]["Effect"] == "Deny"
    assert "context" not in answer


def test_an_agent_registers_publishes_and_beats(functions: Functions, published: Publish) -> None:
    registered = functions["AgentsFunction"].invoke(event("agents_register"))
    assert body_of(registered)["provider_id"] > 0
    published("ok")
    beaten = functions["AgentsFunction"].invoke(event("agents_heartbeat"))
    assert body_of(beaten)["online"] is True
    listed = functions["AgentsFunction"].invoke(event("agents_list_providers"))
    assert body_of(listed)["data"][0]["services"][0]["routed"] is True


def test_a_published_model_is_listed_and_retrieved(functions: Functions, published: Publish) -> None:
    published("ok")
    listed = functions["ModelsFunction"].invoke(event("models_list"))
    assert [each["id"] for each in body_of(listed)["data"]] == ["pocketsphinx/en-us"]
    retrieved = functions["ModelsFunction"].invoke(event("models_retrieve"))
    assert body_of(retrieved)["supported_features"] == ["timestamps"]


def test_an_upload_is_transcribed_by_the_provider_and_metered(
    functions: Functions, published: Publish, provider: MisbehavingServer
) -> None:
    published("ok")
    answer = functions["TranscribeFunction"].invoke(event("transcribe"))
    assert answer["statusCode"] == 200, answer
    assert body_of(answer) == {"text": TEXT, "usage": {"type": "duration", "seconds": 3}}
    assert answer["multiValueHeaders"]["x-provider"] == ["alice/local"]
    assert provider.received("ok")[-1].filename == "audio.wav"


def test_word_and_segment_timings_come_through(functions: Functions, published: Publish) -> None:
    published("ok")
    answer = functions["TranscribeFunction"].invoke(event("transcribe_verbose"))
    assert [each["word"] for each in body_of(answer)["words"]] == TEXT.split()
    assert body_of(answer)["segments"][0]["text"] == TEXT


@pytest.mark.parametrize(
    ("name", "status", "error"),
    [
        ("transcribe_missing_file", 400, "missing_file"),
        ("transcribe_unknown_model", 404, "no_provider"),
        ("translate", 404, "not_found"),
    ],
)
def test_errors_are_in_the_envelope(functions: Functions, name: str, status: int, error: str) -> None:
    answer = functions["TranscribeFunction"].invoke(event(name))
    assert (answer["statusCode"], body_of(answer)["error"]["type"]) == (status, error)
    [request_id] = answer["multiValueHeaders"]["x-request-id"]
    assert uuid.UUID(request_id).version == 7  # the gateway's own, since clients can choose API Gateway's


def test_a_usage_record_from_the_queue_is_written_once(functions: Functions) -> None:
    for _ in range(2):
        answer = functions["UsageRetryFunction"].invoke(event("usage_retry_batch"))
        assert answer == {"batchItemFailures": []}


def test_a_record_from_the_stream_is_counted_once_in_the_daily_totals(functions: Functions) -> None:
    for _ in range(2):
        answer = functions["UsageRollupFunction"].invoke(event("usage_rollup_insert"))
        assert answer == {"batchItemFailures": []}
    usage = body_of(functions["UsageFunction"].invoke(event("usage_by_day")))
    assert usage["total"] == {"requests": 1, "failed": 0, "seconds": 3}


def test_the_site_answers_without_a_key(functions: Functions) -> None:
    assert body_of(functions["SiteFunction"].invoke(event("site_healthz"))) == {"status": "ok"}
    page = functions["SiteFunction"].invoke(event("site_playground"))
    assert page["statusCode"] == 200
    assert "<html" in page["body"]


def test_a_function_without_the_layer_fails_to_initialise_and_says_what_it_misses(start: Start) -> None:
    answer = start("ModelsFunction", layer=None).invoke(event("models_list"))
    assert answer["errorType"] == "Runtime.ImportModuleError"
    assert "No module named" in answer["errorMessage"]
