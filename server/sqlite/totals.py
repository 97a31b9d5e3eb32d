"""Daily totals, which are written in the transaction that stores a record."""

import apsw

from gateway.usage.totals import Increment, Question, Total
from server.sqlite.database import Database

# Replaces a failed request's missing model or provider in a key.
_NONE = "-"


class TotalsStore:
    """Totals in the main database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def read(self, user_id: str, question: Question) -> list[Total]:
        """The rows of the days asked for."""
        rows = self._database.rows(
            "SELECT day, nullif(model, ?1), nullif(provider, ?1), requests, failed, seconds FROM totals "
            "WHERE role = ?2 AND user_id = ?3 AND day BETWEEN ?4 AND ?5 ORDER BY day, model, provider",
            (_NONE, _role(as_operator=question.as_operator), user_id, question.start, question.end),
        )
        return [Total(*row) for row in rows]


def count(connection: apsw.Connection, increment: Increment) -> None:
    """Add what one request counts to one row of the totals."""
    connection.execute(
        "INSERT INTO totals (role, user_id, day, model, provider, requests, failed, seconds) "
        "VALUES (?, ?, ?, ?, ?, 1, ?, ?) ON CONFLICT DO UPDATE SET "
        "requests = requests + 1, failed = failed + excluded.failed, seconds = seconds + excluded.seconds",
        (
            _role(as_operator=increment.as_operator),
            increment.user_id,
            increment.day,
            increment.model or _NONE,
            increment.provider or _NONE,
            increment.failed,
            increment.seconds,
        ),
    )


def _role(*, as_operator: bool) -> str:
    return "operator" if as_operator else "user"
