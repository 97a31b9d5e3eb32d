"""`usage`: recovers records that could not be written in time."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from admin.stack import Stack, dead_letters_of, refusals_in_words, usage_store
from admin.terminal import fail
from gateway.store.dynamodb import aws
from gateway.store.dynamodb.usage import LOST_RECORD

app = typer.Typer(name="usage", help="Usage records.", no_args_is_help=True, rich_markup_mode=None)

_REQUIRED = ("user_id", "time", "request_id")


@app.callback()
def usage() -> None:
    """Usage records."""


@app.command()
def replay(
    logs: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Log files, as CloudWatch exports them. Use - for standard input.", allow_dash=True
        ),
    ] = None,
    dead_letters: Annotated[
        bool, typer.Option("--dead-letters", help="Also write the records in the stack's dead-letter queue.")
    ] = False,
    stack: Stack = None,
) -> None:
    """Write lost records, found in log lines with usage_record_unwritten, to the table. Existing records stay."""
    if not logs and not dead_letters:
        fail("nothing to replay: give log files or --dead-letters")
    with refusals_in_words():
        store = usage_store(stack)
        written = 0
        for path in logs or ():
            for record in _records_in(path):
                store.write(record)
                written += 1
        if dead_letters:
            for record in _dead_letters(dead_letters_of(stack)):
                store.write(record)
                written += 1
    typer.echo(f"{written} record{'' if written == 1 else 's'} written or already present")


def _records_in(path: Path) -> Iterator[dict[str, Any]]:
    """The lost records in one file; skips other lines."""
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


def _dead_letters(queue_url: str) -> Iterator[dict[str, Any]]:
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
