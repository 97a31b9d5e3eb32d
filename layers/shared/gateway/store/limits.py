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
from gateway.store import aws

_TRIES = 4


class LimitStore:
    """Counters in the table named `table`."""

    def __init__(self, table: str) -> None:
        self.table = table

    def take_request(self, user_id: str, interval: float, burst: float, now: float) -> tuple[bool, float]:
        """Whether one more request is within the rate, and GCRA's timestamp after it. Raises a StoreError.

        An UpdateExpression has no maximum, so the two cases are two conditional writes: idle, then ahead of time.
        """
        due = 0.0
        for _ in range(_TRIES):
            idle = {":now": now, ":next": now + interval}
            if self._update(
                user_id, "rate", "SET due = :next", "attribute_not_exists(due) OR due <= :now", idle
            ):
                return True, now + interval
            due = float(
                (aws.get(self.table, f"user#{user_id}", "rate", consistent=True) or {}).get("due", now)
            )
            if due + interval > now + burst:
                return False, due
            ahead = {":read": due, ":next": due + interval}
            if self._update(user_id, "rate", "SET due = :next", "due = :read", ahead):
                return True, due + interval
        return False, due

    def reserve_seconds(self, user_id: str, day: int, seconds: int, quota: int) -> bool:
        """Take seconds of a day's quota if they are left, and at least one is. Raises a StoreError."""
        if seconds > quota:
            return False
        values = {":seconds": seconds, ":most": min(quota - seconds, quota - 1), ":expires": _expiry(day)}
        condition = "attribute_not_exists(seconds) OR seconds <= :most"
        return self._update(user_id, f"day#{day}", _ADD_SECONDS, condition, values)

    def add_seconds(self, user_id: str, day: int, seconds: int) -> None:
        """Correct a day's seconds; negative gives back. Raises a StoreError."""
        values = {":seconds": seconds, ":expires": _expiry(day)}
        self._update(user_id, f"day#{day}", _ADD_SECONDS, None, values)

    def _update(
        self, user_id: str, sk: str, expression: str, condition: str | None, values: dict[str, Any]
    ) -> bool:
        try:
            aws.client("dynamodb").update_item(
                TableName=self.table,
                Key={"pk": {"S": f"user#{user_id}"}, "sk": {"S": sk}},
                UpdateExpression=expression,
                ExpressionAttributeValues=aws.encode(values),
                **({"ConditionExpression": condition} if condition else {}),
            )
        except aws.StoreError as error:
            if not aws.is_condition_failure(error):
                raise
            return False
        return True


_ADD_SECONDS = "ADD seconds :seconds SET expires_at = :expires"


def _expiry(day: int) -> int:
    return (day + 3) * DAY_SECONDS


@cache
def limit_store() -> LimitStore:
    """The store on the table that LIMITS_TABLE names."""
    return LimitStore(os.environ["LIMITS_TABLE"])
