"""The uploads handler, and transcribe with a file_id, with the template's table and bucket."""

import hashlib
import json
import os
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from typing import Any

import pytest
import trustme

from functions.agents import app as agents
from functions.uploads import app as uploads_app
from gateway import compose
from gateway.errors import Conflict, InvalidRequest, NotFound, RateLimited
from gateway.multipart import Part
from gateway.store.dynamodb import aws
from gateway.store.dynamodb.uploads import upload_store
from gateway.uploads import Uploads
from tests.conftest import TestAws
from tests.integration.conftest import CACHED
from tests.integration.uploads_client import EVENT, Client, call
from tests.lambda_context import LambdaContext
from tests.misbehaving_server import MisbehavingServer
from tests.template import Template

CACHES: tuple[Callable[..., Any], ...] = (*CACHED, compose.transcription)


@pytest.fixture(scope="module")
def cloud(embedded_aws: TestAws) -> Iterator[Template]:
    """An environment that points the handlers to an AWS with the template's resources."""
    local = {"ALLOW_PRIVATE_PROVIDERS": "true", "POWERTOOLS_METRICS_DISABLED": "true"}
    with pytest.MonkeyPatch.context() as patch:
        for function in embedded_aws.template.functions():
            for name, value in (embedded_aws.environment(function) | local).items():
                patch.setenv(name, value)
        forget()
        yield embedded_aws.template
        compose.transcription().client.close()
        for service in ("dynamodb", "s3", "sqs", "kms"):
            aws.client(service).close()
    forget()


def forget() -> None:
    for each in CACHES:
        each.cache_clear()  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def provider(cloud: Template) -> Iterator[MisbehavingServer]:
    """A provider of the model `m` that keeps what it receives."""
    with MisbehavingServer(trustme.CA(), tls=False) as server:
        service = {"name": "asr", "type": "stt", "engine": "vllm", "url": server.url("ok")}
        parsed = {
            "schema_version": 1,
            "agent": {"name": "home"},
            "hosts": [{"id": "h", "services": [service | {"models": [{"id": "m"}]}]}],
        }
        body = json.dumps({"raw_yaml": "", "parsed": parsed})
        path = "/api/inference/agent/manifest"
        status, answer = call(agents.handler, path, body, "application/json", method="PUT")
        assert status == 200, answer
        yield server


@pytest.fixture
def ulla(cloud: Template) -> Iterator[Client]:
    """A user only for these tests, without uploads from earlier ones."""
    yield Client()
    for item in aws.query(os.environ["UPLOADS_TABLE"], "user#ulla"):
        key = {name: {"S": item[name]} for name in ("pk", "sk")}
        aws.client("dynamodb").delete_item(TableName=os.environ["UPLOADS_TABLE"], Key=key)


def uploads(now: float | None = None, user: str = "ulla") -> Uploads:
    return Uploads(user, upload_store(), time.time() if now is None else now)


def data(content: bytes) -> list[Part]:
    return [Part("data", None, memoryview(content))]


def age(upload_id: str, seconds: int) -> None:
    """Make an upload look older, instead of waiting."""
    aws.client("dynamodb").update_item(
        TableName=os.environ["UPLOADS_TABLE"],
        Key={"pk": {"S": "user#ulla"}, "sk": {"S": f"upload#{upload_id}"}},
        UpdateExpression="SET expires_at = expires_at - :seconds",
        ExpressionAttributeValues=aws.encode({":seconds": seconds}),
    )


def keys() -> list[str]:
    listed = aws.client("s3").list_objects_v2(Bucket=os.environ["UPLOADS_BUCKET"])
    return [each["Key"] for each in listed.get("Contents", [])]


def test_the_event_in_the_readme_starts_an_upload(ulla: Client) -> None:
    reply = uploads_app.handler(deepcopy(EVENT), LambdaContext())
    upload = json.loads(reply["body"])
    assert reply["statusCode"] == 200
    assert uuid.UUID(reply["multiValueHeaders"]["x-request-id"][0]).version == 7
    assert (upload["status"], upload["bytes"], upload["file"]) == (
        "pending",
        json.loads(EVENT["body"])["bytes"],
        None,
    )


def test_a_file_id_is_transcribed_like_the_uploaded_bytes(ulla: Client, provider: MisbehavingServer) -> None:
    contents = [os.urandom(300_000) for _ in range(12)]
    upload = ulla.upload(*contents)
    status, body = ulla.transcribe(file_id=upload["file"]["id"], file=("", b""))
    assert (status, body["text"]) == (200, "one two three")
    received = provider.received("ok")[-1]
    assert received.file == b"".join(contents)
    assert (received.filename, received.file_content_type) == ("audio.wav", "audio/wav")


def test_a_file_can_be_transcribed_again_until_it_expires(ulla: Client, provider: MisbehavingServer) -> None:
    upload = ulla.upload(b"abc")
    for _ in range(2):
        assert ulla.transcribe(file_id=upload["file"]["id"])[0] == 200
    age(upload["id"], 3600)
    status, body = ulla.transcribe(file_id=upload["file"]["id"])
    assert (status, body["error"]["type"], body["error"]["param"]) == (404, "not_found", "file_id")


