import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.usage.record import Attempt, Duration, Record
from gateway.usage.totals import Question
from server.sqlite.database import Database
from server.sqlite.totals import TotalsStore
from server.sqlite.usage import UsageStore
from tests.fakes import usage_record

DAY = 86_400


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(tmp_path / "gateway.db")
    yield opened
    opened.close()


def test_a_stored_record_has_all_that_was_learnt(database: Database) -> None:
    made = Record(
        "r1",
        "bob",
        "key_1",
        1_795_348_915.77,
        model="m",
        provider="alice/home",
        service="asr",
        format="wav",
        bytes=1234,
        duration=Duration(9.2, "measured", 12.0),
        requested_format="verbose_json",
        returned_format="json",
        language="en",
        http_status=200,
        attempts=(Attempt("carol/box", "timeout", 99), Attempt("alice/home", "ok", 812)),
        latency_ms=912,
        api_gateway_request_id="g1",
        client_request_id="c\ud800",
    )
    UsageStore(database, 400).save(made)
    columns = [name for _, name, *_ in database.rows("PRAGMA table_info (usage)")]
    row = database.row("SELECT * FROM usage")
    assert row
    stored = dict(zip(columns, row, strict=True))
    attempts = json.loads(stored.pop("attempts"))
    assert attempts == [
        {"provider": "carol/box", "outcome": "timeout", "milliseconds": 99},
        {"provider": "alice/home", "outcome": "ok", "milliseconds": 812},
    ]
    assert stored == {
        "user_id": "bob",
        "time": "2026-11-22T12:01:55.770Z",
        "request_id": "r1",
        "key_id": "key_1",
        "model": "m",
        "provider": "alice/home",
        "service": "asr",
        "format": "wav",
        "bytes": 1234,
        "seconds": 9.2,
        "seconds_source": "measured",
        "provider_seconds": 12.0,
        "billed_seconds": 10,
        "requested_format": "verbose_json",
        "returned_format": "json",
        "language": "en",
        "status": "succeeded",
        "http_status": 200,
        "error_type": None,
        "latency_ms": 912,
        "api_gateway_request_id": "g1",
        "client_request_id": "c?",
    }


def test_an_unknown_duration_is_null(database: Database) -> None:
    UsageStore(database, 400).save(replace(usage_record("r1"), duration=Duration(None, "unknown")))
    assert database.row("SELECT seconds, seconds_source, billed_seconds FROM usage") == (None, "unknown", 0)


def test_records_past_the_retention_are_deleted_and_their_totals_stay(database: Database) -> None:
    store = UsageStore(database, 30)
    made = usage_record("r0")
    for number in range(10):
        store.save(usage_record(f"r{number}", started_at=made.started_at + number * DAY))
    assert store.sweep(made.started_at + 35 * DAY) == 5
    assert [each for (each,) in database.rows("SELECT request_id FROM usage ORDER BY time")] == [
        f"r{number}" for number in range(5, 10)
    ]
    totals = TotalsStore(database).read("bob", Question("2026-01-01", "2026-12-31", "day", False))
    assert sum(total.requests for total in totals) == 10


def test_many_records_are_deleted_in_several_transactions(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.sqlite.usage._SWEPT_AT_ONCE", 3)
    store = UsageStore(database, 1)
    for number in range(10):
        store.save(usage_record(f"r{number}"))
    assert store.sweep(usage_record("r").started_at + 2 * DAY) == 10
    assert database.row("SELECT count(*) FROM usage") == (0,)
