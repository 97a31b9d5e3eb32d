"""Writes usage records whose first write failed from the queue to the table."""

from typing import Any

from gateway.store.dynamodb.usage import usage_store


def handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    """Takes an SQS batch; reports what it cannot write now, which stays in the queue."""
    failed = usage_store().write_messages(event["Records"])
    return {"batchItemFailures": [{"itemIdentifier": message} for message in failed]}
