"""A user's limits: requests a minute by GCRA, requests in flight by leases, audio seconds a day by reservation."""

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
# Rows that one change may write; of more, each as many bytes count as a further change.
BYTES_A_CHANGE = 200_000
# The two counters of a user.
REQUESTS, CHANGES = "requests", "changes"
# 32 kbit/s, which speech is rarely encoded below. A guess that is too high only waits until it is settled.
_ESTIMATED_BYTES_PER_SECOND = 4000

Wait = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Rate:
    """A rate as GCRA counts it, both in seconds: one request every `interval`, and up to `burst` of them at once."""

    interval: float
    burst: float


@dataclass(frozen=True, slots=True)
class Claim:
    """What one more request of a user claims: its count in a rate, and a place in flight.

    `counter` names which of the user's counters. `places` is how many may be held at once, each for `lease_seconds`
    at most; 0 claims none.
    """

    user_id: str
    counter: str
    rate: Rate | None
    places: int = 0
    lease_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Taken:
    """What a store says of one more request.

    `refused` is None, `rate`, `in_flight`, or `busy` when the counter itself gets more requests than it can count.
    `due` is GCRA's timestamp after it, in epoch seconds. `lease` is the place in flight that it holds.
    """

    refused: Literal["rate", "in_flight", "busy"] | None = None
    due: float | None = None
    lease: str | None = None


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is left of the request rate after this request; `reset_seconds` until all of it is back."""

    limit: int
    remaining: int
    reset_seconds: float

    def headers(self) -> dict[str, str]:
        """As OpenAI sends them."""
        return {
            "x-ratelimit-limit-requests": str(self.limit),
            "x-ratelimit-remaining-requests": str(self.remaining),
            "x-ratelimit-reset-requests": f"{math.ceil(self.reset_seconds * 1000) / 1000:g}s",
        }


@dataclass(frozen=True, slots=True)
class Admission:
    """A request that was let in: what is left of its user's rate, and the place in flight that it holds."""

    allowance: Allowance | None = None
    lease: str | None = None

    def headers(self) -> dict[str, str]:
        """The rate's headers; none for a user without a limit."""
        return self.allowance.headers() if self.allowance else {}


def admit(
    caller: Caller, store: "LimitStore", now: float, *, most_in_flight: int, lease_seconds: float
) -> Admission:
    """Count one transcription against the user's rate and give it a place in flight. Raises RateLimited.

    `most_in_flight` is how many a user may have at once, 0 any number; a place that is never given back is free
    again after `lease_seconds`.
    """
    limit = caller.limits.requests_per_minute
    if limit is None and not most_in_flight:
        return Admission()
    claim = Claim(caller.user_id, REQUESTS, _rate(limit), most_in_flight, lease_seconds)
    taken = store.take(claim, now)
    if taken.refused == "in_flight":
        raise RateLimited(
            f"This user has {most_in_flight} transcriptions in progress, which is the limit. "
            "Wait until one of them ends, then try again.",
            headers={"retry-after": "1"},
        )
    return Admission(_allowance(limit, taken, now), taken.lease)


def take_change(caller: Caller, store: "LimitStore", now: float) -> Allowance | None:
    """Count one change by an operator (register, manifest, PATCH); None for a user without a limit. Raises
    RateLimited."""
    limit = caller.limits.changes_per_minute
    if limit is None:
        return None
    return _allowance(limit, store.take(Claim(caller.user_id, CHANGES, _rate(limit)), now), now)


def charge_change(caller: Caller, size: int, store: "LimitStore", now: float) -> None:
    """Count a change whose rows have `size` bytes as further ones, whatever is left: it is being made already."""
    limit, further = caller.limits.changes_per_minute, size // BYTES_A_CHANGE
    if limit is not None and further:
        interval = further * MINUTE_SECONDS / limit
        store.take(Claim(caller.user_id, CHANGES, Rate(interval, interval + DAY_SECONDS)), now)


def _rate(limit: int | None) -> Rate | None:
    """GCRA, the generic cell rate algorithm, needs one timestamp a user: when the next request would be due if they
    came evenly. A whole minute's worth may come at once."""
    return None if limit is None else Rate(MINUTE_SECONDS / limit, MINUTE_SECONDS)


def _allowance(limit: int | None, taken: Taken, now: float) -> Allowance | None:
    """What is left of the rate; None when it was not counted. Raises RateLimited."""
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
    """Seconds taken from a user's quota of `day` (days since 1970) before the audio is sent."""

    day: int
    seconds: int


def reserve_seconds(
    caller: Caller, seconds: int | None, size: int, store: "LimitStore", now: float
) -> Reservation | None:
    """Take the audio's seconds from the day's quota, or an estimate by its `size` in bytes when they are unknown;
    None for a user without a quota. Raises RateLimited with code quota_exceeded."""
    quota = caller.limits.audio_seconds_per_day
    if quota is None:
        return None
    day = int(now // DAY_SECONDS)
    # Never over the whole quota: a guess may wait for the rest of the day, but not refuse a file for ever.
    wanted = seconds if seconds is not None else min(math.ceil(size / _ESTIMATED_BYTES_PER_SECOND), quota)
    if not store.reserve_seconds(caller.user_id, day, wanted, quota):
        wait = math.ceil((day + 1) * DAY_SECONDS - now)
        raise RateLimited(
            f"This audio is longer than what is left of this user's {quota} seconds per day. "
            "The quota is reset at midnight UTC.",
            code="quota_exceeded",
            # The SDKs would upload the audio twice more before anything has changed.
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
    """Begin to give back a request's place, and what its reservation differs from the `billed` seconds. The call
    that is returned waits for the end of both."""
    waits: list[Wait] = []
    if admission and admission.lease:
        waits.append(store.release(caller.user_id, REQUESTS, admission.lease))
    if reservation and reservation.seconds != billed:
        waits.append(store.add_seconds(caller.user_id, reservation.day, billed - reservation.seconds))

    def wait() -> None:
        for each in waits:
            each()

    return wait
