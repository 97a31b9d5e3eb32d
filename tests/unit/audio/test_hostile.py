"""Files made to be slow. The limits are generous and in CPU time; `bench.audio` measures."""

import time
import tracemalloc

import pytest

from bench.audio_files import HOSTILE, ORDINARY
from gateway.audio import measure, probe
from gateway.audio.result import Finding

SIZE = 25 * 1024 * 1024


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_of_25_mb_takes_less_than_a_second(name: str) -> None:
    view = memoryview(HOSTILE[name](SIZE))
    spent = 9.0
    for _ in range(3):  # other processes may have used the caches
        start = time.process_time()
        measure(view, Finding(), 14_400.0)
        spent = min(spent, time.process_time() - start)
        if spent < 1.0:
            break
    assert spent < 1.0


@pytest.mark.parametrize("name", [*ORDINARY, "WebM, sixteen tracks", "Ogg, a stream a page"])
def test_no_file_needs_memory_for_its_whole_size(name: str) -> None:
    data = (HOSTILE | ORDINARY)[name](5 * 1024 * 1024)
    tracemalloc.start()
    try:
        probe(data)
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()
