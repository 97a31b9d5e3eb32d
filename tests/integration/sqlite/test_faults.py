"""A store that cannot be opened or used says why and what to do, and loses nothing."""

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import apsw
import pytest

from gateway.accounts.limits import Claim, Rate
from gateway.errors import StorageUnavailable
from server.sqlite.database import Database
from server.sqlite.failure import StoreError
from server.sqlite.filesystem import check_is_local
from server.sqlite.stores import SqliteStores, open_stores
from server.sqlite.usage import UsageStore
from tests.fakes import usage_record
from tests.integration.sqlite.records import check_consistent
from tests.integration.sqlite.unreliable_disk import UnreliableDisk, mounted


def refusal(data_dir: Path) -> StoreError:
    """The error of opening the stores."""
    with pytest.raises(StoreError) as caught:
        open_stores(data_dir).close()
    return caught.value


def reason(error: pytest.ExceptionInfo[StorageUnavailable]) -> str:
    assert isinstance(error.value.__cause__, StoreError)
    return error.value.__cause__.reason


# --- the answer to the caller


def test_a_caller_whose_record_cannot_be_stored_is_told_so_without_details(data_dir: Path) -> None:
    stores = open_stores(data_dir)
    stores.close()
    with pytest.raises(StorageUnavailable) as caught:
        stores.usage().save(usage_record("r1"))
    error = caught.value
    assert (error.status, error.type) == (500, "api_error")
    assert error.headers == {"x-should-retry": "false"}
    assert "cannot store the usage record" in error.message
    assert str(data_dir) not in json.dumps(error.envelope())


# --- a full disk


def test_a_full_disk_refuses_records_and_loses_none(tmp_path: Path) -> None:
    path = tmp_path / "gateway.db"
    with mounted(UnreliableDisk()) as disk:
        database = Database(path, vfs=disk.name)
        store = UsageStore(database, 400)
        store.save(usage_record("before"))
        disk.room = 20_000
        saved = []
        with pytest.raises(StorageUnavailable) as caught:
            for number in range(1000):
                store.save(usage_record(f"r{number}"))
                saved.append(f"r{number}")
        assert reason(caught) == "full"
        assert saved
        disk.room = None
        store.save(usage_record("after"))
        database.close()
    assert check_consistent(path) == {"before", *saved, "after"}


def test_a_file_that_may_not_grow_refuses_records_and_loses_none(data_dir: Path) -> None:
    resource = pytest.importorskip("resource")
    stores = open_stores(data_dir)
    stores.usage().save(usage_record("before"))
    size = (data_dir / "gateway.db-wal").stat().st_size
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 10_000, hard))
    try:
        saved = []
        with pytest.raises(StorageUnavailable) as caught:
            for number in range(1000):
                stores.usage().save(usage_record(f"r{number}"))
                saved.append(f"r{number}")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert reason(caught) in ("full", "broken")
    stores.usage().save(usage_record("after"))
    stores.close()
    assert check_consistent(data_dir / "gateway.db") == {"before", *saved, "after"}


# --- a locked database


@pytest.fixture
def lock(data_dir: Path) -> Iterator[apsw.Connection]:
    """A connection of somebody else that keeps the database locked."""
    open_stores(data_dir).close()
    other = apsw.Connection(str(data_dir / "gateway.db"))
    other.execute("BEGIN IMMEDIATE")
    yield other
    other.close()


def test_a_database_that_stays_locked_refuses_records_until_it_is_free(
    data_dir: Path, lock: apsw.Connection
) -> None:
    database = Database(data_dir / "gateway.db", busy_milliseconds=100)
    store = UsageStore(database, 400)
    with pytest.raises(StorageUnavailable) as caught:
        store.save(usage_record("r1"))
    assert reason(caught) == "locked"
    assert "Another process has kept" in str(caught.value.__cause__)
    lock.execute("ROLLBACK")
    store.save(usage_record("r2"))
    database.close()
    assert check_consistent(data_dir / "gateway.db") == {"r2"}


# --- a damaged database


def test_a_file_that_is_no_database_is_refused(data_dir: Path) -> None:
    open_stores(data_dir).close()
    (data_dir / "gateway.db").write_bytes(os.urandom(8192))
    error = refusal(data_dir)
    assert error.reason == "corrupt"
    assert "gateway.db is damaged" in str(error)
    assert "restore a backup" in str(error)


