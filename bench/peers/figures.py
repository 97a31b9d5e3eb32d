"""The arithmetic of the comparison: percentiles, what a gateway adds, and the goals."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True, slots=True)
class Figures:
    """One gateway's figures for one size and number of clients. Times in milliseconds."""

    gateway: str
    size: str
    clients: int
    requests: int
    failures: int
    first_failure: str
    p50: float
    p95: float
    per_second: float
    cpu_ms: float  # user and system time of all its processes for each request
    peak_bytes: int  # the sum of its processes' peaks


@dataclass(frozen=True, slots=True)
class Goal:
    """A goal of this gateway, and what was measured."""

    name: str
    size: str
    wanted: str
    measured: str
    is_met: bool


SIZES = {"100 KB": 100_000, "1 MB": 1_000_000, "4 MB": 4_000_000, "20 MB": 20_000_000}
_ADDED = {"100 KB": Fraction(1, 5), "1 MB": Fraction(1, 5), "4 MB": Fraction(1, 4), "20 MB": Fraction(1, 2)}
_PER_SECOND = {"100 KB": 6, "1 MB": 5, "4 MB": 4, "20 MB": 3}
_BODIES = {"20 MB": 1.5}
MB = 1_000_000


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which this share of the values lies, by linear interpolation; NaN for no values."""
    if not values:
        return math.nan
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


class Comparison:
    """All figures, found by gateway, size and number of clients."""

    def __init__(self, figures: Iterable[Figures]) -> None:
        self._figures = {(each.gateway, each.size, each.clients): each for each in figures}

    def find(self, gateway: str, size: str, clients: int) -> Figures | None:
        """One gateway's figures; None when they were not measured."""
        return self._figures.get((gateway, size, clients))

    def added(self, figures: Figures) -> tuple[float, float]:
        """Median and 95th percentile less those of the direct call."""
        direct = self._figures["direct", figures.size, figures.clients]
        return figures.p50 - direct.p50, figures.p95 - direct.p95

    def goals(self) -> list[Goal]:
        """Each goal that the figures allow to judge."""
        return [
            goal
            for size in SIZES
            for judge in (self._judge_added, self._judge_rate, self._judge_memory)
            if (goal := judge(size))
        ]

    def _both(self, size: str, clients: int) -> tuple[Figures, Figures] | None:
        ours, theirs = self.find("ours", size, clients), self.find("LiteLLM", size, clients)
        return (ours, theirs) if ours and theirs else None

    def _judge_added(self, size: str) -> Goal | None:
        if not (both := self._both(size, 1)):
            return None
        share = self.added(both[0])[0] / self.added(both[1])[0]
        wanted = _ADDED[size]
        return Goal(
            "added p50, share of LiteLLM's", size, f"at most {wanted}", f"{share:.2f}", share <= wanted
        )

    def _judge_rate(self, size: str) -> Goal | None:
        if not (both := self._both(size, 8)):
            return None
        times, wanted = both[0].per_second / both[1].per_second, _PER_SECOND[size]
        return Goal(
            "requests/s of 8 clients, times LiteLLM's", size, str(wanted), f"{times:.1f}", times >= wanted
        )

    def _judge_memory(self, size: str) -> Goal | None:
        if not (both := self._both(size, 64)):
            return None
        most = both[1].peak_bytes
        wanted = f"under LiteLLM's {most / MB:.0f} MB"
        if bodies := _BODIES.get(size):
            most = round(SIZES[size] * 64 * bodies)
            wanted = f"at most {bodies} bodies x 64 = {most / MB:.0f} MB"
        peak = both[0].peak_bytes
        return Goal("peak memory of 64 clients", size, wanted, f"{peak / MB:.0f} MB", peak <= most)
