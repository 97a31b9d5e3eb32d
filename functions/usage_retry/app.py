"""Usage records whose first write failed, from the queue into the table."""

import json
from typing import Any

from gateway.observability import logger
from gateway.store.aws import StoreError
from gateway.store.usage import usage_store


def handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    """An SQS batch; what cannot be written now is reported back and stays in the queue."""
    failed = []
    for message in event["Records"]:
        try:
            usage_store().write(json.loads(message["body"]))
        except (*StoreError, ValueError, KeyError, TypeError) as error:  # one odd message fails alone
            logger.warning("usage record stays in the queue", extra={"reason": type(error).__name__})
            failed.append({"itemIdentifier": message["messageId"]})
    return {"batchItemFailures": failed}
