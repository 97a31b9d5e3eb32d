import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import apsw
import pytest

from server.sqlite.connection import connect
from server.sqlite.failure import StoreError
from server.sqlite.writer import MAX_BATCH, Writer

Job = Callable[[apsw.Connection], object]


class Opened:
    """A writer on a database with one table, and how often it committed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.commits = 0
        connection = connect(path)
        connection.execute("CREATE TABLE t (x INTEGER UNIQUE)")
        connection.close()
        self.writer = Writer(path, self._connect)

    def _connect(self) -> apsw.Connection:
        connection = connect(self.path, busy_milliseconds=100)
        connection.set_commit_hook(self._committed)
        return connection

    def _committed(self) -> bool:
        self.commits += 1
        return False

    def stored(self) -> list[int]:
        connection = connect(self.path)
        try:
            return [x for (x,) in connection.execute("SELECT x FROM t ORDER BY x")]
        finally:
            connection.close()

    def add(self, x: int) -> None:
        self.writer.run(lambda connection: connection.execute("INSERT INTO t VALUES (?)", (x,)))


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opened]:
    made = Opened(tmp_path / "x.db")
    yield made
    made.writer.close()


def while_it_works(writer: Writer, start: Callable[[], None]) -> None:
    """Call `start` while the writer is busy with a job, so that what it begins waits for the next batch."""
    busy, waiting = threading.Event(), threading.Event()

    def job(_: apsw.Connection) -> None:
        busy.set()
        assert waiting.wait(20)

    with ThreadPoolExecutor(1) as other:
        first = other.submit(writer.run, job)
        assert busy.wait(20)
        start()
        waiting.set()
        first.result()


def all_waiting(writer: Writer, number: int) -> None:
    """Wait until `number` jobs wait behind the one under way."""
    pause = threading.Event()
    while writer._waiting.qsize() < number:
        pause.wait(0.001)


def test_a_job_is_on_the_disk_when_its_result_is_returned(opened: Opened) -> None:
    assert opened.writer.run(lambda connection: connection.execute("INSERT INTO t VALUES (1)") and 7) == 7
    assert opened.stored() == [1]


def test_jobs_that_wait_are_committed_together(opened: Opened) -> None:
    with ThreadPoolExecutor(20) as threads:

        def start() -> None:
            for x in range(20):
                threads.submit(opened.add, x)
            all_waiting(opened.writer, 20)

        while_it_works(opened.writer, start)
    assert opened.stored() == list(range(20))
    assert opened.commits == 2  # the first job, then all that waited behind it


def test_a_job_that_fails_undoes_only_itself(opened: Opened) -> None:
    def fail(connection: apsw.Connection) -> None:
        connection.execute("INSERT INTO t VALUES (99)")
        raise RuntimeError("no")

    with ThreadPoolExecutor(3) as threads:
        results = []

        def start() -> None:
            for job in (lambda: opened.add(1), lambda: opened.writer.run(fail), lambda: opened.add(1)):
                results.append(threads.submit(job))
                all_waiting(opened.writer, len(results))

        while_it_works(opened.writer, start)
    assert opened.stored() == [1]
    assert results[0].exception() is None
    assert isinstance(results[1].exception(), RuntimeError)
    assert isinstance(results[2].exception(), apsw.ConstraintError)
    assert opened.commits == 2  # the first job, then all that waited behind it


def test_a_batch_that_cannot_begin_fails_and_the_next_one_works(opened: Opened) -> None:
    other = connect(opened.path)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="locked"):
        opened.add(1)
    other.execute("ROLLBACK")
    other.close()
    opened.add(2)
    assert opened.stored() == [2]


def test_closing_runs_what_waits_and_refuses_what_comes_later(opened: Opened) -> None:
    number = MAX_BATCH + 10  # more than one batch
    with ThreadPoolExecutor(number + 1) as threads:

        def start() -> None:
            for x in range(number):
                threads.submit(opened.add, x)
            all_waiting(opened.writer, number)
            threads.submit(opened.writer.close)

        while_it_works(opened.writer, start)
    assert opened.stored() == list(range(number))
    with pytest.raises(StoreError, match="stopping"):
        opened.add(1000)


def test_closing_twice_is_harmless(opened: Opened) -> None:
    opened.writer.close()
    opened.writer.close()
