"""Count daily totals exactly once, from a stream that delivers at least once. One table:

| pk | sk | holds |
|---|---|---|
| `user#<id>` or `operator#<id>` | `<day>#<model>#<provider>` | requests, failed, seconds |
| `counted#user#<id>` | `<time>#<request id>` | marks a record as counted; kept while the stream can repeat it |
"""

import os
import time
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from gateway.accounts.limits import DAY_SECONDS
from gateway.observability import logger
from gateway.store.dynamodb import aws
from gateway.store.dynamodb.usage import key_of, record_of
from gateway.usage.totals import Increment, Question, Total, increments

# A stream repeats records for at most a day; the rest covers late retries of a batch.
_COUNTED_SECONDS = 3 * DAY_SECONDS
# Replaces a failed request's missing model or provider in a key.
_NONE = "-"


class TotalsStore:
    """Totals in the table named `table`."""

    def __init__(self, table: str) -> None:
        self.table = table

    def count_batch(self, batch: Sequence[Mapping[str, Any]]) -> str | None:
        """Count a batch of the usage table's stream, in order. Returns the sequence number of the first record that
        cannot be counted now, None when all were counted. Ignores deletions by TTL."""
        for change in batch:
            if change["eventName"] != "INSERT":
                continue
            try:
                self.count(aws.decode(change["dynamodb"]["NewImage"]))
            except aws.StoreError as error:
                logger.warning("usage record is counted later", extra={"reason": type(error).__name__})
                return str(change["dynamodb"]["SequenceNumber"])
        return None

    def count(self, item: Mapping[str, Any]) -> bool:
        """Add a usage record to all its totals in one transaction; False when it was counted before. Raises a
        StoreError and then counts nothing."""
        pk, sk = key_of(item)
        marker = {"pk": f"counted#{pk}", "sk": sk, "expires_at": int(time.time()) + _COUNTED_SECONDS}
        put = {
            "TableName": self.table,
            "Item": aws.encode(marker),
            "ConditionExpression": "attribute_not_exists(pk)",
        }
        updates = [{"Update": self._update(each)} for each in increments(record_of(item))]
        try:
            aws.client("dynamodb").transact_write_items(TransactItems=[{"Put": put}, *updates])
        except aws.StoreError as error:
            if aws.cancelled_by_condition(error):
                return False
            raise
        return True

    def read(self, user_id: str, question: Question) -> list[Total]:
        """The rows of the days asked for."""
        # "~" sorts after every character that can follow a day.
        between = (question.start, f"{question.end}~")
        partition = _partition(user_id, as_operator=question.as_operator)
        return [_total(item) for item in aws.query(self.table, partition, between=between)]

    def _update(self, increment: Increment) -> dict[str, Any]:
        model, provider = increment.model or _NONE, increment.provider or _NONE
        partition = _partition(increment.user_id, as_operator=increment.as_operator)
        return {
            "TableName": self.table,
            "Key": aws.key(partition, f"{increment.day}#{model}#{provider}"),
            "UpdateExpression": "ADD requests :one, failed :failed, seconds :seconds "
            "SET #day = :day, #model = :model, #provider = :provider",
            "ExpressionAttributeNames": {"#day": "day", "#model": "model", "#provider": "provider"},
            "ExpressionAttributeValues": aws.encode(
                {
                    ":one": 1,
                    ":failed": increment.failed,
                    ":seconds": increment.seconds,
                    ":day": increment.day,
                    ":model": model,
                    ":provider": provider,
                }
            ),
        }


def _partition(user_id: str, *, as_operator: bool) -> str:
    return f"{'operator' if as_operator else 'user'}#{user_id}"


def _total(item: Mapping[str, Any]) -> Total:
    def name(field: str) -> str | None:
        return None if item[field] == _NONE else str(item[field])

    return Total(
        item["day"], name("model"), name("provider"), item["requests"], item["failed"], item["seconds"]
    )


@cache
def totals_store() -> TotalsStore:
    """The store of the table in TOTALS_TABLE."""
    return TotalsStore(os.environ["TOTALS_TABLE"])
