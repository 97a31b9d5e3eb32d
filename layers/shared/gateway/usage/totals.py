"""Daily totals of usage: what a record adds to them, and how they are queried (contract section 7)."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Self

from gateway.errors import InvalidRequest
from gateway.usage.record import Record, timestamp

GROUPS = ("day", "model", "provider")
DEFAULT_DAYS = 30
MAX_DAYS = 366
FIRST_DAY = date.min + timedelta(days=DEFAULT_DAYS - 1)
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


@dataclass(frozen=True, slots=True)
class Increment:
    """What one request adds to one row of a user's totals as caller or operator; `seconds` are billed."""

    user_id: str
    as_operator: bool
    day: str
    model: str | None
    provider: str | None
    failed: int
    seconds: int


@dataclass(frozen=True, slots=True)
class Total:
    """The counts of one day, model and provider."""

    day: str
    model: str | None
    provider: str | None
    requests: int
    failed: int
    seconds: int


def increments(record: Record) -> list[Increment]:
    """Build the increments of a usage record: one for the caller, and one for the operator of every provider tried.

    A provider that failed counts a failed request for its operator, even if the next one gave the caller a
    transcript. Models that nobody serves are not counted by name, because callers can invent any.
    """
    day, served, seconds = timestamp(record.started_at)[:10], record.provider, record.billed_seconds
    tried = dict.fromkeys(attempt.provider for attempt in record.attempts)
    model = record.model if tried else None
    failed = int(record.status != "succeeded")
    found = [Increment(record.user_id, False, day, model, served, failed, seconds)]
    for provider in tried:
        owner, missed = provider.partition("/")[0], provider != served
        found.append(Increment(owner, True, day, model, provider, int(missed), 0 if missed else seconds))
    return found


@dataclass(frozen=True, slots=True)
class Question:
    """A query: the days, inclusive, the grouping, and the role."""

    start: str
    end: str
    group_by: str
    as_operator: bool

    @classmethod
    def read(cls, query: Mapping[str, str], now: float) -> Self:
        """Read the query parameters. Default: the last 30 days, by day. Raises InvalidRequest."""
        today = datetime.fromtimestamp(now, UTC).date()
        end = _day(query, "end") or max(today, _day(query, "start") or today)
        # Python's calendar begins with the year 1; any of its days is a valid query.
        start = _day(query, "start") or max(end, FIRST_DAY) - timedelta(days=DEFAULT_DAYS - 1)
        if not start <= end:
            raise InvalidRequest("'start' must not be after 'end'.", param="start")
        if (end - start).days >= MAX_DAYS:
            raise InvalidRequest(f"'start' and 'end' may span at most {MAX_DAYS} days.", param="start")
        group_by, role = query.get("group_by", "day"), query.get("role")
        if group_by not in GROUPS:
            raise InvalidRequest(f"'group_by' must be one of {', '.join(GROUPS)}.", param="group_by")
        if role not in (None, "operator"):
            raise InvalidRequest("'role' must be 'operator' or left out.", param="role")
        return cls(start.isoformat(), end.isoformat(), group_by, role == "operator")


def answer(totals: Iterable[Total], group_by: str) -> dict[str, Any]:
    """Build the sorted list, one entry per group, and the overall total."""
    groups: dict[str | None, dict[str, int]] = {}
    whole = _counts()
    for total in totals:
        key = {"day": total.day, "model": total.model, "provider": total.provider}[group_by]
        for counts in (groups.setdefault(key, _counts()), whole):
            counts["requests"] += total.requests
            counts["failed"] += total.failed
            counts["seconds"] += total.seconds
    name = "date" if group_by == "day" else group_by
    data = [{name: key, **groups[key]} for key in sorted(groups, key=lambda key: (key is None, key or ""))]
    return {"object": "list", "data": data, "total": whole}


def _counts() -> dict[str, int]:
    return {"requests": 0, "failed": 0, "seconds": 0}


def _day(query: Mapping[str, str], name: str) -> date | None:
    text = query.get(name)
    if text is None:
        return None
    try:
        if not _DAY.fullmatch(text):  # fromisoformat also accepts other forms, such as weeks
            raise ValueError
        return date.fromisoformat(text)
    except ValueError:
        raise InvalidRequest(f"'{name}' must be a date in the form YYYY-MM-DD.", param=name) from None
