"""Which deployment is asked, in what order, and for how long."""

import random
from collections.abc import Sequence

from gateway.deployments import Deployment
from gateway.health import Health
from gateway.keys import Caller


def order(
    deployments: Sequence[Deployment], caller: Caller, health: Health, now: float, *, verbose: bool
) -> list[Deployment]:
    """The deployments in the order in which they are tried.

    Those that are not cooling down first; among them the caller's own when preferred, then those with timestamps
    when timings were asked, then at random. A cooling one is tried only after all others, the least bad first.
    A cleverer order (price, load, latency) belongs here and needs to change nothing else.
    """

    def rank(deployment: Deployment) -> tuple[float, bool, bool, float]:
        return (
            health.cooling_until(deployment.key, now) or 0.0,
            caller.preference == "prefer_own" and deployment.owner != caller.user_id,
            verbose and not deployment.has_timestamps,
            random.random(),  # noqa: S311 - spreads load, guards nothing
        )

    return sorted(deployments, key=rank)


def attempt_deadline(now: float, deadline: float, attempts_left: int, expected_seconds: float) -> float:
    """Until when one attempt may last, so that a dead deployment leaves time for the next, and a slow honest one
    is not killed to try another: twice what is expected of it, but at least an equal share of what is left.

    All in seconds on one clock. The last or only attempt gets everything that is left.
    """
    if attempts_left <= 1:
        return deadline
    return min(deadline, now + max((deadline - now) / attempts_left, 2 * expected_seconds))
