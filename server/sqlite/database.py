"""The main database of one process: one thread that writes, and a connection for each query under way."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import local
from typing import Any, TypeVar

import apsw

from server.sqlite import schema
from server.sqlite.connection import BUSY_MILLISECONDS, check_sqlite, connect
from server.sqlite.failure import explained
from server.sqlite.writer import Writer

Result = TypeVar("Result")
Row = tuple[Any, ...]
# A connection's cache of pages.
_READER_KIBIBYTES = 256
_WRITER_KIBIBYTES = 2048


class Database:
    """The database at `path`, created or upgraded when it is opened. Raises StoreError.

    `alone` says that no other process uses it. `vfs` names another of SQLite's file systems, for tests.
    """

    def __init__(
        self,
        path: Path,
        *,
        alone: bool = False,
        busy_milliseconds: int = BUSY_MILLISECONDS,
        vfs: str | None = None,
    ) -> None:
        check_sqlite()
        self.path = path
        self._busy_milliseconds = busy_milliseconds
        self._vfs = vfs
        self._local = local()
        # The readers that no thread uses. The last one back is the first to be used again: a few connections, with
        # their caches of pages and statements, serve hundreds of threads that mostly wait for providers.
        self._idle: list[apsw.Connection] = []
        with explained(path):
            first = self._connect(_WRITER_KIBIBYTES)
            try:
                schema.migrate(first, path, alone=alone)
            finally:
                first.close()
        self._writer = Writer(path, lambda: self._connect(_WRITER_KIBIBYTES))

    def write(self, job: Callable[[apsw.Connection], Result]) -> Result:
        """Run `job` in a transaction, in the writer's thread. Returns its result once the commit is on the disk."""
        return self._writer.run(job)

    def rows(self, sql: str, bindings: tuple[Any, ...] = ()) -> list[Row]:
        """The rows of one query, read in this thread. Raises StoreError."""
        with explained(self.path), self._reader() as reader:
            return reader.execute(sql, bindings).fetchall()

    def row(self, sql: str, bindings: tuple[Any, ...] = ()) -> Row | None:
        """The first row of one query; None when there is none. Raises StoreError."""
        found = self.rows(sql, bindings)
        return found[0] if found else None

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Let the queries of the block, in this thread, see one state of the database. Raises StoreError."""
        with explained(self.path), self._reader() as reader:
            reader.execute("BEGIN")
            self._local.reader = reader
            try:
                yield
            finally:
                self._local.reader = None
                reader.execute("ROLLBACK")

    def close_readers(self) -> None:
        """Close the readers, while no thread reads. They open again at their next use."""
        while self._idle:
            self._idle.pop().close()

    def close(self) -> None:
        """Commit what waits, then close all connections."""
        self._writer.close()
        self.close_readers()

    @contextmanager
    def _reader(self) -> Iterator[apsw.Connection]:
        """A connection for this thread alone: that of its snapshot, or an idle one."""
        of_snapshot: apsw.Connection | None = getattr(self._local, "reader", None)
        if of_snapshot is not None:
            yield of_snapshot
            return
        try:
            reader = self._idle.pop()
        except IndexError:
            reader = self._connect(_READER_KIBIBYTES)
        try:
            yield reader
        finally:
            self._idle.append(reader)

    def _connect(self, cache_kibibytes: int) -> apsw.Connection:
        return connect(
            self.path,
            busy_milliseconds=self._busy_milliseconds,
            cache_kibibytes=cache_kibibytes,
            vfs=self._vfs,
        )
