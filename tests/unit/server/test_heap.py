"""The memory of finished requests."""

import ctypes
import subprocess
import sys
from pathlib import Path

import pytest

# Prints the resident size before a buffer of 20 MB, after it is freed, and after the memory is given back.
_PROGRAM = """
import pathlib, resource
from server import heap
def resident():
    return int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
heap.keep_freed()
sizes = [resident()]
body = bytearray(20_000_000)
del body
sizes.append(resident())
heap.give_back()
print(*sizes, resident())
"""


@pytest.mark.skipif(
    not (Path("/proc/self/statm").exists() and hasattr(ctypes.CDLL(None), "mallopt")),
    reason="this system has another C library than glibc",
)
def test_freed_memory_is_kept_for_the_next_body_until_it_is_given_back() -> None:
    result = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=True)
    before, freed, returned = map(int, result.stdout.split())
    assert freed - before > 15_000_000
    assert returned - before < 5_000_000
