"""Usage records whose first write failed, from the queue into the table."""

from typing import Any

from gateway.store.dynamodb.usage import usage_store


def handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    """An SQS batch; what cannot be written now is reported back and stays in the queue."""
    failed = usage_store().write_messages(event["Records"])
    return {"batchItemFailures": [{"itemIdentifier": message} for message in failed]}
