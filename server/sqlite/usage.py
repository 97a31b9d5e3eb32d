"""Store usage records and their daily totals together, once per request."""

import json
from typing import Any

import apsw

from gateway.accounts.limits import DAY_SECONDS
from gateway.errors import StorageUnavailable
from gateway.observability import logger
from gateway.settings import usage_settings
from gateway.usage.record import Record, timestamp
from gateway.usage.totals import increments
from server.sqlite.database import Database
from server.sqlite.failure import StoreError
from server.sqlite.totals import count

# Columns with the same name as the record's field.
_SAME = (
    *("user_id", "request_id", "key_id", "model", "provider", "service", "format", "bytes", "billed_seconds"),
    *("requested_format", "returned_format", "language", "status", "http_status", "error_type", "latency_ms"),
    *("api_gateway_request_id", "client_request_id"),
)
_COLUMNS = (*_SAME, "time", "seconds", "seconds_source", "provider_seconds", "attempts")
_INSERT = f"INSERT INTO usage ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))}) ON CONFLICT DO NOTHING"  # noqa: S608
# One transaction deletes no more than this, so that requests do not wait long behind it.
_SWEPT_AT_ONCE = 1000


class UsageStore:
    """Records in the main database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def save(self, record: Record) -> None:
        """Store the record and add it to the totals in one transaction, unless the request already has a record.
        Returns once both are on the disk. Raises StorageUnavailable."""
        values, added = _values(record), increments(record)

        def write(connection: apsw.Connection) -> None:
            connection.execute(_INSERT, values)
            if connection.changes():
                for each in added:
                    count(connection, each)

        try:
            self._database.write(write)
        except (StoreError, apsw.Error) as error:
            logger.error("a usage record was not stored", extra={"reason": str(error)})
            raise StorageUnavailable from error

    def sweep(self, now: float) -> int:
        """Delete records that are older than the retention. Their totals stay. Returns their number."""
        before = timestamp(max(0.0, now - usage_settings().retention_days * DAY_SECONDS))
        deleted = 0
        while True:
            batch = self._database.write(lambda connection: _delete(connection, before))
            deleted += batch
            if batch < _SWEPT_AT_ONCE:
                return deleted


def _delete(connection: apsw.Connection, before: str) -> int:
    connection.execute(
        "DELETE FROM usage WHERE (user_id, time, request_id) IN "
        "(SELECT user_id, time, request_id FROM usage WHERE time < ? LIMIT ?)",
        (before, _SWEPT_AT_ONCE),
    )
    return connection.changes()


def _values(record: Record) -> tuple[Any, ...]:
    attempts = [
        {"provider": each.provider, "outcome": each.outcome, "milliseconds": each.milliseconds}
        for each in record.attempts
    ]
    return tuple(
        # A lone surrogate, which a caller can send, cannot be stored as UTF-8.
        value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
        for value in (
            *(getattr(record, name) for name in _SAME),
            timestamp(record.started_at),
            record.duration.seconds,
            record.duration.source,
            record.duration.provider_seconds,
            json.dumps(attempts),
        )
    )
