"""Usage records: written once per request id, and never lost between three places."""

import json
import os
from collections.abc import Mapping
from functools import cache
from typing import Any

from gateway import usage
from gateway.observability import logger
from gateway.store import aws

# The replay command finds records that reached neither table nor queue by this name.
LOST_RECORD = "usage_record_unwritten"


class UsageStore:
    """Records in the table named `table`, by way of the queue at `queue_url` when the table does not answer."""

    def __init__(self, table: str, queue_url: str) -> None:
        self.table = table
        self.queue_url = queue_url

    def write(self, item: Mapping[str, Any]) -> None:
        """Write a record unless one of that request is there already. Raises a StoreError."""
        pk, sk = usage.item_key(item)
        try:
            once = {"ConditionExpression": "attribute_not_exists(pk)"}
            aws.put(self.table, {**item, "pk": pk, "sk": sk}, **once)
        except aws.StoreError as error:
            if not aws.is_condition_failure(error):
                raise

    def save(self, item: Mapping[str, Any]) -> None:
        """Write the record to the table, else to the queue, else to the log; one of the three holds it when this
        returns, before the deadline if that is at least 1.5 s away. Raises nothing."""
        try:
            self.write(item)
        except aws.StoreError as error:
            logger.warning("usage record goes to the queue", extra={"reason": type(error).__name__})
            self._enqueue(item)

    def _enqueue(self, item: Mapping[str, Any]) -> None:
        try:
            aws.client("sqs").send_message(QueueUrl=self.queue_url, MessageBody=json.dumps(item))
        except aws.StoreError:
            logger.error(LOST_RECORD, extra={"record": dict(item)})


@cache
def usage_store() -> UsageStore:
    """The store on the table and queue that USAGE_TABLE and USAGE_QUEUE_URL name."""
    return UsageStore(os.environ["USAGE_TABLE"], os.environ["USAGE_QUEUE_URL"])
