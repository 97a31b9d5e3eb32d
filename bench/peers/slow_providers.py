"""Measures what 64 calls that wait for slow providers cost another caller, with the server's own settings."""

import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench.peers.client import Client, Job
from bench.peers.figures import MB, Goal, percentile
from bench.peers.forms import listing, transcription, write_form
from bench.peers.gateways import MODEL, SLOW_MODEL, SLOW_USERS, start_ours
from bench.peers.stub import SLOW_SECONDS

CALLS_PER_USER = 32  # a user may have 50 in flight
_AUDIO_BYTES = 100_000
_SECONDS = 3.0
_ARRIVAL_SECONDS = 1.5
COST_GOAL_MS = 20.0
IDLE_GOAL_BYTES = 120 * MB


@dataclass(frozen=True, slots=True)
class SlowProviders:
    """Of another caller: median and 95th percentile in milliseconds, by route, without and with the slow calls. And
    the server's memory before its first transcription."""

    quiet: Mapping[str, tuple[float, float]]
    busy: Mapping[str, tuple[float, float]]
    slow_calls: int
    idle_bytes: int

    def goals(self) -> list[Goal]:
        """The two goals that need no peer."""
        cost = max(self.busy[route][at] - self.quiet[route][at] for route in self.quiet for at in (0, 1))
        wanted, idle = f"at most {COST_GOAL_MS:g} ms", f"{self.idle_bytes / MB:.0f} MB"
        name = f"cost of {self.slow_calls} slow providers to another caller (worst of p50 and p95)"
        return [
            Goal(name, "100 KB", wanted, f"{cost:.1f} ms", cost <= COST_GOAL_MS),
            Goal(
                "idle memory",
                "",
                f"under {IDLE_GOAL_BYTES / MB:.0f} MB",
                idle,
                self.idle_bytes < IDLE_GOAL_BYTES,
            ),
        ]


def measure_slow_providers(provider: int, folder: Path) -> SlowProviders:
    """Start a server of its own, and measure. Raises RuntimeError when a call fails."""
    fast = write_form(folder / "fast", MODEL, _AUDIO_BYTES)
    slow = write_form(folder / "slow", SLOW_MODEL, _AUDIO_BYTES)
    gateway = start_ours(provider, folder)
    with ExitStack() as stack:
        stack.callback(gateway.process.end)
        idle = gateway.process.footprint().resident_bytes
        client, *slow_clients = (stack.enter_context(Client()) for _ in range(1 + len(SLOW_USERS)))
        jobs = {
            "GET /v1/models": listing(gateway.port, gateway.headers, _SECONDS),
            "POST /v1/audio/transcriptions": transcription(fast, gateway.port, gateway.headers, 1, _SECONDS),
        }
        quiet = {route: _times(client, job) for route, job in jobs.items()}
        for user, slow_client in zip(SLOW_USERS, slow_clients, strict=True):
            headers = gateway.others[user]
            slow_client.begin(transcription(slow, gateway.port, headers, CALLS_PER_USER, 0))
        time.sleep(_ARRIVAL_SECONDS)
        busy = {route: _times(client, job) for route, job in jobs.items()}
        outcomes = [slow_client.finish() for slow_client in slow_clients]
    took = [each for outcome in outcomes for each in outcome.milliseconds]
    failure = next((outcome.first_failure for outcome in outcomes if outcome.failures), "")
    if failure or min(took) < SLOW_SECONDS * 1000:
        raise RuntimeError(f"the slow calls did not all wait for their provider: {failure}")
    return SlowProviders(quiet, busy, len(took), idle)


def _times(client: Client, job: Job) -> tuple[float, float]:
    outcome = client.run(job)
    if outcome.failures:
        raise RuntimeError(f"a call failed: {outcome.first_failure}")
    return percentile(outcome.milliseconds, 0.5), percentile(outcome.milliseconds, 0.95)
