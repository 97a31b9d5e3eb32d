"""Usage records, from their table's stream, into the daily totals."""

from typing import Any

from gateway.store.dynamodb.totals import totals_store


def handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    """A batch of a DynamoDB stream, in order; from the first record that cannot be counted now it comes again."""
    first = totals_store().count_batch(event["Records"])
    return {"batchItemFailures": [{"itemIdentifier": first}] if first else []}
