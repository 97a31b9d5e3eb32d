"""Count users' use of their limits in a small database of its own, without waiting for the disk."""

import math
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import TypeVar

import apsw

from gateway.accounts.limits import DAY_SECONDS, MINUTE_SECONDS, Claim, Rate, Taken, Wait
from gateway.observability import logger
from server.sqlite.connection import connect
from server.sqlite.failure import CORRUPT, StoreError, explain, explained, store_error

Result = TypeVar("Result")

# A request waits no longer than this for another process's count, then it passes uncounted.
_BUSY_MILLISECONDS = 2_000
# A day's seconds are corrected when its last requests end, which may be after midnight.
_KEPT_DAYS = 3
_SET_RATE = "INSERT OR REPLACE INTO rates (user_id, counter, due, counted_at) VALUES (?, ?, ?, ?)"
# Its last two parameters are the most places and the time.
_TAKE_LEASE = (
    "INSERT INTO leases SELECT ?1, ?2, ?3, ?4 WHERE ?5 > "
    "(SELECT count(*) FROM leases WHERE user_id = ?1 AND counter = ?2 AND expires_at > ?6)"
)
_GIVE_BACK = "DELETE FROM leases WHERE user_id = ? AND counter = ? AND lease = ?"
_TABLES = """
CREATE TABLE IF NOT EXISTS rates (
    user_id TEXT NOT NULL,
    counter TEXT NOT NULL,
    due REAL NOT NULL,  -- GCRA timestamp, epoch seconds
    counted_at REAL NOT NULL,  -- epoch seconds
    PRIMARY KEY (user_id, counter)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS leases (
    user_id TEXT NOT NULL,
    counter TEXT NOT NULL,
    lease TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (user_id, counter, lease)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS days (
    user_id TEXT NOT NULL,
    day INTEGER NOT NULL,  -- since 1970
    seconds INTEGER NOT NULL,
    PRIMARY KEY (user_id, day)
) STRICT, WITHOUT ROWID;
"""


