"""Measures the audio prober: time and memory for ordinary and hostile files, and the time of its import."""

import os
import subprocess
import sys
import time
import tracemalloc
from tempfile import TemporaryDirectory

from bench.audio_files import HOSTILE, ORDINARY, Maker
from gateway.audio import probe

_LARGE, _SMALL = 25 * 1024 * 1024, 4 * 1024 * 1024
_IMPORT = "import time; t = time.process_time(); import gateway.audio; print(time.process_time() - t)"


def main() -> None:
    """Prints the tables one by one; the headings give the goals."""
    print(f"import {import_milliseconds():.1f} ms (goal: 5)\n")
    print("| ordinary | 25 MB, ms (350) | extra MB (10) | 4 MB, ms (60) | seconds |\n|---|---|---|---|---|")
    for name, make in ORDINARY.items():
        large, extra, seconds = measure(make, _LARGE)
        small, _, _ = measure(make, _SMALL)
        print(f"| {name} | {large:.0f} | {extra:.2f} | {small:.0f} | {seconds} |")
    print("\n| hostile | 25 MB, ms (1000) | extra MB (10) | seconds |\n|---|---|---|---|")
    for name, make in HOSTILE.items():
        large, extra, seconds = measure(make, _LARGE)
        print(f"| {name} | {large:.0f} | {extra:.2f} | {seconds} |")


def measure(make: Maker, size: int) -> tuple[float, float, str]:
    """Milliseconds of CPU time (best of three), extra megabytes, and the duration of one file."""
    data = make(size)
    best = min(_timed(data) for _ in range(3))
    audio = probe(data)
    if best > 0.3:  # tracing makes a walk ten times slower
        data = data[: 8 * 1024 * 1024]
    tracemalloc.start()
    probe(data)
    extra = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return best * 1000, extra / 1e6, "unknown" if audio.seconds is None else f"{audio.seconds:.1f}"


def _timed(data: bytes) -> float:
    start = time.process_time()
    probe(data)
    return time.process_time() - start


def import_milliseconds() -> float:
    """Milliseconds of CPU time for the import in a fresh interpreter, best of ten, with bytecode as in a
    deployment."""
    with TemporaryDirectory() as cache:
        variables = {**os.environ, "PYTHONPYCACHEPREFIX": cache, "PYTHONDONTWRITEBYTECODE": ""}
        command = [sys.executable, "-c", _IMPORT]
        runs = [subprocess.run(command, env=variables, capture_output=True, check=True) for _ in range(11)]
    return min(float(run.stdout) for run in runs[1:]) * 1000


if __name__ == "__main__":
    main()
