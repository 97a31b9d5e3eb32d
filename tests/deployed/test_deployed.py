"""The deployed application does what it is for, called as its users and operators call it."""

import json
import secrets
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import openai
import pytest
import requests

from local.deployment import ROOT, STACK, client, deploy, resource
from local.ministack import REGION
from tests import missing
from tests.deployed.conftest import Application
from tests.running import SAMPLE
from tests.stub_provider import TEXT, StubProvider

MODEL = "stub/asr"
MEGABYTE = 1_000_000
WAIT_SECONDS = 60.0


@pytest.fixture(scope="module")
def key(application: Application) -> str:
    """A key that gateway-admin made in the deployed table."""
    return application.admin("keys", "create", "alice")


@pytest.fixture(scope="module")
def stub(
    application: Application, key: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[StubProvider]:
    """A provider of alice's that she published with `gateway-admin publish`."""
    stub = StubProvider()
    publish(application, key, stub.url)
    yield stub
    stub.stop()


def publish(application: Application, key: str, url: str) -> None:
    service: dict[str, Any] = {"name": "asr", "type": "stt", "engine": "other", "url": url}
    service |= {"models": [{"hf": MODEL}], "api_key": "a-secret-of-the-server"}
    parsed: dict[str, Any] = {"schema_version": 1, "agent": {"name": "home"}}
    parsed |= {"hosts": [{"id": "rig", "services": [service]}]}
    answer = requests.put(
        f"{application.deployment.url}/api/inference/agent/manifest",
        json={"raw_yaml": "", "parsed": parsed},
        headers={"Authorization": f"Bearer {key}"},
        timeout=60,
    )
    assert answer.json()["errors"] == []


@pytest.fixture(scope="module")
def sdk(application: Application, key: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{application.deployment.url}/v1", api_key=key, timeout=60) as sdk:
        yield sdk


def until(answer: Callable[[], Any], is_so: Callable[[Any], bool]) -> Any:
    """The first answer for which it is so."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not is_so(found := answer()):
        assert time.monotonic() < deadline, found
        time.sleep(0.2)
    return found


def usage(application: Application, key: str, **query: str) -> Any:
    answer = requests.get(
        f"{application.deployment.url}/v1/usage",
        params=query,
        headers={"Authorization": f"Bearer {key}"},
        timeout=60,
    )
    assert answer.status_code == 200, answer.text
    return answer.json()["total"]


def test_a_published_model_is_listed_and_retrieved(sdk: openai.OpenAI, stub: StubProvider) -> None:
    assert [each.id for each in sdk.models.list()] == [MODEL]
    assert sdk.models.retrieve(MODEL).id == MODEL


def test_the_sdk_transcribes_and_the_provider_gets_the_audio_with_its_credential(
    sdk: openai.OpenAI, stub: StubProvider
) -> None:
    with SAMPLE.open("rb") as file:
        assert sdk.audio.transcriptions.create(model=MODEL, file=file).text == TEXT
    assert stub.asked[-1].file.content == SAMPLE.read_bytes()
    assert stub.asked[-1].headers["authorization"] == "Bearer a-secret-of-the-server"


@missing.needs(missing.CURL)
def test_curl_transcribes(application: Application, key: str, stub: StubProvider) -> None:
    address = f"{application.deployment.url}/v1/audio/transcriptions"
    form = ("-F", f"model={MODEL}", "-F", f"file=@{SAMPLE}")
    command = ["curl", "-sS", address, "-H", f"Authorization: Bearer {key}", *form]
    done = subprocess.run(command, capture_output=True, check=True, timeout=120)
    assert json.loads(done.stdout) == {"text": TEXT, "usage": {"type": "duration", "seconds": 3}}


@pytest.mark.parametrize("size", [8 * MEGABYTE, pytest.param(26_214_400, marks=pytest.mark.slow)])
def test_audio_too_large_for_one_request_goes_through_an_upload(
    sdk: openai.OpenAI, stub: StubProvider, size: int
) -> None:
    audio = SAMPLE.read_bytes().ljust(size, b"\0")
    made = sdk.uploads.upload_file_chunked(
        file=audio,
        filename="talk.wav",
        bytes=len(audio),
        mime_type="audio/wav",
        purpose="user_data",
        part_size=4 * MEGABYTE,
    )
    assert made.file is not None
    said = sdk.audio.transcriptions.create(model=MODEL, file=b"", extra_body={"file_id": made.file.id})
    assert said.text == TEXT
    assert stub.asked[-1].file.content == audio


def test_a_transcription_reaches_the_daily_totals_through_the_stream(
    application: Application, stub: StubProvider
) -> None:
    key = application.admin("keys", "create", "bob")
    publish(application, key, stub.url)
    with (
        openai.OpenAI(base_url=f"{application.deployment.url}/v1", api_key=key, timeout=60) as own,
        SAMPLE.open("rb") as file,
    ):
        own.audio.transcriptions.create(model=MODEL, file=file)
    total = until(lambda: usage(application, key), lambda total: total["requests"] > 0)
    assert total == {"requests": 1, "failed": 0, "seconds": 3}


def test_a_record_in_the_retry_queue_reaches_the_table_and_the_totals(application: Application) -> None:
    key = application.admin("keys", "create", "carol")
    batch = json.loads((ROOT / "events" / "usage_retry_batch.json").read_text())
    record = json.loads(batch["Records"][0]["body"]) | {"user_id": "carol", "request_id": secrets.token_hex()}
    queue = resource(application.endpoint, STACK, "UsageRetryQueue")
    for _ in range(2):
        client("sqs", application.endpoint).send_message(QueueUrl=queue, MessageBody=json.dumps(record))
    day = record["time"][:10]
    total = until(
        lambda: usage(application, key, start=day, end=day),
        lambda total: total["requests"] > 0 and not waiting(application, queue),
    )
    assert total == {"requests": 1, "failed": 0, "seconds": 3}


def waiting(application: Application, queue: str) -> int:
    """Messages that are in a queue or in the hands of its reader."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    asked = client("sqs", application.endpoint).get_queue_attributes(QueueUrl=queue, AttributeNames=names)
    return sum(int(asked["Attributes"][name]) for name in names)


def test_env_json_names_what_the_stack_has(application: Application) -> None:
    given = json.loads((ROOT / "events" / "env.json").read_text())["Parameters"]
    functions = client("lambda", application.endpoint).list_functions()["Functions"]
    deployed: dict[str, str] = {}
    for function in functions:
        deployed |= function["Environment"]["Variables"]
    for name in given:
        if name.endswith("_TABLE"):
            assert given[name] == deployed[name]
    assert urlsplit(given["USAGE_QUEUE_URL"]).path == urlsplit(deployed["USAGE_QUEUE_URL"]).path


def healthz(application: Application) -> int:
    return requests.get(f"{application.deployment.url}/healthz", timeout=60).status_code


def test_a_functions_role_may_do_what_its_policy_says_and_nothing_else(application: Application) -> None:
    """With the emulator's own evaluation of policies: without it the tests before would prove no permission."""
    role = resource(application.endpoint, STACK, "AuthorizerFunctionRole")
    keys, usage_table = (
        application.deployment.outputs["KeysTable"],
        application.deployment.outputs["UsageTable"],
    )
    dynamodb = assuming(application.endpoint, role)
    item = {"pk": {"S": "key#x"}, "sk": {"S": "key"}}
    assert "Item" not in dynamodb.get_item(TableName=keys, Key=item)
    with pytest.raises(dynamodb.exceptions.ClientError, match="AccessDenied"):
        dynamodb.put_item(TableName=keys, Item=item)
    with pytest.raises(dynamodb.exceptions.ClientError, match="AccessDenied"):
        dynamodb.get_item(TableName=usage_table, Key=item)


def assuming(endpoint: str, role: str) -> Any:
    """A client of DynamoDB with the permissions of a role."""
    arn = client("iam", endpoint).get_role(RoleName=role)["Role"]["Arn"]
    given = client("sts", endpoint).assume_role(RoleArn=arn, RoleSessionName="test")["Credentials"]
    return boto3.client(
        "dynamodb",
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id=given["AccessKeyId"],
        aws_secret_access_key=given["SecretAccessKey"],
        aws_session_token=given["SessionToken"],
    )


def test_a_stack_is_updated_in_place_and_deleted(emulator: str, built: Path) -> None:
    """In a stack of its own, because the others need theirs."""
    name = "stt-gateway-second"
    first = Application(emulator, deploy(emulator, built, stack=name))
    key = first.admin("keys", "create", "alice", stack=name)
    second = Application(
        emulator, deploy(emulator, built, stack=name, ThrottleRatePerSecond="1", ThrottleBurst="2")
    )
    assert second.deployment == first.deployment
    assert usage(second, key) == {"requests": 0, "failed": 0, "seconds": 0}
    until(lambda: healthz(second), lambda status: status == 429)

    cloudformation = client("cloudformation", emulator)
    cloudformation.delete_stack(StackName=name)
    cloudformation.get_waiter("stack_delete_complete").wait(StackName=name, WaiterConfig={"Delay": 1})
    tables = client("dynamodb", emulator).list_tables()["TableNames"]
    kept = {table.split("-")[3] for table in tables if table.startswith(name)}
    assert kept == {"KeysTable", "UsageTable", "TotalsTable"}
