"""Write in one thread, which commits everything that waits in one transaction: one sync of the disk pays for all."""

from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import Any, TypeVar

import apsw

from server.sqlite.failure import BROKEN, StoreError, explain

Result = TypeVar("Result")
Job = Callable[[apsw.Connection], Any]
# A batch that is longer would keep its first job waiting for the last.
MAX_BATCH = 256


class Writer:
    """A thread with a connection of its own, which `connect` opens. Jobs run in the order they come."""

    def __init__(self, path: Path, connect: Callable[[], apsw.Connection]) -> None:
        self._path = path
        self._connect = connect
        self._connection: apsw.Connection | None = connect()
        self._waiting: SimpleQueue[tuple[Job, Future[Any]] | None] = SimpleQueue()
        self._closing = Lock()
        self._is_closed = False
        self._thread = Thread(target=self._work, name="database-writer", daemon=True)
        self._thread.start()

    def run(self, job: Callable[[apsw.Connection], Result]) -> Result:
        """Run `job` with the connection, in a transaction. Returns its result once the commit is on the disk.

        An error that the job raises is raised here, and undoes this job alone. Raises StoreError when the store cannot
        be written.
        """
        future: Future[Result] = Future()
        with self._closing:
            if self._is_closed:
                raise StoreError(BROKEN, "The store is closed: the gateway is stopping.")
            self._waiting.put((job, future))
        return future.result()

    def close(self) -> None:
        """Run the jobs that wait, then close the connection."""
        with self._closing:
            if not self._is_closed:
                self._is_closed = True
                self._waiting.put(None)
        self._thread.join()

    def _work(self) -> None:
        is_open = True
        while is_open:
            batch, is_open = self._next_batch()
            if batch:
                self._commit(batch)
        self._reset()

    def _next_batch(self) -> tuple[list[tuple[Job, Future[Any]]], bool]:
        """Wait for a job, and take those that wait behind it. False when the writer is to close after them."""
        batch: list[tuple[Job, Future[Any]]] = []
        try:
            entry = self._waiting.get()
            while entry:
                batch.append(entry)
                if len(batch) == MAX_BATCH:
                    return batch, True
                entry = self._waiting.get_nowait()
        except Empty:
            return batch, True
        return batch, False

    def _commit(self, batch: list[tuple[Job, Future[Any]]]) -> None:
        """Run the jobs in one transaction, then tell those who wait. When it cannot be committed, all of them fail."""
        try:
            outcomes = self._transact([job for job, _ in batch])
        except BaseException as error:
            self._reset()
            failure = explain(error, self._path) if isinstance(error, (apsw.Error, OSError)) else error
            for _, future in batch:
                future.set_exception(failure)
            return
        for (_, future), (result, error_of_job) in zip(batch, outcomes, strict=True):
            if error_of_job:
                future.set_exception(error_of_job)
            else:
                future.set_result(result)

    def _transact(self, jobs: list[Job]) -> list[tuple[Any, Exception | None]]:
        connection = self._connection = self._connection or self._connect()
        connection.execute("BEGIN IMMEDIATE")
        outcomes = [self._try(connection, job) for job in jobs]
        connection.execute("COMMIT")
        return outcomes

    def _try(self, connection: apsw.Connection, job: Job) -> tuple[Any, Exception | None]:
        """Run one job. Its error undoes what the job did; an error of the disk is raised and undoes the batch."""
        connection.execute("SAVEPOINT job")
        try:
            result = job(connection)
        except (apsw.ConstraintError, apsw.BindingsError, apsw.SQLError) as error:
            failed: Exception = error
        except apsw.Error:
            raise
        except Exception as error:
            failed = error
        else:
            connection.execute("RELEASE job")
            return result, None
        connection.execute("ROLLBACK TO job")
        connection.execute("RELEASE job")
        return None, failed

    def _reset(self) -> None:
        """Close the connection, which rolls back. The next batch opens another, and so starts from a known state."""
        connection, self._connection = self._connection, None
        if connection:
            with suppress(apsw.Error):  # a broken disk may refuse this too
                connection.close(True)
