"""Measures what one sync of a disk costs, which every durable record has to wait for."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

from bench.peers.figures import percentile

_BLOCK = bytes(4096)
_ROUNDS = 100


@dataclass(frozen=True, slots=True)
class SyncCost:
    """Milliseconds of one fsync after appending 4 KiB."""

    p50: float
    p95: float


def measure_sync(folder: Path) -> SyncCost:
    """Measure on the disk of this folder."""
    times = []
    with (folder / "sync").open("wb", buffering=0) as file:
        for _ in range(_ROUNDS):
            file.write(_BLOCK)
            began = time.perf_counter()
            os.fsync(file.fileno())
            times.append((time.perf_counter() - began) * 1000)
    return SyncCost(percentile(times, 0.5), percentile(times, 0.95))