def test_a_damaged_page_refuses_records_with_a_clear_error(data_dir: Path) -> None:
    stores = open_stores(data_dir)
    for number in range(500):
        stores.usage().save(usage_record(f"r{number:03d}"))
    stores.close()
    path = data_dir / "gateway.db"
    content = path.read_bytes()
    # The first pages hold the schema and the roots of the tables.
    intact = 4096 * 36
    assert len(content) > intact
    path.write_bytes(content[:intact] + b"\xff" * (len(content) - intact))
    database = Database(path)
    with pytest.raises(StorageUnavailable) as caught:
        UsageStore(database, 400).save(usage_record("r250x"))
    assert reason(caught) == "corrupt"
    database.close()


def test_damaged_counters_start_anew_and_the_file_is_kept(data_dir: Path) -> None:
    stores = open_stores(data_dir)
    stores.limits().reserve_seconds("bob", 7, 10, 10)
    stores.close()
    (data_dir / "limits.db").write_bytes(b"nonsense" * 1000)
    stores = open_stores(data_dir)
    assert stores.limits().reserve_seconds("bob", 7, 10, 10)
    assert not stores.limits().reserve_seconds("bob", 7, 10, 10)
    stores.close()
    assert [path.name.partition("-")[0] for path in data_dir.glob("limits.db.damaged*")] == [
        "limits.db.damaged"
    ]


# --- a newer program's database


def test_a_newer_database_is_refused_and_left_alone(data_dir: Path) -> None:
    open_stores(data_dir).close()
    path = data_dir / "gateway.db"
    newer = apsw.Connection(str(path))
    newer.pragma("user_version", 999)
    newer.close()
    before = path.read_bytes()
    error = refusal(data_dir)
    assert error.reason == "newer"
    assert "schema 999" in str(error)
    assert path.read_bytes() == before


# --- permissions


def test_a_directory_that_cannot_be_written_is_refused(as_nobody: Path) -> None:
    data_dir = as_nobody / "data"
    open_stores(data_dir).close()
    data_dir.chmod(0o500)
    error = refusal(data_dir)
    data_dir.chmod(0o700)
    assert error.reason in ("read_only", "no_permission", "cannot_open")
    assert str(data_dir) in str(error)


def test_a_database_that_cannot_be_written_is_refused(as_nobody: Path) -> None:
    data_dir = as_nobody / "data"
    open_stores(data_dir).close()
    (data_dir / "gateway.db").chmod(0o400)
    error = refusal(data_dir)
    assert error.reason in ("read_only", "no_permission", "cannot_open")


def test_a_directory_that_cannot_be_created_is_refused_with_what_to_do(as_nobody: Path) -> None:
    as_nobody.chmod(0o500)
    error = refusal(as_nobody / "data")
    as_nobody.chmod(0o700)
    assert error.reason == "no_permission"
    assert "set DATA_DIR to another directory" in str(error)


def test_a_network_file_system_is_refused(data_dir: Path, tmp_path: Path) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"30 22 0:26 / {tmp_path} rw - nfs4 server:/export rw\n")
    with pytest.raises(StoreError, match="nfs4"):
        check_is_local(data_dir, mounts)


# --- a clock that jumps

DAY = 86_400.0
YEARS = 3650 * DAY


def test_a_record_counts_once_on_the_day_of_its_start_whatever_the_clock_says(data_dir: Path) -> None:
    stores = open_stores(data_dir)
    for request_id, started_at in (("future", YEARS), ("past", -400 * DAY), ("now", 0.0)):
        made = usage_record(request_id)
        made = replace(made, started_at=made.started_at + started_at)
        for _ in range(2):
            stores.usage().save(made)
    stores.close()
    assert check_consistent(data_dir / "gateway.db") == {"future", "past", "now"}


def test_a_clock_that_jumps_forward_deletes_nothing(stores: SqliteStores, data_dir: Path) -> None:
    made = usage_record("r1")
    stores.usage().save(made)
    stores.sweep(made.started_at)
    stores.sweep(made.started_at + YEARS)
    assert check_consistent(data_dir / "gateway.db") == {"r1"}


def test_a_clock_that_was_set_back_does_not_refuse_users_until_it_catches_up(stores: SqliteStores) -> None:
    claim = Claim("bob", "requests", Rate(20, 60))
    assert [stores.limits().take(claim, YEARS).refused for _ in range(4)] == [None, None, None, "rate"]
    # The user is as far ahead as before, no further.
    assert stores.limits().take(claim, 1000).refused == "rate"
    assert stores.limits().take(claim, 1000 + 21).refused is None
