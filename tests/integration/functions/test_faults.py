"""The whole transcribe function against providers that misbehave over real TLS: what the caller and the record get."""

import base64
import json
import secrets
import time
import wave
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import trustme

from functions.transcribe import app as transcribe
from gateway import compose, settings
from gateway.accounts.keys import Caller
from gateway.providers.operators import Operator
from gateway.settings import CatalogSettings
from gateway.store.dynamodb import aws
from gateway.store.dynamodb.credentials import credential_store
from gateway.store.dynamodb.providers import provider_store
from gateway.store.dynamodb.usage import usage_store
from tests.lambda_context import LambdaContext
from tests.misbehaving_server import MisbehavingServer


def _silence() -> bytes:
    file = BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((1, 2, 16_000, 0, "NONE", ""))
        writer.writeframes(bytes(32_000))
    return file.getvalue()


# One second: twice a deployment's expected time for it is within its share of the budget.
AUDIO = _silence()
# Faults that end by themselves get plenty of time; endless ones get two attempts' worth.
BUDGET_SECONDS, HANGING_SECONDS = 20.0, 4.0
# Rendering, the store and a busy test machine.
SLACK_SECONDS = 5.0
OUTCOMES = {
    "refuse": "connect",
    "reset-mid-request": "reset",
    "reset-mid-response": "reset",
    "close-without-answer": "reset",
    "never-answer": "timeout",
    "never-read": "timeout",
    "no-handshake": "timeout",
    "drip-handshake": "timeout",
    "hang-up-in-handshake": "tls",
    "plain-http": "tls",
    "drip-headers": "timeout",
    "drip-body": "timeout",
    "302": "redirect",
    "endless-body": "oversized",
    "gzip-bomb": "oversized",
    "invalid-json": "not_json",
    "html": "not_json",
    "json-list": "not_json",
    "missing-text": "no_text",
    "401": "unauthorized",
    "403": "unauthorized",
    "404": "not_found",
    "408": "timeout",
    "413": "too_large",
    "429": "busy",
    "500": "server_error",
    "503": "busy",
    "wrong-certificate": "tls",
    "expired-certificate": "tls",
    "hostname-mismatch": "tls",
}


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def server(ca: trustme.CA) -> Iterator[MisbehavingServer]:
    with MisbehavingServer(ca) as running:
        yield running


@pytest.fixture
def budget(request: pytest.FixtureRequest) -> float:
    """How many seconds the gateway may take for the test's fault."""
    callspec = getattr(request.node, "callspec", None)
    fault = str(callspec.params.get("fault")) if callspec else ""
    return HANGING_SECONDS if OUTCOMES.get(fault) == "timeout" and fault != "408" else BUDGET_SECONDS


@pytest.fixture
def gateway(
    in_process_aws: object,
    ca: trustme.CA,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    budget: float,
) -> Iterator[None]:
    bundle = tmp_path / "ca.pem"
    ca.cert_pem.write_to_path(str(bundle))
    monkeypatch.setenv("PROVIDER_CA_BUNDLE", str(bundle))
    monkeypatch.setenv("ALLOW_PRIVATE_PROVIDERS", "true")
    monkeypatch.setenv("REQUEST_BUDGET_SECONDS", str(budget))
    for cached in (settings.transcribe_settings, settings.catalog_settings, compose.transcription):
        cached.cache_clear()
    yield
    compose.transcription().client.close()
    compose.transcription.cache_clear()


Publish = Callable[..., None]


@pytest.fixture
def publish(gateway: None) -> Publish:
    def publish(name: str, url: str, features: tuple[str, ...] = (), **service: Any) -> None:
        entry = {"name": "asr", "type": "stt", "engine": "other", "url": url, "models": [{"id": "m"}]}
        hosts = [{"id": "h", "services": [entry | {"features": list(features)} | service]}]
        parsed = {"schema_version": 1, "agent": {"name": name}, "hosts": hosts}
        operator = Operator(
            "alice",
            provider_store(),
            credential_store(),
            CatalogSettings(provider_online_seconds=120, allow_private=True),
            time.time(),
            is_own_key=lambda _: False,
        )
        operator.upload_manifest({"parsed": parsed})

    return publish


def send(*fields: tuple[str, str]) -> tuple[int, dict[str, Any], dict[str, str], dict[str, Any], float]:
    """Status, body, headers, usage record and seconds of one transcription."""
    boundary, request_id = secrets.token_hex(8), secrets.token_hex(8)
    texts = "".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in (("model", "m"), *fields)
    )
    file = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="private name.wav"\r\n'
        "Content-Type: audio/wav\r\n\r\n"
    )
    body = texts.encode() + file.encode() + AUDIO + f"\r\n--{boundary}--\r\n".encode()
    event = {
        "resource": "/v1/audio/transcriptions",
        "path": "/v1/audio/transcriptions",
        "httpMethod": "POST",
        "headers": {
            "content-type": f"multipart/form-data; boundary={boundary}",
            "authorization": "Bearer sk-secret",
        },
        "requestContext": {"requestId": request_id, "authorizer": Caller("alice", "key_1").to_context()},
        "body": base64.b64encode(body).decode(),
        "isBase64Encoded": True,
    }
    started = time.monotonic()
    answer = transcribe.handler(event, LambdaContext())
    took = time.monotonic() - started
    (record,) = [
        each
        for each in aws.query(usage_store().table, "user#alice")
        if each["api_gateway_request_id"] == request_id
    ]
    headers = {name: values[0] for name, values in answer["multiValueHeaders"].items()}
    return answer["statusCode"], json.loads(answer["body"]), headers, record, took