def test_an_unknown_unfinished_or_foreign_file_is_the_same_not_found(
    ulla: Client, provider: MisbehavingServer
) -> None:
    unfinished = ulla.create(1)
    other = ulla.upload(b"abc")["file"]["id"]
    answers = [
        ulla.transcribe(file_id="file-" + "0" * 32),
        ulla.transcribe(file_id=unfinished.replace("upload_", "file-")),
        Client("boris").transcribe(file_id=other),
    ]
    assert answers[0][0] == 404
    assert answers.count(answers[0]) == 3


def test_a_file_with_a_non_audio_media_type_is_refused_like_any_other(ulla: Client, cloud: Template) -> None:
    upload = ulla.upload(b"abc", mime_type="text/plain")
    assert ulla.transcribe(file_id=upload["file"]["id"])[0] == 415


def test_parts_may_arrive_at_once_out_of_order_and_twice(ulla: Client) -> None:
    contents = [os.urandom(20_000) for _ in range(10)]
    whole = b"".join(contents)
    upload_id = ulla.create(len(whole))
    sent = contents[::-1] + contents
    with ThreadPoolExecutor(8) as pool:
        parts = list(pool.map(lambda each: uploads().add_part(upload_id, data(each)), sent))
    ids = [part["id"] for part in parts]
    assert ids[:10][::-1] == ids[10:]
    status, first = ulla.complete(upload_id, ids[10:], md5=hashlib.md5(whole).hexdigest())
    assert status == 200
    assert ulla.complete(upload_id, ids[10:], md5=hashlib.md5(whole).hexdigest()) == (200, first)
    assert uploads().open_file(first["file"]["id"])[0] == whole


def test_parts_that_arrive_at_once_never_exceed_the_declared_size(ulla: Client) -> None:
    upload_id = ulla.create(10)

    def send(number: int) -> bool:
        try:
            uploads().add_part(upload_id, data(bytes([number] * 3)))
        except InvalidRequest:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(send, range(12))) == 3


def test_twenty_of_thirty_concurrent_uploads_are_opened(ulla: Client) -> None:
    body = {"bytes": 1, "filename": "a", "mime_type": "audio/wav", "purpose": "user_data"}

    def create(_: int) -> bool:
        try:
            uploads().create(body)
        except RateLimited:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(create, range(30))) == 20
    later = uploads(time.time() + 3601)
    for _ in range(20):
        assert later.create(body)


def test_finished_and_cancelled_uploads_make_room(ulla: Client) -> None:
    cancelled, finished = [ulla.create(3) for _ in range(20)][:2]
    assert ulla.post(f"/{cancelled}/cancel")[0] == 200
    assert ulla.complete(finished, [ulla.add_part(finished, b"abc")[1]["id"]])[0] == 200
    assert ulla.create(3)
    assert ulla.create(3)
    body = {"bytes": 3, "filename": "a", "mime_type": "audio/wav", "purpose": "user_data"}
    status, answer = ulla.post("", body)
    assert (status, answer["error"]["code"]) == (429, "quota_exceeded")


def test_a_part_is_stored_by_user_and_upload_and_never_by_filename(ulla: Client) -> None:
    upload = ulla.upload(b"abc", filename="../../bob/upload_1/part_1")
    (key,) = [key for key in keys() if upload["id"] in key]
    assert key.startswith(f"uploads/ulla/{upload['id']}/part_")


def test_cancelling_deletes_the_parts(ulla: Client) -> None:
    upload_id = ulla.create(6)
    ulla.add_part(upload_id, b"abc")
    assert ulla.post(f"/{upload_id}/cancel")[1]["status"] == "cancelled"
    assert not any(upload_id in key for key in keys())
    status, body = ulla.add_part(upload_id, b"abc")
    assert (status, body["error"]["type"]) == (409, "conflict")


def test_a_wrong_md5_is_detected_in_the_stored_bytes(ulla: Client) -> None:
    upload_id = ulla.create(3)
    part_ids = [ulla.add_part(upload_id, b"abc")[1]["id"]]
    status, body = ulla.complete(upload_id, part_ids, md5="0" * 32)
    assert (status, body["error"]["param"]) == (400, "md5")
    assert ulla.complete(upload_id, part_ids, md5=hashlib.md5(b"abc").hexdigest())[0] == 200


def test_an_expired_upload_is_a_conflict_until_the_table_deletes_it(ulla: Client) -> None:
    upload_id = ulla.create(3)
    part_ids = [ulla.add_part(upload_id, b"abc")[1]["id"]]
    age(upload_id, 3600)
    for status, body in (ulla.add_part(upload_id, b"abc"), ulla.complete(upload_id, part_ids)):
        assert (status, body["error"]["type"]) == (409, "conflict")
        assert "expired" in body["error"]["message"]


