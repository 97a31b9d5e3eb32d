import gc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Thread

import pytest

from server.sqlite.database import Database
from server.sqlite.failure import StoreError

ADD = "INSERT INTO users (user_id, preference) VALUES (?, 'any')"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(tmp_path / "gateway.db")
    yield opened
    opened.close()


def add(database: Database, user: str) -> None:
    database.write(lambda connection: connection.execute(ADD, (user,)))


def users(database: Database) -> list[str]:
    return [user for (user,) in database.rows("SELECT user_id FROM users ORDER BY user_id")]


def open_files(path: Path) -> int:
    """How many descriptors of this process are open on the file."""
    return sum(link.exists() and link.samefile(path) for link in Path("/proc/self/fd").iterdir())


def test_what_was_written_is_read_at_once_by_every_thread(database: Database) -> None:
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda number: add(database, f"u{number}"), range(20)))
        seen = list(threads.map(lambda _: users(database), range(8)))
    assert all(len(each) == 20 for each in seen)


def test_the_queries_of_a_snapshot_see_one_state(database: Database) -> None:
    add(database, "ann")
    with database.snapshot():
        assert users(database) == ["ann"]
        add(database, "ben")
        assert users(database) == ["ann"]
    assert users(database) == ["ann", "ben"]


def test_a_snapshot_ends_when_its_block_fails(database: Database) -> None:
    with pytest.raises(ZeroDivisionError), database.snapshot():
        assert users(database) == []
        raise ZeroDivisionError
    add(database, "ann")
    assert users(database) == ["ann"]


def test_a_row_that_is_not_there_is_none(database: Database) -> None:
    assert database.row("SELECT 1 FROM users") is None


@pytest.mark.skipif(
    not Path("/proc/self/fd").exists(), reason="this system does not list open files in /proc"
)
def test_a_threads_connection_goes_with_the_thread(database: Database) -> None:
    users(database)
    before = open_files(database.path)
    for _ in range(10):
        reading = Thread(target=users, args=(database,))
        reading.start()
        reading.join()
    gc.collect()
    # SQLite may keep one descriptor for the next connection to use.
    assert open_files(database.path) <= before + 1


@pytest.mark.skipif(
    not Path("/proc/self/fd").exists(), reason="this system does not list open files in /proc"
)
def test_closing_leaves_no_file_open(tmp_path: Path) -> None:
    database = Database(tmp_path / "gateway.db")
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: users(database), range(20)))
        database.close()
        assert open_files(database.path) == 0


def test_an_unreadable_database_is_a_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "gateway.db"
    path.mkdir()
    with pytest.raises(StoreError, match="cannot be opened"):
        Database(path)
