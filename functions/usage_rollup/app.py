"""Usage records, from their table's stream, into the daily totals."""

from typing import Any

from gateway.observability import logger
from gateway.store.aws import StoreError, decode
from gateway.store.totals import totals_store


def handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    """A batch of a DynamoDB stream, in order; from the first record that cannot be counted now it comes again."""
    for record in event["Records"]:
        if record["eventName"] != "INSERT":
            continue
        try:
            totals_store().count(decode(record["dynamodb"]["NewImage"]))
        except StoreError as error:
            logger.warning("usage record is counted later", extra={"reason": type(error).__name__})
            return {"batchItemFailures": [{"itemIdentifier": record["dynamodb"]["SequenceNumber"]}]}
    return {"batchItemFailures": []}
