"""Adds usage records from their table's stream to the daily totals."""

from typing import Any

from gateway.store.dynamodb.totals import totals_store


def handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    """Takes a batch of a DynamoDB stream, in order; the batch is retried from the first record not counted."""
    first = totals_store().count_batch(event["Records"])
    return {"batchItemFailures": [{"itemIdentifier": first}] if first else []}
