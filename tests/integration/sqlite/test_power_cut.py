"""What is left after the power fails in the middle of traffic."""

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import apsw
import pytest

from gateway.errors import StorageUnavailable
from server.sqlite.connection import connect
from server.sqlite.database import Database
from server.sqlite.usage import UsageStore
from tests.fakes import usage_record
from tests.integration.sqlite.records import check_consistent
from tests.integration.sqlite.unreliable_disk import UnreliableDisk, mounted


def save_until_dark(save: Callable[[str], None], worker: int) -> list[str]:
    """Save records until the power is off. Returns the ids of those whose save returned."""
    saved: list[str] = []
    for number in range(10_000):
        request_id = f"{worker}-{number}"
        try:
            save(request_id)
        except StorageUnavailable:
            return saved
        saved.append(request_id)
    raise AssertionError("the power never failed")


@pytest.mark.parametrize("seed", range(12))
def test_every_record_whose_save_returned_is_there_once_after_a_power_cut(tmp_path: Path, seed: int) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    before.mkdir()
    with mounted(UnreliableDisk()) as disk:
        database = Database(before / "gateway.db", vfs=disk.name)
        store = UsageStore(database, 400)
        # Up to several checkpoints, each after a thousand pages.
        disk.writes_left = random.Random(seed).randrange(100, 6000)
        with ThreadPoolExecutor(8) as threads:
            saving = [
                threads.submit(save_until_dark, lambda each: store.save(usage_record(each)), worker)
                for worker in range(8)
            ]
            saved = {request_id for each in saving for request_id in each.result()}
        disk.after_power_cut(before, after, seed)
        database.close()
    assert saved
    assert saved <= check_consistent(after / "gateway.db")


def test_what_was_written_without_a_sync_is_lost_in_a_power_cut(tmp_path: Path) -> None:
    """Shows that the disk of these tests does forget."""
    before, after = tmp_path / "before", tmp_path / "after"
    before.mkdir()
    with mounted(UnreliableDisk()) as disk:
        connection = connect(before / "x.db", synchronous="OFF", vfs=disk.name)
        connection.execute("CREATE TABLE t (x); INSERT INTO t VALUES (1)")
        disk.pending.clear()
        disk.after_power_cut(before, after, 1)
        connection.close()
    reopened = apsw.Connection(str(after / "x.db"))
    assert reopened.execute("SELECT name FROM sqlite_schema").fetchall() == []
    reopened.close()
