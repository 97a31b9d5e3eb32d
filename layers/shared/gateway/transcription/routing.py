"""Choose which deployments to try, in what order, and for how long."""

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Sequence
from typing import Any

from gateway.accounts.keys import Caller
from gateway.providers.deployments import Deployment
from gateway.transcription.cooldown import Cooldown

# Twice the expected time of long audio exceeds the request's deadline. A deployment that hangs must not use it all.
MAX_SHARE = 0.75
# End of the cooldown (0: none), then whether the deployment misses the preference and the capability. Lowest first.
Tier = tuple[float, bool, bool]
_Entry = tuple[tuple[Tier, Deployment], int]


def order(
    deployments: Sequence[Deployment], caller: Caller, cooldown: Cooldown, now: float, *, verbose: bool
) -> list[Deployment]:
    """Sort the deployments into the order in which they are tried.

    Deployments in cooldown come last, the least bad first. Among the others, every owner gets one turn before any
    gets a second. Each owner's best tier goes first: the caller's own deployments if preferred, then those with
    timestamps if the request asks for timings. To rank by price, load or latency, add a field to `Tier`.
    """

    def tier(deployment: Deployment) -> Tier:
        return (
            cooldown.cooling_until(deployment, now, caller.user_id) or 0.0,
            caller.preference == "prefer_own" and deployment.owner != caller.user_id,
            verbose and not (deployment.has_timestamps and cooldown.has_timings(deployment, now)),
        )

    return _in_turns(deployments, tier) if len(deployments) > 1 else list(deployments)


def draw(candidates: Sequence[Deployment], limit: int, user_id: str) -> list[Deployment]:
    """Pick at most `limit` candidates, one of each owner in turn, so that an owner with many cannot crowd out others.

    Half of the places go to the caller's own deployments; each side may use the places the other leaves. An owner's
    providers take turns too, so one online provider among many is still picked.
    """
    if len(candidates) <= limit:
        return list(candidates)
    drawn = _in_turns(candidates, lambda _: (0.0, False, False))
    own = [each for each in drawn if each.owner == user_id]
    others = [each for each in drawn if each.owner != user_id]
    own = own[: max(limit // 2, limit - len(others))]
    return own + others[: limit - len(own)]


def _in_turns(deployments: Sequence[Deployment], tier: Callable[[Deployment], Tier]) -> list[Deployment]:
    """Let the owners take turns, each with its best remaining deployment.

    Within a tier, draw an owner, then a provider, then a deployment, each with equal chances. Services and providers
    cost nothing to declare, so their number must not matter.
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
    """Sort by a key that also gets each entry's turn: the number of its group's entries before it."""
    seen: Counter[Hashable] = Counter()
    turns = []
    for group in groups:
        turns.append(seen[group])
        seen[group] += 1
    return [entry for entry, _ in sorted(zip(ranked, turns, strict=True), key=key)]


def attempt_deadline(now: float, deadline: float, attempts_left: int, expected_seconds: float) -> float:
    """Return the deadline of one attempt. All values are seconds on one clock.

    An attempt gets twice its expected time, at least an equal share of the time left and at most MAX_SHARE of it.
    So a dead deployment leaves time for the next, and a slow one can finish. The last attempt gets all the time left.
    """
    if attempts_left <= 1:
        return deadline
    left = deadline - now
    return now + min(max(left / attempts_left, 2 * expected_seconds), MAX_SHARE * left)
