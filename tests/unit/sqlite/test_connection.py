from pathlib import Path

import pytest

from server.sqlite.connection import check_sqlite, connect
from server.sqlite.failure import StoreError


@pytest.mark.parametrize("version", ["3.51.2", "3.44.0", "3.8.11"])
def test_a_sqlite_that_can_damage_a_database_is_refused(version: str) -> None:
    with pytest.raises(StoreError, match=rf"SQLite {version} can damage.*at least 3\.51\.3"):
        check_sqlite(version)


def test_the_sqlite_in_use_is_new_enough() -> None:
    check_sqlite()


def test_a_connection_syncs_every_commit_and_enforces_references(tmp_path: Path) -> None:
    connection = connect(tmp_path / "x.db")
    read = {
        name: connection.pragma(name)
        for name in ("journal_mode", "synchronous", "foreign_keys", "trusted_schema")
    }
    connection.close()
    assert read == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "trusted_schema": 0}


def test_only_the_owner_can_read_the_files(tmp_path: Path) -> None:
    connection = connect(tmp_path / "x.db")
    connection.execute("CREATE TABLE t (x)")
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    connection.close()
    assert modes == {"x.db": 0o600, "x.db-wal": 0o600, "x.db-shm": 0o600}
