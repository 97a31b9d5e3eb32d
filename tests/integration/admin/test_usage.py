"""`gateway-admin usage replay`: lost records are written, once."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from admin.cli import app
from gateway.store.dynamodb import aws
from gateway.store.dynamodb.usage import LOST_RECORD, usage_store

pytestmark = pytest.mark.usefixtures("in_process_aws")


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


def test_records_in_log_lines_are_written_and_other_lines_skipped(tmp_path: Path) -> None:
    other = json.dumps({"message": "unhandled", "record": {"request_id": "x"}})
    torn = f'{{"message": "{LOST_RECORD}", "record": {{"user_id"'
    logs = tmp_path / "logs"
    logs.write_text("\n".join([line(1), other, torn, f"2026-01-01T00:00:00Z {line(2)}", "START RequestId"]))
    assert "2 records written" in replay(str(logs))
    assert kept() == ["r1", "r2"]


def test_replaying_twice_writes_once(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    logs.write_text(line(1))
    replay(str(logs))
    replay(str(logs))
    assert kept() == ["r1"]


def test_standard_input_is_also_read() -> None:
    replay("-", stdin=line(1))
    assert kept() == ["r1"]


def test_dead_letters_are_written_and_deleted_and_other_messages_stay(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sqs = aws.client("sqs")
    url = sqs.create_queue(QueueName="dead")["QueueUrl"]
    monkeypatch.setenv("USAGE_DEAD_LETTERS_URL", url)
    sqs.send_message(QueueUrl=url, MessageBody=json.dumps(record(1)))
    sqs.send_message(QueueUrl=url, MessageBody=json.dumps({"DDBStreamBatchInfo": {}}))
    assert "1 record written" in replay("--dead-letters")
    assert kept() == ["r1"]
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert int(attributes["ApproximateNumberOfMessagesNotVisible"]) == 1


def test_an_empty_replay_is_reported() -> None:
    assert "nothing to replay" in replay(status=1)
