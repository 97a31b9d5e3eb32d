"""The server's metrics."""

from gateway.usage.record import Attempt, Duration, Record
from server.metrics import MAX_NAMES, NONE, OTHER, Metrics, Names


def record(**changes: object) -> Record:
    made: dict[str, object] = {
        "request_id": "an-id",
        "user_id": "a-user-id",
        "key_id": "key_1",
        "started_at": 0.0,
        "model": "m",
        "provider": "alice/home",
        "duration": Duration(2.5, "measured"),
        "http_status": 200,
        "attempts": (Attempt("bob/busy", "busy", 100), Attempt("alice/home", "ok", 1000)),
        "latency_ms": 1500,
    }
    return Record(**{**made, **changes})  # type: ignore[arg-type]


def text_of(*records: Record) -> str:
    metrics = Metrics()
    for each in records:
        metrics.report(each)
    return metrics.text().decode()


def test_a_name_beyond_the_two_hundredth_is_other() -> None:
    names = Names()
    known = [names.label(f"model-{number}") for number in range(MAX_NAMES)]
    assert names.label("one-more") == OTHER
    assert names.label("model-0") == "model-0"
    assert OTHER not in known


def test_a_missing_name_is_none() -> None:
    assert Names().label(None) == NONE


def test_attempts_count_by_provider_and_outcome() -> None:
    text = text_of(record(), record())
    assert 'stt_gateway_attempts_total{outcome="busy",provider="bob/busy"} 2.0' in text
    assert 'stt_gateway_attempts_total{outcome="ok",provider="alice/home"} 2.0' in text


def test_billed_seconds_are_whole_seconds_of_successes() -> None:
    text = text_of(record(), record(error_type="upstream_error", http_status=502))
    assert 'stt_gateway_billed_seconds_total{model="m",provider="alice/home"} 3.0' in text


def test_time_is_split_between_providers_and_the_gateway() -> None:
    text = text_of(record())
    assert 'stt_gateway_transcription_seconds_sum{phase="provider"} 1.1' in text
    assert 'stt_gateway_transcription_seconds_sum{phase="gateway"} 0.4' in text


def test_a_model_that_nobody_serves_and_a_user_are_no_labels() -> None:
    text = text_of(record(model="what-a-caller-sent", provider=None, attempts=(), error_type="no_provider"))
    assert "what-a-caller-sent" not in text
    assert "a-user-id" not in text
    assert 'result="no_provider"' in text
