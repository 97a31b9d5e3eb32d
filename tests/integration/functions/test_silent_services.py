"""The whole transcribe function when an AWS service accepts a call and never answers: real sockets and deadlines."""

import base64
import json
import secrets
import time
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
import trustme

from functions.authorizer import app as authorizer
from functions.transcribe import app as transcribe
from gateway import compose
from gateway.accounts.keys import Caller, Limits
from gateway.multipart import Part
from gateway.providers.operators import Operator
from gateway.settings import CatalogSettings
from gateway.store.dynamodb import aws
from gateway.store.dynamodb.credentials import credential_store
from gateway.store.dynamodb.keys import key_store
from gateway.store.dynamodb.limits import limit_store
from gateway.store.dynamodb.providers import provider_store
from gateway.store.dynamodb.uploads import upload_store
from gateway.store.dynamodb.usage import LOST_RECORD, usage_store
from gateway.uploads import Uploads
from tests.conftest import TestAws
from tests.hanging_proxy import HangingProxy, Holds, hanging_proxy
from tests.integration.conftest import CACHED
from tests.integration.functions.test_faults import AUDIO
from tests.lambda_context import LambdaContext
from tests.misbehaving_server import MisbehavingServer

# The function's own time; by then it must have answered and kept its record.
FUNCTION_SECONDS = 11.0
MODEL, KEY = "m", "sk-silent-0000000000000000"


@pytest.fixture
def proxy(embedded_aws: TestAws, monkeypatch: pytest.MonkeyPatch) -> Iterator[HangingProxy]:
    with hanging_proxy(embedded_aws.endpoint) as (url, running):
        for function in embedded_aws.template.functions().values():
            for name, value in function.environment.items():
                monkeypatch.setenv(name, value)
        for name, value in embedded_aws.environment("TranscribeFunction").items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        monkeypatch.setenv("ALLOW_PRIVATE_PROVIDERS", "true")
        monkeypatch.setenv("POWERTOOLS_METRICS_DISABLED", "true")
        queue = f"{url}/{embedded_aws.template.reference('UsageRetryQueue').split('/', 3)[3]}"
        monkeypatch.setenv("USAGE_QUEUE_URL", queue)
        for cached in (*CACHED, compose.transcription):
            cached.cache_clear()
        yield running
        compose.transcription.cache_clear()
        for cached in CACHED:
            cached.cache_clear()


@pytest.fixture
def user(proxy: HangingProxy) -> Iterator[str]:
    """A user with every kind of limit, and a provider of their own with a credential that answers."""
    name = f"u{secrets.token_hex(6)}"
    with MisbehavingServer(trustme.CA(), tls=False) as server:
        service = {
            "name": "asr",
            "type": "stt",
            "engine": "other",
            "url": server.url("ok"),
            "models": [{"id": MODEL}],
            "api_key": "a-secret-of-the-server",
        }
        parsed = {
            "schema_version": 1,
            "agent": {"name": "home"},
            "hosts": [{"id": "h", "services": [service]}],
        }
        dialable = CatalogSettings(provider_online_seconds=120, allow_private=True)
        operator = Operator(
            name,
            provider_store(),
            credential_store(),
            dialable,
            time.time(),
            is_own_key=lambda _: False,
        )
        operator.upload_manifest({"parsed": parsed})
        yield name
        compose.transcription().client.close()


def transcribed(
    user: str, *fields: tuple[str, str], audio: bytes = AUDIO
) -> tuple[int, dict[str, str], float]:
    """Status, headers and seconds of one transcription."""
    boundary = secrets.token_hex(8)
    texts = "".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in (("model", MODEL), *fields)
    )
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"\r\nContent-Type: audio/wav\r\n\r\n'
    body = texts.encode() + head.encode() + audio + f"\r\n--{boundary}--\r\n".encode()
    caller = Caller(user, "key_1", limits=Limits(1000, 100_000))
    event = {
        "path": "/v1/audio/transcriptions",
        "httpMethod": "POST",
        "headers": {"content-type": f"multipart/form-data; boundary={boundary}"},
        "requestContext": {"requestId": "r", "authorizer": caller.to_context()},
        "body": base64.b64encode(body).decode(),
        "isBase64Encoded": True,
    }
    started = time.monotonic()
    answer = transcribe.handler(event, LambdaContext(seconds=FUNCTION_SECONDS))
    headers = {name: values[0] for name, values in answer["multiValueHeaders"].items()}
    return answer["statusCode"], headers, time.monotonic() - started


