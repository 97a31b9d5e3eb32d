"""A user's limits: requests a minute by GCRA, audio seconds a day by reservation."""

import math
from dataclasses import dataclass
from typing import Protocol

from gateway.errors import RateLimited
from gateway.keys import Caller

MINUTE_SECONDS = 60.0
DAY_SECONDS = 86_400


class LimitStore(Protocol):
    """Where limits are counted; `store.limits.LimitStore` is the real one."""

    def take_request(self, user_id: str, interval: float, burst: float, now: float) -> tuple[bool, float]: ...

    def reserve_seconds(self, user_id: str, day: int, seconds: int, quota: int) -> bool: ...

    def add_seconds(self, user_id: str, day: int, seconds: int) -> None: ...


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


def take_request(caller: Caller, store: LimitStore, now: float) -> Allowance | None:
    """Count one request; None for a user without a limit. Raises RateLimited.

    GCRA, the generic cell rate algorithm, needs one timestamp a user: when the next request would be due if
    they came evenly. A whole minute's worth may come at once.
    """
    limit = caller.limits.requests_per_minute
    if limit is None:
        return None
    interval = MINUTE_SECONDS / limit
    allowed, due = store.take_request(caller.user_id, interval, MINUTE_SECONDS, now)
    ahead = max(0.0, due - now)
    remaining = max(0, int((MINUTE_SECONDS - ahead) / interval + 1e-6))
    allowance = Allowance(limit, remaining, ahead)
    if not allowed:
        wait = max(1, math.ceil(ahead + interval - MINUTE_SECONDS))
        raise RateLimited(
            f"Over the limit of {limit} requests a minute for this user. Try again in {wait} s.",
            headers=allowance.headers() | {"retry-after": str(wait)},
        )
    return allowance


@dataclass(slots=True)
class Reservation:
    """Seconds taken from a user's daily quota before the audio is sent, settled when it is known what is billed."""

    caller: Caller
    store: LimitStore
    day: int
    seconds: int

    def settle(self, billed: int) -> None:
        """Give back or add what the reservation differs from the bill."""
        if billed != self.seconds:
            self.store.add_seconds(self.caller.user_id, self.day, billed - self.seconds)


def reserve_seconds(caller: Caller, seconds: int | None, store: LimitStore, now: float) -> Reservation | None:
    """Take the audio's seconds (0 when unknown) from the day's quota; None for a user without one.
    Raises RateLimited with code quota_exceeded."""
    quota = caller.limits.audio_seconds_per_day
    if quota is None:
        return None
    day = int(now // DAY_SECONDS)
    if not store.reserve_seconds(caller.user_id, day, seconds or 0, quota):
        wait = math.ceil((day + 1) * DAY_SECONDS - now)
        raise RateLimited(
            f"The quota of {quota} seconds of audio a day for this user does not cover this request. "
            "It starts anew at midnight UTC.",
            code="quota_exceeded",
            # The SDKs would upload the audio twice more before anything has changed.
            headers={"retry-after": str(wait), "x-should-retry": "false"},
        )
    return Reservation(caller, store, day, seconds or 0)
