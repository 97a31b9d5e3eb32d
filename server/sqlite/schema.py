"""Create the tables and bring older ones up to date, with numbered SQL files."""

from pathlib import Path

import apsw

from server.sqlite.failure import LOCKED, NEWER, StoreError

MIGRATIONS = Path(__file__).parent / "migrations"


def migrations(folder: Path = MIGRATIONS) -> dict[int, str]:
    """The SQL of each migration by its number: `0001_first.sql` is number 1."""
    return {int(file.name[:4]): file.read_text() for file in sorted(folder.glob("[0-9]*.sql"))}


def newest() -> int:
    """The version of the schema that this program uses: the number of its last migration."""
    return max(migrations())


def version_of(connection: apsw.Connection) -> int:
    """The version of a database's schema; 0 when it has no tables yet."""
    return int(connection.pragma("user_version"))


def check_is_known(version: int, known: int, path: Path) -> None:
    """Raise StoreError when the database was written by a newer program."""
    if version > known:
        raise StoreError(
            NEWER,
            f"{path} was written by a newer version of the gateway (schema {version}; this program knows {known}). "
            "Start the newer version, or restore a backup that this version made.",
        )


def migrate(
    connection: apsw.Connection, path: Path, *, alone: bool, steps: dict[int, str] | None = None
) -> None:
    """Apply the missing migrations in one exclusive transaction. Raises StoreError.

    A database that has tables is upgraded only while this process is `alone` with it, because a running process of
    the older version would not know the new tables.
    """
    steps = migrations() if steps is None else steps
    known = max(steps)
    version = version_of(connection)
    check_is_known(version, known, path)
    if version == known:
        return
    connection.execute("BEGIN EXCLUSIVE")
    try:
        # Read it again: another process may have applied them in the meantime.
        version = version_of(connection)
        check_is_known(version, known, path)
        if 0 < version < known and not alone:
            raise StoreError(
                LOCKED,
                f"{path} must be upgraded, but another process of the gateway is using it. Stop all of them, then "
                "start this version.",
            )
        for number in sorted(step for step in steps if step > version):
            connection.execute(steps[number])
            connection.pragma("user_version", number)
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
