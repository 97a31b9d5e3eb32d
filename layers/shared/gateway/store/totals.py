"""Daily totals, kept exactly once from a stream that delivers at least once. One table:

| pk | sk | holds |
|---|---|---|
| `user#<id>` or `operator#<id>` | `<day>#<model>#<provider>` | requests, failed, seconds |
| `counted#user#<id>` | `<time>#<request id>` | that this record is in the totals; kept while a stream can repeat it |
"""

import os
import time
from collections.abc import Mapping
from functools import cache
from typing import Any

from gateway import usage
from gateway.store import aws
from gateway.totals import NONE, Increment, Question, Total, increments

# A stream repeats for at most a day; the rest is for a batch that is retried late.
_COUNTED_SECONDS = 3 * 86_400


class TotalsStore:
    """Totals in the table named `table`."""

    def __init__(self, table: str) -> None:
        self.table = table

    def count(self, record: Mapping[str, Any]) -> bool:
        """Add a usage record to all its totals in one transaction; False when it was counted before.
        Raises a StoreError, with nothing counted."""
        pk, sk = usage.item_key(record)
        marker = {
            "pk": f"counted#{pk}",
            "sk": sk,
            "expires_at": int(time.time()) + _COUNTED_SECONDS,
        }
        put = {
            "TableName": self.table,
            "Item": aws.encode(marker),
            "ConditionExpression": "attribute_not_exists(pk)",
        }
        updates = [{"Update": self._update(each)} for each in increments(record)]
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
        return [_total(item) for item in aws.query(self.table, question.view_of(user_id), between=between)]

    def _update(self, increment: Increment) -> dict[str, Any]:
        return {
            "TableName": self.table,
            "Key": {
                "pk": {"S": increment.view},
                "sk": {"S": f"{increment.day}#{increment.model}#{increment.provider}"},
            },
            "UpdateExpression": "ADD requests :one, failed :failed, seconds :seconds "
            "SET #day = :day, #model = :model, #provider = :provider",
            "ExpressionAttributeNames": {"#day": "day", "#model": "model", "#provider": "provider"},
            "ExpressionAttributeValues": aws.encode(
                {
                    ":one": 1,
                    ":failed": increment.failed,
                    ":seconds": increment.seconds,
                    ":day": increment.day,
                    ":model": increment.model,
                    ":provider": increment.provider,
                }
            ),
        }


def _total(item: Mapping[str, Any]) -> Total:
    def name(field: str) -> str | None:
        return None if item[field] == NONE else str(item[field])

    return Total(
        item["day"], name("model"), name("provider"), item["requests"], item["failed"], item["seconds"]
    )


@cache
def totals_store() -> TotalsStore:
    """The store on the table that TOTALS_TABLE names."""
    return TotalsStore(os.environ["TOTALS_TABLE"])