class LimitStore:
    """Counters in the database at `path`. Raises nothing: if a request cannot be counted, it passes uncounted.

    A power cut may lose the last counts. All threads share one connection: a count takes microseconds. What every
    request does is one statement, because each statement lets go of the interpreter's lock, and whoever waits for it
    makes all others wait for the connection.
    """

    def __init__(self, path: Path, *, alone: bool = False) -> None:
        self._path = path
        self._lock = Lock()
        self._connection = _open(path, alone=alone)

    def take(self, claim: Claim, now: float) -> Taken:
        """Count a request at `now` (epoch seconds) and give it a place."""
        return self._count(lambda: self._take(claim, now), Taken(), "a request was not counted")

    def _take(self, claim: Claim, now: float) -> Taken:
        if claim.rate is None:
            return self._lease(claim, now)
        with self._transaction():
            taken = self._lease(claim, now)
            return taken if taken.refused else self._counted(taken, claim, claim.rate, now)

    def _lease(self, claim: Claim, now: float) -> Taken:
        """Take a place in flight, if the claim asks for one, in one statement, which needs no transaction."""
        if not claim.places:
            return Taken()
        lease, expires_at = secrets.token_hex(8), math.ceil(now + claim.lease_seconds)
        self._connection.execute(
            _TAKE_LEASE, (claim.user_id, claim.counter, lease, expires_at, claim.places, now)
        )
        return Taken(lease=lease) if self._connection.changes() else Taken("in_flight")

    def _counted(self, taken: Taken, claim: Claim, rate: Rate, now: float) -> Taken:
        """Count the request against the rate. The rate's refusal gives back the place that was `taken`."""
        key = (claim.user_id, claim.counter)
        known = self._due(key, now)
        due = max(known, now) + rate.interval
        if due > now + rate.burst:
            self._connection.execute(_GIVE_BACK, (*key, taken.lease))
            return Taken("rate", known)
        self._connection.execute(_SET_RATE, (*key, due, now))
        return replace(taken, due=due)

    def _due(self, key: tuple[str, str], now: float) -> float:
        """When the user's next request is due; 0 if none was counted."""
        sql = "SELECT due, counted_at FROM rates WHERE user_id = ? AND counter = ?"
        found = self._connection.execute(sql, key).fetchone()
        if found is None:
            return 0.0
        due, counted_at = found
        if counted_at - now > MINUTE_SECONDS:
            # The clock was set back, so that time would not come for long. Count on from the same distance.
            due -= counted_at - now
            self._connection.execute(_SET_RATE, (*key, due, now))
        return float(due)

    def release(self, user_id: str, counter: str, lease: str) -> Wait:
        """Release a place in flight, at once: there is nothing to wait for."""
        self._count(
            lambda: self._connection.execute(_GIVE_BACK, (user_id, counter, lease)),
            None,
            "a place in flight was not given back",
        )
        return _nothing

    def reserve_seconds(self, user_id: str, day: int, seconds: int, quota: int) -> bool:
        """Take seconds of a day's quota if they, and at least one, are left."""
        if seconds > quota:
            return False
        return self._count(
            lambda: self._reserve(user_id, day, seconds, quota), True, "a quota was not checked"
        )

    def _reserve(self, user_id: str, day: int, seconds: int, quota: int) -> bool:
        with self._transaction():
            taken = self._connection.execute(
                "SELECT seconds FROM days WHERE user_id = ? AND day = ?", (user_id, day)
            ).get
            if taken is not None and taken > min(quota - seconds, quota - 1):
                return False
            self._add(user_id, day, seconds)
            return True

    def add_seconds(self, user_id: str, day: int, seconds: int) -> Wait:
        """Correct a day's seconds, at once; a negative number gives seconds back."""
        self._count(lambda: self._add(user_id, day, seconds), None, "a day's seconds were not corrected")
        return _nothing

    def _add(self, user_id: str, day: int, seconds: int) -> None:
        self._connection.execute(
            "INSERT INTO days VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET seconds = seconds + excluded.seconds",
            (user_id, day, seconds),
        )

    def sweep(self, now: float) -> None:
        """Delete counters that no longer matter."""

        def delete() -> None:
            with self._transaction():
                self._connection.execute("DELETE FROM leases WHERE expires_at <= ?", (now,))
                self._connection.execute("DELETE FROM rates WHERE due <= ?", (now,))
                self._connection.execute("DELETE FROM days WHERE day < ?", (now // DAY_SECONDS - _KEPT_DAYS,))

        self._count(delete, None, "old counters were not deleted")

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._connection.close()

    def _count(self, change: Callable[[], Result], otherwise: Result, failure: str) -> Result:
        """Make a change, one at a time. Returns `otherwise`, and logs `failure`, when it cannot be made."""
        try:
            with self._lock:
                return change()
        except apsw.Error as error:
            logger.warning(failure, extra={"reason": explain(error, self._path).reason})
            return otherwise

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Make the statements of the block one change."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise


def _nothing() -> None:
    """There is nothing to wait for."""


def _open(path: Path, *, alone: bool) -> apsw.Connection:
    """Open the counters. A damaged file is set aside, because it holds nothing that must be kept."""
    try:
        return _prepared(path, alone=alone)
    except StoreError as error:
        if error.reason != CORRUPT or not alone:
            raise
    aside = path.with_name(f"{path.name}.damaged-{int(time.time())}")
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    path.rename(aside)
    logger.warning("the counters of limits were damaged and start anew", extra={"set_aside": aside.name})
    return _prepared(path, alone=alone)


def _prepared(path: Path, *, alone: bool) -> apsw.Connection:
    connection = connect(path, synchronous="NORMAL", busy_milliseconds=_BUSY_MILLISECONDS)
    try:
        with explained(path):
            if connection.pragma("quick_check") != "ok":
                raise store_error(CORRUPT, path)
            connection.execute(_TABLES)
            if alone:
                # Whoever held these places has ended.
                connection.execute("DELETE FROM leases")
    except BaseException:
        connection.close()
        raise
    return connection