@pytest.mark.parametrize("fault", OUTCOMES)
def test_a_sole_provider_that_misbehaves_is_an_upstream_error(
    fault: str, server: MisbehavingServer, publish: Publish, budget: float
) -> None:
    publish("bad", server.url(fault))
    status, body, headers, record, took = send()
    assert status == 502
    assert body["error"]["type"] == "upstream_error"
    assert "127.0.0.1" not in body["error"]["message"]
    assert headers["x-attempts"] == "1"
    busy = OUTCOMES[fault] == "busy"
    assert ("retry-after" in headers, headers.get("x-should-retry")) == (busy, None if busy else "false")
    assert [(each["provider"], each["outcome"]) for each in record["attempts"]] == [
        ("alice/bad", OUTCOMES[fault])
    ]
    assert (record["http_status"], record["error_type"], record["billed_seconds"]) == (
        502,
        "upstream_error",
        0,
    )
    assert took < budget + SLACK_SECONDS


@pytest.mark.parametrize("fault", OUTCOMES)
def test_a_caller_gets_a_transcript_if_one_provider_can_give_it(
    fault: str, server: MisbehavingServer, publish: Publish, budget: float
) -> None:
    # Declared capable, so that it is tried first.
    publish("bad", server.url(fault), features=("timestamps",))
    publish("good", server.url("ok"))
    status, body, headers, record, took = send(("response_format", "verbose_json"))
    assert (status, body["text"]) == (200, "one two three")
    assert (headers["x-provider"], headers["x-attempts"]) == ("alice/good", "2")
    assert [each["outcome"] for each in record["attempts"]] == [OUTCOMES[fault], "ok"]
    assert record["billed_seconds"] == body["usage"]["seconds"] > 0
    assert took < budget + SLACK_SECONDS


@pytest.mark.parametrize("status", [400, 415, 422])
def test_a_request_that_two_deployments_refuse_is_refused_with_the_providers_reason(
    status: int, server: MisbehavingServer, publish: Publish
) -> None:
    for name in ("one", "two", "three"):
        publish(name, server.url(str(status)))
    code, body, _, record, _ = send()
    assert (code, body["error"]["type"]) == (502, "upstream_error")
    assert f"status {status} for you" in body["error"]["message"]
    assert [each["outcome"] for each in record["attempts"]] == ["refused", "refused"]


def test_a_capable_declared_deployment_that_refuses_verbose_json_gives_a_clean_transcript(
    server: MisbehavingServer, publish: Publish
) -> None:
    publish("liar", server.url("refuses-verbose"), features=("timestamps",))
    status, body, headers, record, _ = send(("response_format", "verbose_json"))
    assert (status, set(body)) == (200, {"text", "usage"})
    assert (headers["x-downgraded-response-format"], headers["x-attempts"]) == ("json", "1")
    assert [each["outcome"] for each in record["attempts"]] == ["refused_verbose", "ok"]


def test_real_timings_come_through(server: MisbehavingServer, publish: Publish) -> None:
    publish("good", server.url("ok"), features=("timestamps",))
    _, body, headers, _, _ = send(("response_format", "verbose_json"), ("timestamp_granularities[]", "word"))
    assert [word["word"] for word in body["words"]] == ["one", "two", "three"]
    assert "x-downgraded-response-format" not in headers


def test_only_the_callers_audio_and_fields_reach_the_provider(
    server: MisbehavingServer, publish: Publish
) -> None:
    publish("good", server.url("ok"), api_key="provider-credential")
    before = len(server.received("ok"))
    send(("prompt", "names"))
    (received,) = server.received("ok")[before:]
    assert received.file == AUDIO
    assert (received.filename, received.file_content_type) == ("audio.wav", "audio/wav")
    assert dict(received.fields) == {"model": "m", "response_format": "json", "prompt": "names"}
    assert received.header("authorization") == "Bearer provider-credential"
    assert "sk-secret" not in str(received.headers)
    assert b"private name" not in received.body


def test_a_deployment_is_skipped_after_three_failures_in_a_row(
    server: MisbehavingServer, publish: Publish
) -> None:
    publish("bad", server.url("refuse"), features=("timestamps",))
    publish("good", server.url("ok"))
    attempts = [send(("response_format", "verbose_json"))[2]["x-attempts"] for _ in range(5)]
    assert attempts == ["2", "2", "2", "1", "1"]


@pytest.mark.parametrize(
    "url",
    [
        "http://provider.example/v1",
        "https://127.0.0.1/v1",
        "https://10.1.2.3/v1",
        "https://169.254.169.254/latest",
        "https://100.64.0.1/v1",
        "https://[::1]/v1",
        "https://[::ffff:10.0.0.1]/v1",
        "https://2130706433/v1",
        "https://0177.0.0.1/v1",
    ],
)
def test_a_service_with_a_forbidden_url_does_not_route(
    url: str, publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALLOW_PRIVATE_PROVIDERS", "false")
    for cached in (settings.transcribe_settings, settings.catalog_settings, compose.transcription):
        cached.cache_clear()
    publish("bad", url)
    status, body, _, record, _ = send()
    assert (status, body["error"]["type"]) == (404, "no_provider")
    assert record["attempts"] == []
