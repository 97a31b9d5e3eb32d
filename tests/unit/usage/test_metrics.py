import json
from dataclasses import replace
from typing import Any

import pytest

from gateway.observability import metrics
from gateway.usage.metrics import report
from gateway.usage.record import MEASURED, Attempt, Duration, Record

RECORD = Record(
    request_id="r1",
    user_id="alice",
    key_id="k1",
    started_at=0.0,
    bytes=100,
    duration=Duration(1.5, MEASURED),
    http_status=200,
    attempts=(Attempt("alice/local", "busy", 3), Attempt("alice/local", "ok", 4)),
    latency_ms=7,
)


@pytest.fixture(autouse=True)
def _names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics.provider, "namespace", "gateway")
    monkeypatch.setattr(metrics.provider, "service", "transcribe")


def reported(record: Record, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    report(record)
    (line,) = capsys.readouterr().out.splitlines()
    parsed: dict[str, Any] = json.loads(line)
    return parsed


def test_every_value_of_the_line_is_declared_with_its_unit(capsys: pytest.CaptureFixture[str]) -> None:
    line = reported(RECORD, capsys)
    (directive,) = line.pop("_aws")["CloudWatchMetrics"]
    assert (directive["Namespace"], directive["Dimensions"], line.pop("service")) == (
        "gateway",
        [["service"]],
        "transcribe",
    )
    units = {metric["Name"]: metric["Unit"] for metric in directive["Metrics"]}
    assert units == dict.fromkeys(line, "Count") | {"Latency": "Milliseconds"}
    assert line == {
        "Requests": [1.0],
        "BilledSeconds": [2.0],
        "Attempt.busy": [1.0],
        "Attempt.ok": [1.0],
        "Latency": [7.0],
    }


def test_a_request_leaves_nothing_for_the_next_ones_line(capsys: pytest.CaptureFixture[str]) -> None:
    failed = reported(replace(RECORD, error_type="upstream_error", http_status=502), capsys)
    assert failed["Error.upstream_error"] == [1.0]
    assert "Error.upstream_error" not in reported(RECORD, capsys)
