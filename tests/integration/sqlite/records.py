"""Usage records, and what a database must show after any of them was saved."""

from pathlib import Path

from server.sqlite.database import Database


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
