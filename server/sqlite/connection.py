"""Open SQLite connections, all set up alike."""

from pathlib import Path

import apsw

from server.sqlite.failure import READ_ONLY, StoreError, explained, store_error

# Earlier versions can corrupt a database in WAL mode when two connections write and checkpoint at the same moment
# (sqlite.org/wal.html, "The WAL-reset bug").
_MIN_SQLITE = (3, 51, 3)
BUSY_MILLISECONDS = 10_000
# A burst of writes may make the WAL longer. It is cut back when it has been copied into the database.
_MAX_WAL_BYTES = 16_000_000


def check_sqlite(version: str | None = None) -> None:
    """Raise StoreError when the SQLite in use is too old."""
    version = version or apsw.sqlite_lib_version()
    if tuple(map(int, version.split(".")[:3])) < _MIN_SQLITE:
        raise StoreError(
            "old_sqlite",
            f"SQLite {version} can damage a database that several connections use. Install at least "
            f"{'.'.join(map(str, _MIN_SQLITE))}: pip install -r requirements/server.txt",
        )


def connect(
    path: Path,
    *,
    synchronous: str = "FULL",
    busy_milliseconds: int = BUSY_MILLISECONDS,
    cache_kibibytes: int = 512,
    vfs: str | None = None,
) -> apsw.Connection:
    """Open the database at `path`, and create it if it is missing. Raises StoreError."""
    with explained(path):
        if not path.exists():
            path.touch(mode=0o600)  # SQLite gives the files beside it the same mode
        connection = apsw.Connection(str(path), vfs=vfs)
        try:
            if connection.readonly("main"):  # SQLite opens a file that it cannot write all the same
                raise store_error(READ_ONLY, path)
            connection.set_busy_timeout(busy_milliseconds)
            connection.pragma("journal_mode", "wal")
            connection.pragma("synchronous", synchronous)
            # On macOS, fsync leaves the data in the disk's own cache. Elsewhere this changes nothing.
            connection.pragma("fullfsync", True)
            connection.pragma("journal_size_limit", _MAX_WAL_BYTES)
            connection.pragma("foreign_keys", True)
            # The schema is ours, but a file that someone swapped in must not be able to run functions.
            connection.pragma("trusted_schema", False)
            connection.pragma("cache_size", -cache_kibibytes)
        except BaseException:
            connection.close()
            raise
    return connection
