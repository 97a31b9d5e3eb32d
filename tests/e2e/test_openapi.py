"""The running gateway does what openapi.yaml says, on requests that schemathesis makes up and on real ones."""

import json
import re
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck
from schemathesis import Case
from schemathesis.config import SchemathesisConfig
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from functions.build_openapi import SOURCE, as_json
from gateway.accounts.keys import hash_key, key_id_of
from tests.e2e.conftest import Publish
from tests.e2e.wire import MODEL, WAV, send
from tests.running import Gateway
from tests.stub_provider import Say

pytestmark = pytest.mark.e2e

CONFIG = SchemathesisConfig.from_dict(
    {
        "generation": {"deterministic": True, "max-examples": 10, "no-shrink": True},
        "checks": {
            # A file that is too large is refused as such.
            "negative_data_rejection": {"expected-statuses": [400, 401, 404, 409, 413, 415, 429]},
            # Rules between fields are told in words only: granularities need verbose_json, a model id or hf.
            "positive_data_acceptance": {"enabled": False},
            # API Gateway answers 404 where others say 405.
            "unsupported_method": {"enabled": False},
            "allow_header_conformance": {"enabled": False},
        },
        # Every boundary of every field of a manifest is 800 requests; test_manifest_properties tries them without.
        "operations": [
            {
                "include-name": "PUT /api/inference/agent/manifest",
                "phases": {"coverage": {"enabled": False}},
                "generation": {"max-examples": 40},
            }
        ],
    }
)
SCHEMA = schemathesis.openapi.from_path(SOURCE, config=CONFIG)
SETTINGS = hypothesis.settings(deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def headers(gateway: Gateway) -> Iterator[dict[str, str]]:
    """bob's key: what is made up must not change alice's provider, which other tests use. In the end bob has no
    provider more, since an owner has at most 20, and no key but this one."""
    yield gateway.authorization("bob")
    for key in send(gateway, "GET", "/v1/keys", key="bob").json()["data"]:
        if key["created_by"]:
            send(gateway, "DELETE", f"/v1/keys/{key['id']}", key="bob")
    for provider in send(gateway, "GET", "/v1/providers", key="bob").json()["data"]:
        send(gateway, "DELETE", f"/v1/providers/{provider['name']}", key="bob")


def spare_own_key(case: Case[Any], headers: dict[str, str]) -> None:
    """Lets no request revoke the key that all of them use, whose id they find in the list of keys."""
    key = headers["Authorization"].removeprefix("Bearer ")
    if (case.path_parameters or {}).get("id") == key_id_of(hash_key(key)):
        case.path_parameters["id"] = "key_0000000000000000"


@SCHEMA.parametrize()
@SETTINGS
def test_made_up_requests_are_answered_as_documented(
    case: Case[Any], gateway: Gateway, headers: dict[str, str]
) -> None:
    spare_own_key(case, headers)
    case.call_and_validate(base_url=gateway.url, headers=headers, timeout=60)


def test_chains_of_requests_are_answered_as_documented(gateway: Gateway, headers: dict[str, str]) -> None:
    class Machine(SCHEMA.as_state_machine()):  # type: ignore[misc]
        def before_call(self, case: Case[Any]) -> None:
            spare_own_key(case, headers)

        def get_call_kwargs(self, case: Case[Any]) -> dict[str, Any]:
            return {"base_url": gateway.url, "headers": headers, "timeout": 60}

    settings = hypothesis.settings(SETTINGS, max_examples=15, stateful_step_count=5)
    Machine.run(settings=settings)
    assert requests.get(f"{gateway.base_url}/keys", headers=headers, timeout=60).status_code == 200


def assert_documented(reply: requests.Response, method: str, path: str, status: int) -> None:
    """The answer has this status, and it, its headers and its body are what the document says of the path."""
    assert reply.status_code == status, reply.text
    parameters = dict.fromkeys(re.findall(r"\{(\w+)\}", path), "any")
    SCHEMA[path][method].Case(path_parameters=parameters).validate_response(
        reply,
        checks=[
            status_code_conformance,
            content_type_conformance,
            response_headers_conformance,
            response_schema_conformance,
        ],
    )


@pytest.mark.parametrize(
    ("status", "fields", "file"),
    [
        (200, {}, ("a.wav", WAV, "audio/wav")),
        (200, {"response_format": "verbose_json"}, ("a.wav", WAV, "audio/wav")),
        (
            200,
            {"response_format": "verbose_json", "timestamp_granularities[]": ["word", "segment"]},
            ("a.wav", WAV, "audio/wav"),
        ),
        (400, {"temperature": "2"}, ("a.wav", WAV, "audio/wav")),
        (400, {}, ("a.wav", b"", "audio/wav")),
        (404, {"model": "nobody/has-this"}, ("a.wav", WAV, "audio/wav")),
        (413, {}, ("a.wav", bytes(26_214_401), "audio/wav")),
        (415, {}, ("a.pdf", b"%PDF-1.7", "application/pdf")),
    ],
)
def test_transcriptions_are_as_documented(
    gateway: Gateway, status: int, fields: dict[str, Any], file: tuple[str, bytes, str]
) -> None:
    reply = requests.post(
        f"{gateway.base_url}/audio/transcriptions",
        headers=gateway.authorization(),
        data={"model": MODEL, **fields},
        files={"file": file},
        timeout=60,
    )
    assert_documented(reply, "POST", "/v1/audio/transcriptions", status)


@pytest.mark.parametrize(
    ("status", "answers", "fields"),
    [
        (200, [], {"response_format": "verbose_json"}),
        (200, [Say(200, {"text": ""})], {}),
        (502, [Say(500, {})], {}),
        (502, [Say(429, {}, {"retry-after": "2"})], {}),
    ],
)
def test_what_providers_bring_about_is_as_documented(
    gateway: Gateway, publish: Publish, status: int, answers: list[Say], fields: dict[str, str]
) -> None:
    published = publish()
    published.stub.answers.extend(answers)
    reply = requests.post(
        f"{gateway.base_url}/audio/transcriptions",
        headers=gateway.authorization(),
        data={"model": published.model, **fields},
        files={"file": ("a.wav", WAV, "audio/wav")},
        timeout=60,
    )
    assert_documented(reply, "POST", "/v1/audio/transcriptions", status)


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/v1/models", "/v1/models"),
        ("/v1/models/{id}", f"/v1/models/{MODEL}"),
        ("/v1/providers", "/v1/providers"),
        ("/v1/keys", "/v1/keys"),
        ("/v1/usage", "/v1/usage?group_by=model&role=operator"),
        ("/playground", "/playground"),
        ("/playground/{asset}", "/playground/config.json"),
        ("/openapi.json", "/openapi.json"),
        ("/healthz", "/healthz"),
    ],
)
def test_what_is_read_is_as_documented(gateway: Gateway, path: str, asked: str) -> None:
    reply = requests.get(f"{gateway.url}{asked}", headers=gateway.authorization(), timeout=60)
    assert_documented(reply, "GET", path, 200)


@pytest.mark.parametrize("path", ["/playground", "/openapi.json"])
def test_a_file_that_did_not_change_is_not_sent_again(gateway: Gateway, path: str) -> None:
    etag = requests.get(f"{gateway.url}{path}", timeout=60).headers["etag"]
    reply = requests.get(f"{gateway.url}{path}", headers={"if-none-match": etag}, timeout=60)
    assert_documented(reply, "GET", path, 304)
    assert not reply.content


def test_the_document_is_served(gateway: Gateway) -> None:
    assert requests.get(f"{gateway.url}/openapi.json", timeout=60).json() == json.loads(as_json())
