"""A user's limits: requests per minute (GCRA), requests in flight (leases), audio seconds per day (reservations)."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from gateway.accounts.keys import Caller
from gateway.errors import RateLimited

if TYPE_CHECKING:
    from gateway.store.ports import LimitStore

MINUTE_SECONDS = 60.0
DAY_SECONDS = 86_400
# Bytes of rows that one change may write. Each further 200,000 bytes count as another change.
BYTES_A_CHANGE = 200_000
# The two counters of a user.
REQUESTS, CHANGES = "requests", "changes"
# 32 kbit/s: speech is rarely encoded below it. Too high an estimate is corrected when the request ends.
_ESTIMATED_BYTES_PER_SECOND = 4000

Wait = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Rate:
    """A GCRA rate in seconds: one request every `interval`, and up to `burst` seconds' worth at once."""

    interval: float
    burst: float


@dataclass(frozen=True, slots=True)
class Claim:
    """What one request claims: a count against a rate, and a place in flight.

    `counter` is the name of one of the user's counters. `places` is the max places held at once, each for at most
    `lease_seconds`; 0 claims no place.
    """

    user_id: str
    counter: str
    rate: Rate | None
    places: int = 0
    lease_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Taken:
    """The store's answer to a claim.

    `refused` is None, `rate`, `in_flight`, or `busy` when requests arrive faster than the counter can count them.
    `due` is the GCRA timestamp after this request, in epoch seconds. `lease` identifies its place in flight.
    """

    refused: Literal["rate", "in_flight", "busy"] | None = None
    due: float | None = None
    lease: str | None = None


@dataclass(frozen=True, slots=True)
class Allowance:
    """Requests left after this one; the full rate is available again after `reset_seconds`."""

    limit: int
    remaining: int
    reset_seconds: float

    def headers(self) -> dict[str, str]:
        """The same headers that OpenAI sends."""
        return {
            "x-ratelimit-limit-requests": str(self.limit),
            "x-ratelimit-remaining-requests": str(self.remaining),
            "x-ratelimit-reset-requests": f"{math.ceil(self.reset_seconds * 1000) / 1000:g}s",
        }


@dataclass(frozen=True, slots=True)
class Admission:
    """An admitted request: what is left of the user's rate, and the lease of its place in flight."""

    allowance: Allowance | None = None
    lease: str | None = None

    def headers(self) -> dict[str, str]:
        """The rate-limit headers; empty for a user without a limit."""
        return self.allowance.headers() if self.allowance else {}


def admit(
    caller: Caller, store: "LimitStore", now: float, *, max_in_flight: int, lease_seconds: float
) -> Admission:
    """Count one transcription against the user's rate and give it a place in flight. Raises RateLimited.

    `max_in_flight` is the max per user; 0 means no limit. A place that is not released is free again after
    `lease_seconds`.
    """
    limit = caller.limits.requests_per_minute
    if limit is None and not max_in_flight:
        return Admission()
    claim = Claim(caller.user_id, REQUESTS, _rate(limit), max_in_flight, lease_seconds)
    taken = store.take(claim, now)
    if taken.refused == "in_flight":
        raise RateLimited(
            f"This user has {max_in_flight} transcriptions in progress, which is the limit. "
            "Wait until one of them ends, then try again.",
            headers={"retry-after": "1"},
        )
    return Admission(_allowance(limit, taken, now), taken.lease)


def take_change(caller: Caller, store: "LimitStore", now: float) -> Allowance | None:
    """Count one change (register, manifest, PATCH, a new key). Returns None for a user without a limit. Raises
    RateLimited."""
    limit = caller.limits.changes_per_minute
    if limit is None:
        return None
    return _allowance(limit, store.take(Claim(caller.user_id, CHANGES, _rate(limit)), now), now)


def charge_change(caller: Caller, size: int, store: "LimitStore", now: float) -> None:
    """Count the extra changes of rows of `size` bytes. Does not check the limit: the change is already under way."""
    limit, further = caller.limits.changes_per_minute, size // BYTES_A_CHANGE
    if limit is not None and further:
        interval = further * MINUTE_SECONDS / limit
        store.take(Claim(caller.user_id, CHANGES, Rate(interval, interval + DAY_SECONDS)), now)


def _rate(limit: int | None) -> Rate | None:
    """GCRA, the generic cell rate algorithm, stores one timestamp per user: when the next request is due if requests
    are evenly spaced. A full minute's requests may arrive at once."""
    return None if limit is None else Rate(MINUTE_SECONDS / limit, MINUTE_SECONDS)


def _allowance(limit: int | None, taken: Taken, now: float) -> Allowance | None:
    """Compute what is left of the rate; None when it was not counted. Raises RateLimited."""
    if taken.refused == "busy":
        raise RateLimited(
            "This user sent too many requests at once. Try again in 1 s.",
            headers={"retry-after": "1"},
        )
    if limit is None or taken.due is None:
        return None
    interval, ahead = MINUTE_SECONDS / limit, max(0.0, taken.due - now)
    allowance = Allowance(limit, max(0, int((MINUTE_SECONDS - ahead) / interval + 1e-6)), ahead)
    if taken.refused:
        wait = max(1, math.ceil(ahead + interval - MINUTE_SECONDS))
        raise RateLimited(
            f"This user has reached the limit of {limit} requests per minute. Try again in {wait} s.",
            headers=allowance.headers() | {"retry-after": str(wait)},
        )
    return allowance


@dataclass(frozen=True, slots=True)
class Reservation:
    """Seconds taken from a user's quota for `day` (days since 1970) before the audio is sent."""

    day: int
    seconds: int


def reserve_seconds(
    caller: Caller, seconds: int | None, size: int, store: "LimitStore", now: float
) -> Reservation | None:
    """Take the audio's seconds from the day's quota, or an estimate from its `size` in bytes when they are unknown.
    Returns None for a user without a quota. Raises RateLimited with code quota_exceeded."""
    quota = caller.limits.audio_seconds_per_day
    if quota is None:
        return None
    day = int(now // DAY_SECONDS)
    # Cap the estimate at the quota: it may make a file wait for the next day, but must not refuse it for ever.
    wanted = seconds if seconds is not None else min(math.ceil(size / _ESTIMATED_BYTES_PER_SECOND), quota)
    if not store.reserve_seconds(caller.user_id, day, wanted, quota):
        wait = math.ceil((day + 1) * DAY_SECONDS - now)
        raise RateLimited(
            f"This audio is longer than what is left of this user's {quota} seconds per day. "
            "The quota is reset at midnight UTC.",
            code="quota_exceeded",
            # Without this header the SDKs upload the audio twice more, which cannot succeed.
            headers={"retry-after": str(wait), "x-should-retry": "false"},
        )
    return Reservation(day, wanted)


def close(
    caller: Caller,
    admission: Admission | None,
    reservation: Reservation | None,
    billed: int,
    store: "LimitStore",
) -> Wait:
    """Start releasing the request's place and correcting its reservation to the `billed` seconds. Call the returned
    function to wait for both."""
    waits: list[Wait] = []
    if admission and admission.lease:
        waits.append(store.release(caller.user_id, REQUESTS, admission.lease))
    if reservation and reservation.seconds != billed:
        waits.append(store.add_seconds(caller.user_id, reservation.day, billed - reservation.seconds))

    def wait() -> None:
        for each in waits:
            each()

    return wait
