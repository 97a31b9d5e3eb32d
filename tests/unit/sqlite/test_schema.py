from pathlib import Path

import apsw
import pytest

from server.sqlite import schema
from server.sqlite.failure import StoreError

STEPS = {1: "CREATE TABLE one (x)", 2: "CREATE TABLE two (x); INSERT INTO two VALUES (2)"}
PATH = Path("gateway.db")


@pytest.fixture
def connection(tmp_path: Path) -> apsw.Connection:
    return apsw.Connection(str(tmp_path / "x.db"))


def tables(connection: apsw.Connection) -> set[str]:
    return {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}


def test_migrations_are_numbered_without_gaps() -> None:
    assert list(schema.migrations()) == list(range(1, schema.newest() + 1))


def test_missing_migrations_are_applied_in_order_once(connection: apsw.Connection) -> None:
    schema.migrate(connection, PATH, alone=False, steps={1: STEPS[1]})
    for _ in range(2):
        schema.migrate(connection, PATH, alone=True, steps=STEPS)
    assert tables(connection) == {"one", "two"}
    assert schema.version_of(connection) == 2


def test_a_migration_that_fails_changes_nothing(connection: apsw.Connection) -> None:
    with pytest.raises(apsw.SQLError):
        schema.migrate(
            connection, PATH, alone=True, steps={1: STEPS[1], 2: "CREATE TABLE broken (x); nonsense"}
        )
    assert (tables(connection), schema.version_of(connection)) == (set(), 0)


def test_a_database_of_a_newer_program_is_refused_with_what_to_do(connection: apsw.Connection) -> None:
    schema.migrate(connection, PATH, alone=True, steps=STEPS)
    with pytest.raises(
        StoreError, match=r"newer version .*schema 2; this program knows 1.*Start the newer"
    ) as caught:
        schema.migrate(connection, PATH, alone=True, steps={1: STEPS[1]})
    assert caught.value.reason == "newer"


def test_a_database_in_use_is_not_upgraded(connection: apsw.Connection) -> None:
    schema.migrate(connection, PATH, alone=True, steps={1: STEPS[1]})
    with pytest.raises(StoreError, match=r"must be upgraded.*Stop all of them"):
        schema.migrate(connection, PATH, alone=False, steps=STEPS)
    assert schema.version_of(connection) == 1
