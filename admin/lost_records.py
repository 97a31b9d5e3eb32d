"""Finds usage records that could not be written on AWS: in logs, and in a queue of dead letters."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from gateway.store.dynamodb import aws
from gateway.store.dynamodb.usage import LOST_RECORD

_REQUIRED = ("user_id", "time", "request_id")


def in_file(path: Path) -> Iterator[dict[str, Any]]:
    """The lost records in one log file; skips other lines. `-` is standard input."""
    stream = typer.get_text_stream("stdin") if str(path) == "-" else path.open(encoding="utf-8")
    with stream:
        for line in stream:
            # CloudWatch exports put a time before the line.
            start = line.find("{")
            if LOST_RECORD not in line or start < 0:
                continue
            try:
                record = json.loads(line[start:]).get("record")
            except (ValueError, AttributeError):
                continue
            if _is_record(record):
                yield record


def in_queue(queue_url: str) -> Iterator[dict[str, Any]]:
    """The records in a queue; deletes each message after its record is written. Other messages stay: a stream's note
    about an uncounted batch names the batch, but holds no record."""
    sqs = aws.client("sqs")
    while messages := sqs.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10).get("Messages"):
        for message in messages:
            try:
                record = json.loads(message["Body"])
            except ValueError:
                continue
            if _is_record(record):
                yield record
                sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])


def _is_record(record: Any) -> bool:
    return isinstance(record, dict) and all(isinstance(record.get(name), str) for name in _REQUIRED)
