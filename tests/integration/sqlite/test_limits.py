"""Counters that cannot be counted let requests pass, and counters that no longer matter are deleted."""

from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from gateway.accounts.limits import DAY_SECONDS, Claim, Rate
from server.sqlite import limits
from server.sqlite.limits import LimitStore

CLAIM = Claim("bob", "requests", Rate(1, 60), places=1, lease_seconds=30)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "limits.db"


@pytest.fixture
def store(path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LimitStore]:
    monkeypatch.setattr(limits, "_BUSY_MILLISECONDS", 50)
    made = LimitStore(path)
    yield made
    made.close()


def rows(path: Path) -> dict[str, int]:
    connection = apsw.Connection(str(path))
    found = {
        table: connection.execute(f"SELECT count(*) FROM {table}").get
        for table in ("rates", "leases", "days")
    }
    connection.close()
    return found


def test_limits_that_cannot_be_counted_let_requests_pass(store: LimitStore, path: Path) -> None:
    other = apsw.Connection(str(path))
    other.execute("BEGIN IMMEDIATE")
    taken = store.take(CLAIM, 1000)
    assert (taken.refused, taken.due, taken.lease) == (None, None, None)
    assert store.reserve_seconds("bob", 7, 6, 10)
    store.add_seconds("bob", 7, -6)()
    store.release("bob", "requests", "none")()
    other.execute("ROLLBACK")
    other.close()
    # Nothing was counted, and counting goes on.
    assert rows(path) == {"rates": 0, "leases": 0, "days": 0}
    assert store.take(CLAIM, 1000).lease
    assert store.take(CLAIM, 1000).refused == "in_flight"


def test_a_closed_store_lets_requests_pass(path: Path) -> None:
    store = LimitStore(path)
    store.close()
    assert store.take(CLAIM, 1000).refused is None
    assert store.reserve_seconds("bob", 7, 6, 10)


def test_counters_that_no_longer_matter_are_swept(store: LimitStore, path: Path) -> None:
    now = 1000.0 * DAY_SECONDS
    store.take(CLAIM, now)
    store.reserve_seconds("bob", 1000, 5, 10)
    store.reserve_seconds("bob", 996, 5, 10)
    store.sweep(now)
    assert rows(path) == {"rates": 1, "leases": 1, "days": 1}
    store.sweep(now + 3600)
    assert rows(path) == {"rates": 0, "leases": 0, "days": 1}
    assert not store.reserve_seconds("bob", 1000, 6, 10)


def test_two_stores_on_one_file_share_their_counts(store: LimitStore, path: Path) -> None:
    beside = LimitStore(path)
    assert store.take(CLAIM, 1000).lease
    assert beside.take(CLAIM, 1000).refused == "in_flight"
    beside.close()
