"""What users have used of their limits: one small item each, changed by conditional updates. One table:

| pk | sk | holds |
|---|---|---|
| `user#<id>` | `rate` | `due`: GCRA's timestamp, epoch seconds |
| `user#<id>` | `day#<days since 1970>` | `seconds` of audio taken that day |
"""

import os
from functools import cache
from typing import Any

from gateway.limits import DAY_SECONDS
from gateway.observability import logger
from gateway.store import aws


class LimitStore:
    """Counters in the table named `table`."""

    def __init__(self, table: str) -> None:
        self.table = table

    def take_request(self, user_id: str, interval: float, burst: float, now: float) -> tuple[bool, float]:
        """Whether one more request is within the rate, and GCRA's timestamp after it. Raises a StoreError.

        An UpdateExpression has no maximum, so the two cases are two conditional writes: ahead of time, then idle.
        Neither depends on a value that was read, so requests at once cannot be in each other's way.
        """
        most = now + burst - interval
        for _ in range(2):  # between the two writes another request may have turned idle into ahead
            ahead = {":now": now, ":interval": interval, ":most": most}
            due = self._update(
                user_id, "rate", "SET due = due + :interval", "due > :now AND due <= :most", ahead
            )
            if due is not None:
                return True, due["due"]
            idle = {":now": now, ":next": now + interval}
            due = self._update(
                user_id, "rate", "SET due = :next", "attribute_not_exists(due) OR due <= :now", idle
            )
            if due is not None:
                return True, due["due"]
        item = aws.get(self.table, f"user#{user_id}", "rate", consistent=True) or {}
        return False, float(item.get("due", now))

    def reserve_seconds(self, user_id: str, day: int, seconds: int, quota: int) -> bool:
        """Take seconds of a day's quota if they are left, and at least one is. Raises a StoreError."""
        if seconds > quota:
            return False
        values = {":seconds": seconds, ":most": min(quota - seconds, quota - 1), ":expires": _expiry(day)}
        condition = "attribute_not_exists(seconds) OR seconds <= :most"
        return self._update(user_id, f"day#{day}", _ADD_SECONDS, condition, values) is not None

    def add_seconds(self, user_id: str, day: int, seconds: int) -> None:
        """Correct a day's seconds; negative gives back. Raises nothing: a counter that is off by one request is
        better than a transcript thrown away."""
        values = {":seconds": seconds, ":expires": _expiry(day)}
        try:
            self._update(user_id, f"day#{day}", _ADD_SECONDS, None, values)
        except aws.StoreError as error:
            logger.warning("a day's seconds were not corrected", extra={"reason": type(error).__name__})

    def _update(
        self, user_id: str, sk: str, expression: str, condition: str | None, values: dict[str, Any]
    ) -> dict[str, Any] | None:
        """The attributes that were changed, or None when the condition did not hold."""
        try:
            reply = aws.client("dynamodb").update_item(
                TableName=self.table,
                Key={"pk": {"S": f"user#{user_id}"}, "sk": {"S": sk}},
                UpdateExpression=expression,
                ReturnValues="UPDATED_NEW",
                ExpressionAttributeValues=aws.encode(values),
                **({"ConditionExpression": condition} if condition else {}),
            )
        except aws.StoreError as error:
            if not aws.is_condition_failure(error):
                raise
            return None
        return aws.decode(reply["Attributes"])


_ADD_SECONDS = "ADD seconds :seconds SET expires_at = :expires"


def _expiry(day: int) -> int:
    return (day + 3) * DAY_SECONDS


@cache
def limit_store() -> LimitStore:
    """The store on the table that LIMITS_TABLE names."""
    return LimitStore(os.environ["LIMITS_TABLE"])
