"""Measures gateways in turn: every round of every cell visits each of them."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from bench.peers.client import Client, Outcome
from bench.peers.figures import Figures, percentile
from bench.peers.forms import Form, transcription
from bench.peers.gateways import Gateway

# Time for work after the answer, so that it counts for the gateway that does it.
_SETTLING_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Plan:
    """How much to measure. A round that is not counted comes first."""

    sizes: Sequence[str]
    clients: Sequence[int]
    rounds: int
    seconds: float  # of one gateway's turn in a round


PLAN = Plan(("100 KB", "1 MB", "4 MB", "20 MB"), (1, 8, 64), rounds=3, seconds=1.5)
QUICK = Plan(("1 MB",), (1, 8), rounds=1, seconds=0.5)


class _Tally:
    """What one gateway did in the counted rounds of one cell."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self._outcomes: list[Outcome] = []
        self._cpu_seconds = 0.0
        gateway.process.reset_peak()

    def add(self, outcome: Outcome, cpu_seconds: float) -> None:
        self._outcomes.append(outcome)
        self._cpu_seconds += cpu_seconds

    def figures(self, size: str, clients: int) -> Figures:
        times = [each for outcome in self._outcomes for each in outcome.milliseconds]
        failures = sum(outcome.failures for outcome in self._outcomes)
        seconds = sum(outcome.seconds for outcome in self._outcomes)
        return Figures(
            self.gateway.name,
            size,
            clients,
            requests=len(times),
            failures=failures,
            first_failure=next((each.first_failure for each in self._outcomes if each.failures), ""),
            p50=percentile(times, 0.5),
            p95=percentile(times, 0.95),
            per_second=len(times) / seconds,
            cpu_ms=1000 * self._cpu_seconds / (len(times) + failures),
            peak_bytes=self.gateway.process.footprint().peak_bytes,
        )


def compare(
    gateways: Sequence[Gateway], forms: Mapping[str, Form], plan: Plan, client: Client
) -> Iterator[Figures]:
    """Every gateway's figures, cell by cell: small audio and few clients first, because memory once used may stay."""
    for size in plan.sizes:
        for clients in plan.clients:
            tallies = [_Tally(gateway) for gateway in gateways]
            for turn in range(plan.rounds + 1):
                for tally in tallies:
                    outcome, cpu_seconds = _measure(tally.gateway, forms[size], plan, clients, client)
                    if turn:
                        tally.add(outcome, cpu_seconds)
            yield from (tally.figures(size, clients) for tally in tallies)


def _measure(gateway: Gateway, form: Form, plan: Plan, clients: int, client: Client) -> tuple[Outcome, float]:
    before = gateway.process.footprint().cpu_seconds
    outcome = client.run(transcription(form, gateway.port, gateway.headers, clients, plan.seconds))
    time.sleep(_SETTLING_SECONDS)
    return outcome, gateway.process.footprint().cpu_seconds - before
