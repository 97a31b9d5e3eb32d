"""Which deployment is asked, in what order, and for how long."""

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Sequence
from typing import Any

from gateway.accounts.keys import Caller
from gateway.providers.deployments import Deployment
from gateway.transcription.cooldown import Cooldown

# Twice the expected time of long audio is more than a request has: whoever never answers must not get all of it.
MAX_SHARE = 0.75
# When its cooling ends (0: not cooling), then what it falls short of: the preference, the capability. Less is better.
Tier = tuple[float, bool, bool]
_Entry = tuple[tuple[Tier, Deployment], int]


def order(
    deployments: Sequence[Deployment], caller: Caller, cooldown: Cooldown, now: float, *, verbose: bool
) -> list[Deployment]:
    """The deployments in the order in which they are tried.

    Those that are not cooling down first; among them one of each owner before the second of any. Each owner is
    represented by its best tier: the caller's own when preferred, then those with timestamps when timings are
    asked. A cooling one is tried only after all others, the least bad first. A cleverer order (price, load,
    latency) is a further place in the tier.
    """

    def tier(deployment: Deployment) -> Tier:
        return (
            cooldown.cooling_until(deployment, now, caller.user_id) or 0.0,
            caller.preference == "prefer_own" and deployment.owner != caller.user_id,
            verbose and not (deployment.has_timestamps and cooldown.has_timings(deployment, now)),
        )

    return _in_turns(deployments, tier) if len(deployments) > 1 else list(deployments)


def draw(candidates: Sequence[Deployment], limit: int, user_id: str) -> list[Deployment]:
    """At most `limit` of them: one of each owner in turn, so that no owner's number pushes out another.

    Half of the places are for the caller's own, and whatever one side leaves is the other's. An owner's providers
    take turns as well, so the caller's own are not lost while one of many providers is online.
    """
    if len(candidates) <= limit:
        return list(candidates)
    drawn = _in_turns(candidates, lambda _: (0.0, False, False))
    own = [each for each in drawn if each.owner == user_id]
    others = [each for each in drawn if each.owner != user_id]
    own = own[: max(limit // 2, limit - len(others))]
    return own + others[: limit - len(own)]


def _in_turns(deployments: Sequence[Deployment], tier: Callable[[Deployment], Tier]) -> list[Deployment]:
    """The owners take turns, each with the best deployment that it has left.

    In a tier an owner is drawn, then one of its providers, then a deployment, each with equal chances: services
    and providers cost nothing to declare, so their number must not count.
    """
    luck: defaultdict[Hashable, float] = defaultdict(random.random)  # of an owner, or of a provider

    def inside_owner(entry: _Entry) -> tuple[Tier, int, float]:
        (rank, deployment), turn = entry
        return rank, turn, luck[deployment.provider_key]

    def among_owners(entry: _Entry) -> tuple[bool, int, Tier, float]:
        (rank, deployment), turn = entry
        return rank[0] > 0, turn, rank, luck[deployment.owner]

    ranked = [(tier(each), each) for each in random.sample(deployments, len(deployments))]
    ranked = _sorted(ranked, [(rank, each.provider_key) for rank, each in ranked], inside_owner)
    ranked = _sorted(ranked, [each.owner for _, each in ranked], among_owners)
    return [each for _, each in ranked]


def _sorted(
    ranked: list[tuple[Tier, Deployment]], groups: list[Hashable], key: Callable[[_Entry], Any]
) -> list[tuple[Tier, Deployment]]:
    """By a key that also sees each one's turn: how many of its group stand before it."""
    seen: Counter[Hashable] = Counter()
    turns = []
    for group in groups:
        turns.append(seen[group])
        seen[group] += 1
    return [entry for entry, _ in sorted(zip(ranked, turns, strict=True), key=key)]


def attempt_deadline(now: float, deadline: float, attempts_left: int, expected_seconds: float) -> float:
    """Until when one attempt may last, so that a dead deployment leaves time for the next, and a slow honest one
    is not killed to try another: twice what is expected of it, but at least an equal share of what is left, and at
    most MAX_SHARE of it.

    All in seconds on one clock. The last or only attempt gets everything that is left.
    """
    if attempts_left <= 1:
        return deadline
    left = deadline - now
    return now + min(max(left / attempts_left, 2 * expected_seconds), MAX_SHARE * left)
