"""Several processes on one data directory, and processes that are killed."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from server.sqlite.stores import open_stores
from tests.fakes import usage_record
from tests.integration.sqlite.records import check_consistent

_ROOT = Path(__file__).parents[3]


@contextmanager
def process(what: str, data_dir: Path, name: str) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-m", "tests.integration.sqlite.other_process", what, str(data_dir), name]
    with subprocess.Popen(
        command,
        cwd=_ROOT,
        env={"PYTHONPATH": f"{_ROOT}:{_ROOT / 'layers/shared'}"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as running:
        try:
            yield running
        finally:
            running.kill()


@pytest.mark.parametrize("round_", range(3))
def test_a_killed_process_loses_no_record_whose_save_returned(data_dir: Path, round_: int) -> None:
    saved: set[str] = set()
    for number in range(2):  # the second process finds what the first left
        with process("save", data_dir, f"p{number}") as running:
            assert running.stdout
            saved.add(running.stdout.readline().strip())
            time.sleep(0.1 * (round_ + 1))
            running.send_signal(signal.SIGKILL)
            # The last line may be cut off.
            saved |= {line.strip() for line in running.stdout if line.endswith("\n")}
    assert len(saved) > 10
    assert saved <= check_consistent(data_dir / "gateway.db")


def test_processes_that_start_at_once_share_new_stores(data_dir: Path) -> None:
    names = ["a", "b", "c", "d"]
    with ExitStack() as stack:
        running = [stack.enter_context(process("count", data_dir, name)) for name in names]
        given = [int(each.stdout.readline()) for each in running if each.stdout]
        # They also share the places in flight.
        assert sum(given) == 50
        for each in running:
            each.communicate("")
        assert [each.returncode for each in running] == [0, 0, 0, 0]
    stored = check_consistent(data_dir / "gateway.db")
    assert stored == {f"{name}-{number}" for name in names for number in range(100)}


def test_stores_can_be_read_and_changed_beside_a_process_that_saves(data_dir: Path) -> None:
    with process("save", data_dir, "other") as running:
        assert running.stdout
        running.stdout.readline()
        stores = open_stores(data_dir)
        key, _ = stores.keys().create("alice")
        for number in range(50):
            stores.usage().save(usage_record(f"mine-{number}"))
        assert stores.keys().identify(key, 0)
        stores.close()
    assert len(check_consistent(data_dir / "gateway.db")) > 50