def kept(user: str) -> list[dict[str, Any]]:
    return list(aws.query(usage_store().table, f"user#{user}"))


def calls(operation: str, table: str = "") -> Callable[[str, bytes], bool]:
    """Selects the calls of one operation, and of one table if given."""
    return lambda headers, body: f".{operation}" in headers and table.encode() in body


SILENT: dict[str, tuple[Callable[[], Holds], int]] = {
    # What is silent, and the status that the caller gets all the same.
    "limits": (lambda: calls("UpdateItem", limit_store().table), 200),
    "catalog": (lambda: calls("Query", provider_store().table), 500),
    "heads": (lambda: calls("BatchGetItem", provider_store().table), 500),
    "credentials": (lambda: lambda headers, _: "TrentService." in headers, 502),
}


@pytest.mark.parametrize("service", SILENT)
def test_a_service_that_never_answers_costs_neither_the_record_nor_the_answer(
    service: str, proxy: HangingProxy, user: str
) -> None:
    holds, expected = SILENT[service]
    proxy.holds = holds()
    status, headers, took = transcribed(user)
    proxy.holds = lambda headers, body: False
    assert proxy.held
    assert (status, took < FUNCTION_SECONDS) == (expected, True)
    assert headers.get("x-should-retry") == (None if status == 200 else "false")
    assert [each["http_status"] for each in kept(user)] == [expected]


def test_an_upload_that_never_arrives_costs_neither_the_record_nor_the_answer(
    proxy: HangingProxy, user: str
) -> None:
    uploads = Uploads(user, upload_store(), time.time())
    body = {"bytes": len(AUDIO), "filename": "a.wav", "mime_type": "audio/wav", "purpose": "user_data"}
    upload = uploads.create(body)["id"]
    part = uploads.add_part(upload, [Part("data", None, memoryview(AUDIO))])["id"]
    uploads.complete(upload, {"part_ids": [part]})
    proxy.holds = lambda headers, _: headers.startswith("GET ") and f"/uploads/{user}/" in headers
    status, headers, took = transcribed(user, ("file_id", upload), audio=b"")
    assert proxy.held
    assert (status, headers["x-should-retry"], took < FUNCTION_SECONDS) == (500, "false", True)
    assert [each["error_type"] for each in kept(user)] == ["api_error"]


def test_a_table_that_never_answers_leaves_the_record_in_the_queue(
    proxy: HangingProxy, user: str, embedded_aws: TestAws
) -> None:
    proxy.holds = calls("PutItem", usage_store().table)
    status, _, took = transcribed(user)
    assert proxy.held
    assert (status, took < FUNCTION_SECONDS) == (200, True)
    sqs = boto3.client("sqs", endpoint_url=embedded_aws.endpoint, region_name="us-east-1")
    messages = sqs.receive_message(QueueUrl=usage_store().queue_url, MaxNumberOfMessages=10)["Messages"]
    assert user in [json.loads(each["Body"])["user_id"] for each in messages]


def test_a_table_and_a_queue_that_never_answer_leave_the_record_in_the_log(
    proxy: HangingProxy, user: str, caplog: pytest.LogCaptureFixture
) -> None:
    put = calls("PutItem", usage_store().table)
    proxy.holds = lambda headers, body: put(headers, body) or "AmazonSQS." in headers
    status, _, took = transcribed(user)
    assert (status, took < FUNCTION_SECONDS) == (200, True)
    (lost,) = [each for each in caplog.records if each.getMessage() == LOST_RECORD]
    assert lost.__dict__["record"]["user_id"] == user


def test_the_authorizer_fails_within_its_time_when_the_table_never_answers(proxy: HangingProxy) -> None:
    key_store().create("alice", key=KEY)
    proxy.holds = calls("GetItem")
    event = {
        "authorizationToken": f"Bearer {KEY}",
        "methodArn": "arn:aws:execute-api:r:a:api/stage/GET/v1/models",
    }
    started = time.monotonic()
    with pytest.raises(aws.StoreError):
        authorizer.handler(event, LambdaContext(seconds=FUNCTION_SECONDS))
    assert proxy.held
    assert time.monotonic() - started < FUNCTION_SECONDS
