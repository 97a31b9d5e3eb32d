"""Usage records, and what a database must show after any of them was saved."""

from datetime import UTC, datetime
from pathlib import Path

from gateway.usage.record import Attempt, Duration, Record
from server.sqlite.database import Database

_DAY = datetime(2026, 1, 1, tzinfo=UTC).timestamp()


def record(request_id: str, *, user: str = "bob", started_at: float = _DAY) -> Record:
    """A 10-second request that alice's provider served."""
    return Record(
        request_id,
        user,
        "key_1",
        started_at,
        model="m",
        provider="alice/home",
        duration=Duration(10.0, "measured"),
        http_status=200,
        attempts=(Attempt("alice/home", "ok", 1),),
    )


def check_consistent(path: Path) -> set[str]:
    """The ids of the stored records, after a check that the file is whole and that totals equal records."""
    database = Database(path)
    try:
        assert database.rows("PRAGMA integrity_check") == [("ok",)]
        ids = [request_id for (request_id,) in database.rows("SELECT request_id FROM usage")]
        assert len(ids) == len(set(ids))
        for role in ("user", "operator"):
            counted = database.row(
                "SELECT coalesce(sum(requests), 0), coalesce(sum(seconds), 0) FROM totals WHERE role = ?",
                (role,),
            )
            assert counted == (len(ids), 10 * len(ids))
        return set(ids)
    finally:
        database.close()