def test_an_upload_that_expires_during_complete_is_not_completed(ulla: Client) -> None:
    upload_id = ulla.create(3)
    uploads().add_part(upload_id, data(b"abc"))
    store = upload_store()
    upload = store.upload("ulla", upload_id)
    assert upload is not None
    age(upload_id, 3600)
    assert not store.complete(upload, tuple(upload.parts), None, int(time.time()))


def test_another_users_upload_is_not_found(ulla: Client) -> None:
    upload_id = ulla.create(3)
    boris = Client("boris")
    for status, body in (
        boris.add_part(upload_id, b"abc"),
        boris.complete(upload_id, ["part_1"]),
        boris.post(f"/{upload_id}/cancel"),
    ):
        assert (status, body["error"]["type"]) == (404, "not_found")


@pytest.mark.parametrize(
    ("body", "content_type", "param"),
    [
        ("", "application/json", "data"),
        (b"abc", "application/octet-stream", "data"),
        (
            b"--x\r\nContent-Disposition: form-data; name=data\r\n\r\nabc",
            "multipart/form-data; boundary=x",
            None,
        ),
        (b"abc", "multipart/form-data", None),
    ],
)
def test_a_part_that_is_not_a_form_is_refused(
    ulla: Client, body: str | bytes, content_type: str, param: str | None
) -> None:
    path = f"/v1/uploads/{ulla.create(3)}/parts"
    status, answer = call(uploads_app.handler, path, body, content_type)
    assert (status, answer["error"]["type"]) == (400, "invalid_request_error")
    assert answer["error"]["param"] == param


def test_a_part_over_the_limit_of_one_aws_request_is_too_large(ulla: Client) -> None:
    upload_id = ulla.create(26_214_400)
    assert ulla.add_part(upload_id, bytes(4_400_000))[0] == 200
    status, body = ulla.add_part(upload_id, bytes(4_400_001))
    assert (status, body["error"]["type"]) == (413, "file_too_large")


@pytest.mark.parametrize("body", ["", "{", "[]", "null", "[" * 100_000])
def test_a_body_that_is_not_a_json_object_is_refused(ulla: Client, body: str) -> None:
    status, answer = ulla.post("", body)
    assert (status, answer["error"]["type"]) == (400, "invalid_request_error")


def test_another_method_or_path_is_not_found(ulla: Client) -> None:
    assert call(uploads_app.handler, "/v1/uploads", "", "application/json", method="GET")[0] == 404
    assert ulla.post("/x/y")[0] == 404


def test_no_log_line_has_the_filename(
    ulla: Client, provider: MisbehavingServer, capfd: pytest.CaptureFixture[str]
) -> None:
    upload = ulla.upload(b"abc", filename="my-secret-meeting.wav")
    ulla.transcribe(file_id=upload["file"]["id"])
    ulla.complete(upload["id"], ["part_1"])
    captured = capfd.readouterr()
    assert "secret" not in captured.out + captured.err


def test_uploads_of_usernames_that_look_like_paths_stay_separate(ulla: Client) -> None:
    bodies = {user: os.urandom(100) for user in ("..", ".", "a.b", "ulla")}
    made = {user: Client(user).upload(content) for user, content in bodies.items()}
    for user, content in bodies.items():
        assert uploads(user=user).open_file(made[user]["id"])[0] == content
        for other in bodies.keys() - {user}:
            with pytest.raises(NotFound):
                uploads(user=other).open_file(made[user]["id"])


def test_the_bucket_is_private_and_encrypted_and_deletes_old_objects(cloud: Template) -> None:
    ((_, bucket),) = cloud.resources("AWS::S3::Bucket")
    ((_, policy),) = cloud.resources("AWS::S3::BucketPolicy")
    assert all(bucket["PublicAccessBlockConfiguration"].values())
    assert len(bucket["PublicAccessBlockConfiguration"]) == 4
    assert bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert [rule["ExpirationInDays"] for rule in bucket["LifecycleConfiguration"]["Rules"]] == [1]
    (statement,) = policy["PolicyDocument"]["Statement"]
    assert statement["Effect"] == "Deny"
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_a_stored_part_of_another_size_is_an_error_not_silence(ulla: Client) -> None:
    upload = ulla.upload(b"abc")
    (key,) = [key for key in keys() if upload["id"] in key]
    for content in (b"ab", b"abcd"):
        aws.client("s3").put_object(Bucket=os.environ["UPLOADS_BUCKET"], Key=key, Body=content)
        status, body = ulla.transcribe(file_id=upload["file"]["id"])
        assert (status, body["error"]["type"]) == (500, "api_error")


def test_complete_and_cancel_at_once_leave_one_of_the_two(ulla: Client) -> None:
    for _ in range(5):
        upload_id = ulla.create(3)
        part_id = uploads().add_part(upload_id, data(b"abc"))["id"]
        with ThreadPoolExecutor(2) as pool:
            complete = pool.submit(uploads().complete, upload_id, {"part_ids": [part_id]})
            cancel = pool.submit(uploads().cancel, upload_id)
        errors = [error for error in (complete.exception(), cancel.exception()) if error]
        assert [type(error) for error in errors] == [Conflict]
