"""Write each usage record once per request id, to the table, the queue or the log. The table:

| pk | sk | holds |
|---|---|---|
| `user#<id>` | `<time>#<request id>` | one record; TTL deletes it at `expires_at` |
"""

import json
import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any

from gateway.accounts.limits import DAY_SECONDS
from gateway.observability import logger
from gateway.settings import usage_settings
from gateway.store.dynamodb import aws
from gateway.usage.record import Attempt, Duration, Record, timestamp

# The replay command searches the log for this name to find records that reached neither table nor queue.
LOST_RECORD = "usage_record_unwritten"
# Attributes with the same name as the record's field.
_SAME = (
    *("request_id", "user_id", "key_id", "api_gateway_request_id", "client_request_id"),
    *("model", "provider", "service", "format", "bytes", "requested_format", "returned_format", "language"),
    *("http_status", "error_type", "latency_ms"),
)

Item = Mapping[str, Any]


class UsageStore:
    """Records in the table named `table`, or in the queue at `queue_url` while the table does not answer."""

    def __init__(self, table: str, queue_url: str) -> None:
        self.table = table
        self.queue_url = queue_url

    def save(self, record: Record) -> None:
        """Write the record to the table, else to the queue, else to the log, before this returns. Keeps the deadline
        if that is at least 1.5 s away. Raises nothing."""
        item = item_of(record, usage_settings().retention_days)
        try:
            self.write(item)
        except aws.StoreError as error:
            logger.warning("usage record goes to the queue", extra={"reason": type(error).__name__})
            self._enqueue(item)

    def write(self, item: Item) -> None:
        """Write a record's item unless the request already has one. Raises a StoreError."""
        pk, sk = key_of(item)
        aws.conditionally(
            "put_item",
            TableName=self.table,
            Item=aws.encode({**item, "pk": pk, "sk": sk}),
            ConditionExpression="attribute_not_exists(pk)",
        )

    def write_messages(self, messages: Sequence[Mapping[str, Any]]) -> list[str]:
        """Write the records of an SQS batch. Returns the ids of the messages that could not be written."""
        failed = []
        for message in messages:
            try:
                self.write(json.loads(message["body"]))
            except (*aws.StoreError, ValueError, KeyError, TypeError) as error:  # a bad message fails alone
                logger.warning("usage record stays in the queue", extra={"reason": type(error).__name__})
                failed.append(str(message["messageId"]))
        return failed

    def _enqueue(self, item: Item) -> None:
        try:
            aws.client("sqs").send_message(QueueUrl=self.queue_url, MessageBody=json.dumps(item))
        except aws.StoreError:
            logger.error(LOST_RECORD, extra={"record": dict(item)})


def key_of(item: Item) -> tuple[str, str]:
    """The record's partition and sort key: by user, in order of time, unique per request id."""
    return f"user#{item['user_id']}", f"{item['time']}#{item['request_id']}"


def item_of(record: Record, retention_days: int) -> dict[str, Any]:
    """Convert a record to its item. The table may delete it at `expires_at` (epoch seconds)."""
    return {
        **{name: getattr(record, name) for name in _SAME},
        "time": timestamp(record.started_at),
        "seconds": record.duration.seconds,
        "seconds_source": record.duration.source,
        "provider_seconds": record.duration.provider_seconds,
        "billed_seconds": record.billed_seconds,
        "status": record.status,
        "attempts": [
            {"provider": each.provider, "outcome": each.outcome, "milliseconds": each.milliseconds}
            for each in record.attempts
        ],
        "expires_at": int(record.started_at) + retention_days * DAY_SECONDS,
    }


def record_of(item: Item) -> Record:
    """Reverse `item_of`. Raises KeyError or ValueError when the item is not a record."""
    known: dict[str, Any] = {name: item[name] for name in _SAME if name in item}
    return Record(
        **{"key_id": "", **known},
        started_at=datetime.fromisoformat(item["time"]).timestamp(),
        duration=Duration(item["seconds"], item["seconds_source"], item.get("provider_seconds")),
        attempts=tuple(Attempt(**each) for each in item.get("attempts") or ()),
    )


@cache
def usage_store() -> UsageStore:
    """The store of the table in USAGE_TABLE and the queue in USAGE_QUEUE_URL."""
    return UsageStore(os.environ["USAGE_TABLE"], os.environ["USAGE_QUEUE_URL"])
