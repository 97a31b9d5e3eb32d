"""`gateway-admin usage`: what users are told, on this machine and on AWS, and lost records on AWS."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from admin.cli import app
from gateway.store.dynamodb import aws
from gateway.store.dynamodb.usage import LOST_RECORD, usage_store
from tests.integration.admin.conftest import Administered, create_stack, listed, run, usage_record

NEW_YEAR = datetime(2026, 1, 1, 12, tzinfo=UTC).timestamp()
DAY = 86_400
JANUARY = ("--start", "2026-01-01", "--end", "2026-01-31")


# --- show


@pytest.fixture
def used(gateway: Administered) -> Administered:
    """alice sent two requests of ten seconds, on two days."""
    for number in (0, 1):
        gateway.record(usage_record(number, started_at=NEW_YEAR + number * DAY))
    return gateway


@pytest.mark.usefixtures("used")
def test_a_users_usage_is_what_the_user_would_be_told() -> None:
    answer = listed("usage", "show", "alice", *JANUARY)
    assert [row["date"] for row in answer["data"]] == ["2026-01-01", "2026-01-02"]
    assert answer["total"] == {"requests": 2, "failed": 0, "seconds": 20}


@pytest.mark.usefixtures("used")
def test_usage_is_shown_by_model_with_its_total() -> None:
    lines = run("usage", "show", "alice", *JANUARY, "--by", "model").stdout.splitlines()
    assert lines[0].split() == ["model", "requests", "failed", "seconds"]
    assert [line.split() for line in lines[2:]] == [["whisper", "2", "0", "20"], ["total", "2", "0", "20"]]


@pytest.mark.usefixtures("used")
def test_an_operators_usage_is_what_the_operators_providers_served() -> None:
    assert listed("usage", "show", "bob", *JANUARY)["total"]["requests"] == 0
    assert listed("usage", "show", "bob", *JANUARY, "--operator")["total"]["seconds"] == 20


@pytest.mark.usefixtures("gateway")
def test_a_user_without_usage_is_not_an_error() -> None:
    shown = run("usage", "show", "alice", *JANUARY).stdout
    assert shown == "alice has no usage from 2026-01-01 to 2026-01-31\n"


def test_days_in_the_wrong_order_are_refused() -> None:
    refused = run("usage", "show", "alice", "--start", "2026-02-01", "--end", "2026-01-01", status=1)
    assert "must not be after" in refused.stderr


# --- replay


@pytest.fixture
def _stack(in_process_aws: object, monkeypatch: pytest.MonkeyPatch) -> None:
    queue = aws.client("sqs").create_queue(QueueName="dead")["QueueUrl"]
    create_stack("prod", outputs={"UsageDeadLetters": queue})
    monkeypatch.setenv("STT_GATEWAY_STACK", "prod")


on_aws = pytest.mark.usefixtures("_stack")


def record(number: int) -> dict[str, Any]:
    return {
        "user_id": "alice",
        "time": f"2026-01-0{number}T00:00:00.000Z",
        "request_id": f"r{number}",
        "seconds": None,
    }


def line(number: int) -> str:
    return json.dumps({"level": "ERROR", "message": LOST_RECORD, "record": record(number)})


def kept() -> list[str]:
    return [each["request_id"] for each in aws.query(usage_store().table, "user#alice")]


def replay(*arguments: str, status: int = 0, stdin: str | None = None) -> str:
    result = CliRunner().invoke(app, ["usage", "replay", *arguments], input=stdin)
    assert result.exit_code == status, result.output
    return result.output


@on_aws
def test_records_in_log_lines_are_written_and_other_lines_skipped(tmp_path: Path) -> None:
    other = json.dumps({"message": "unhandled", "record": {"request_id": "x"}})
    torn = f'{{"message": "{LOST_RECORD}", "record": {{"user_id"'
    logs = tmp_path / "logs"
    logs.write_text("\n".join([line(1), other, torn, f"2026-01-01T00:00:00Z {line(2)}", "START RequestId"]))
    assert "2 records written" in replay(str(logs))
    assert kept() == ["r1", "r2"]


@on_aws
def test_replaying_twice_writes_once(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    logs.write_text(line(1))
    replay(str(logs))
    replay(str(logs))
    assert kept() == ["r1"]


@on_aws
def test_standard_input_is_also_read() -> None:
    replay("-", stdin=line(1))
    assert kept() == ["r1"]


@on_aws
def test_dead_letters_are_written_and_deleted_and_other_messages_stay() -> None:
    sqs = aws.client("sqs")
    url = sqs.get_queue_url(QueueName="dead")["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody=json.dumps(record(1)))
    sqs.send_message(QueueUrl=url, MessageBody=json.dumps({"DDBStreamBatchInfo": {}}))
    assert "1 record written" in replay("--dead-letters")
    assert kept() == ["r1"]
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert int(attributes["ApproximateNumberOfMessagesNotVisible"]) == 1


def test_an_empty_replay_is_reported() -> None:
    assert "nothing to replay" in replay(status=1)


@pytest.mark.usefixtures("here")
def test_a_gateway_on_this_machine_has_nothing_to_replay() -> None:
    assert "only a gateway on AWS" in replay("-", status=1, stdin=line(1))
