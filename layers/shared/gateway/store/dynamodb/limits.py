"""Count users' use of their limits in small items, changed by conditional updates. One table:

| pk | sk | holds |
|---|---|---|
| `user#<id>` | `requests`, `changes` | `due`: GCRA timestamp; `leases`: `<expiry>#<random>` per request in flight |
| `user#<id>` | `day#<days since 1970>` | `seconds` of audio taken that day |
"""

import math
import os
import secrets
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from functools import cache
from typing import Any

from gateway import deadline
from gateway.accounts.limits import DAY_SECONDS, Claim, Taken, Wait
from gateway.observability import logger
from gateway.store.dynamodb import aws

# A try fails when another request changes the item in between.
_TRIES = 5
# Share of the time left that a check may take, so that it does not use up the request's time.
_SHARE = 0.4


class LimitStore:
    """Counters in the table named `table`. Raises nothing: if a request cannot be counted, it passes uncounted."""

    def __init__(self, table: str) -> None:
        self.table = table
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="limits")

    def take(self, claim: Claim, now: float) -> Taken:
        """Count a request at `now` (epoch seconds) and give it a place, usually with one conditional update."""
        lease = f"{math.ceil(now + claim.lease_seconds)}#{secrets.token_hex(4)}" if claim.places else None
        try:
            with deadline.within(deadline.left() * _SHARE):
                return self._take(claim, lease, now)
        except aws.StoreError as error:
            if aws.is_throttled(error):  # caused by this user, so do not let the request pass
                return Taken("busy")
            logger.warning("a request was not counted", extra={"reason": type(error).__name__})
            return Taken()

    def _take(self, claim: Claim, lease: str | None, now: float) -> Taken:
        known: Mapping[str, Any] = {}
        for _ in range(_TRIES):
            due = float(known.get("due", 0))
            held = known.get("leases", ())
            live = [each for each in held if int(each.partition("#")[0]) > now]
            if lease and len(live) >= claim.places:
                return Taken("in_flight")
            if claim.rate and max(due, now) + claim.rate.interval > now + claim.rate.burst:
                return Taken("rate", due)
            if lease and len(held) >= claim.places:
                self._release(claim.user_id, claim.counter, set(held) - set(live))
            added = self._add(claim, lease, now, ahead=due > now)
            known = added.attributes
            if added:
                return Taken(None, known.get("due"), lease)
        return Taken("busy")

    def _add(self, claim: Claim, lease: str | None, now: float, *, ahead: bool) -> aws.Written:
        """Make the claim's update.

        An UpdateExpression cannot compute a maximum, so a timestamp ahead of now and one behind need different
        updates. Neither depends on a value that was read, so concurrent requests do not conflict.
        """
        update, conditions = "SET expires_at = :expires", []
        values: dict[str, Any] = {":expires": {"N": str(int(now) + DAY_SECONDS)}}
        rate = claim.rate
        if rate and ahead:
            update += ", due = due + :interval"
            conditions.append("due > :now AND due <= :limit")
            limit = now + rate.burst - rate.interval
            values |= aws.encode({":now": now, ":interval": rate.interval, ":limit": limit})
        elif rate:
            update += ", due = :next"
            conditions.append("(attribute_not_exists(due) OR due <= :now)")
            values |= aws.encode({":now": now, ":next": now + rate.interval})
        if lease:
            update += " ADD leases :lease"
            conditions.append("(attribute_not_exists(leases) OR size(leases) < :places)")
            values |= {":lease": {"SS": [lease]}, ":places": {"N": str(claim.places)}}
        return self._update(claim.user_id, claim.counter, update, " AND ".join(conditions), values)

    def release(self, user_id: str, counter: str, lease: str) -> Wait:
        """Start releasing a place in flight."""
        failure = "a place in flight was not given back"
        return self._begin(lambda: self._release(user_id, counter, [lease]), failure)

    def _release(self, user_id: str, counter: str, leases: Iterable[str]) -> None:
        self._update(user_id, counter, "DELETE leases :leases", "", {":leases": {"SS": sorted(leases)}})

    def reserve_seconds(self, user_id: str, day: int, seconds: int, quota: int) -> bool:
        """Take seconds of a day's quota if they, and at least one, are left."""
        if seconds > quota:
            return False
        values = {":seconds": seconds, ":limit": min(quota - seconds, quota - 1), ":expires": _expiry(day)}
        condition = "attribute_not_exists(seconds) OR seconds <= :limit"
        try:
            with deadline.within(deadline.left() * _SHARE):
                return self._update(user_id, f"day#{day}", _ADD_SECONDS, condition, aws.encode(values)).held
        except aws.StoreError as error:
            logger.warning("a quota was not checked", extra={"reason": type(error).__name__})
            return not aws.is_throttled(error)

    def add_seconds(self, user_id: str, day: int, seconds: int) -> Wait:
        """Start correcting a day's seconds; a negative number gives seconds back."""
        values = aws.encode({":seconds": seconds, ":expires": _expiry(day)})
        return self._begin(
            lambda: self._update(user_id, f"day#{day}", _ADD_SECONDS, "", values),
            "a day's seconds were not corrected",
        )

    def _begin(self, change: Callable[[], object], failure: str) -> Wait:
        """Start a change that no answer depends on, in a thread that has the request's deadline."""
        under_way: Future[object] = self._threads.submit(copy_context().run, change)

        def wait() -> None:
            try:
                left = deadline.left()
                under_way.result(max(0.0, left) if left < math.inf else None)
            except (*aws.StoreError, TimeoutError) as error:
                logger.warning(failure, extra={"reason": type(error).__name__})

        return wait

    def _update(
        self, user_id: str, sk: str, expression: str, condition: str, values: Mapping[str, Any]
    ) -> aws.Written:
        conditional = {"ConditionExpression": condition, "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
        return aws.conditionally(
            "update_item",
            TableName=self.table,
            Key=aws.key(f"user#{user_id}", sk),
            UpdateExpression=expression,
            ReturnValues="UPDATED_NEW",
            ExpressionAttributeValues=values,
            **(conditional if condition else {}),
        )


_ADD_SECONDS = "ADD seconds :seconds SET expires_at = :expires"


def _expiry(day: int) -> int:
    return (day + 3) * DAY_SECONDS


@cache
def limit_store() -> LimitStore:
    """The store of the table in LIMITS_TABLE."""
    return LimitStore(os.environ["LIMITS_TABLE"])
