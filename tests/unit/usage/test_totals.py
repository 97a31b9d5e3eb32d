import pytest

from gateway.errors import InvalidRequest
from gateway.usage import totals
from gateway.usage.record import Attempt, Duration, Record
from gateway.usage.totals import Increment, Question, Total

NOW = 1_795_348_915.0  # 2026-11-22


def record(
    *tried: str, served: str | None = "alice/home", model: str = "m", error_type: str | None = None
) -> Record:
    return Record(
        "r1",
        "bob",
        "key_1",
        1_795_391_999.999,  # 2026-11-22T23:59:59.999Z
        model=model,
        provider=served,
        duration=Duration(10.0, "measured"),
        http_status=502 if error_type else 200,
        error_type=error_type,
        attempts=tuple(Attempt(provider, "ok", 1) for provider in tried),
    )


def test_a_success_counts_for_the_caller_and_for_the_operator() -> None:
    assert totals.increments(record("alice/home")) == [
        Increment("bob", False, "2026-11-22", "m", "alice/home", 0, 10),
        Increment("alice", True, "2026-11-22", "m", "alice/home", 0, 10),
    ]


def test_a_failed_attempt_counts_a_failure_for_its_operator_only() -> None:
    assert totals.increments(record("carol/gpu", "carol/gpu", "alice/home")) == [
        Increment("bob", False, "2026-11-22", "m", "alice/home", 0, 10),
        Increment("carol", True, "2026-11-22", "m", "carol/gpu", 1, 0),
        Increment("alice", True, "2026-11-22", "m", "alice/home", 0, 10),
    ]


def test_a_model_that_nobody_serves_is_not_counted_by_name() -> None:
    made_up = record(served=None, model="made-up", error_type="no_provider")
    assert totals.increments(made_up) == [Increment("bob", False, "2026-11-22", None, None, 1, 0)]


def test_the_last_thirty_days_by_day_are_the_default() -> None:
    assert Question.read({}, NOW) == Question("2026-10-24", "2026-11-22", "day", False)


def test_start_and_end_are_used_as_given() -> None:
    query = {"start": "2026-01-01", "end": "2026-01-31", "group_by": "model", "role": "operator"}
    question = Question.read(query, NOW)
    assert question == Question("2026-01-01", "2026-01-31", "model", True)


def test_the_first_days_of_the_calendar_can_be_queried() -> None:
    assert Question.read({"end": "0001-01-05"}, NOW).start == "0001-01-01"


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"start": "yesterday"}, "start"),
        ({"end": "2026-02-30"}, "end"),
        ({"end": "20260101"}, "end"),
        ({"end": "2026-W01-1"}, "end"),
        ({"start": "2026-01-02", "end": "2026-01-01"}, "start"),
        ({"start": "2024-01-01", "end": "2026-01-01"}, "start"),
        ({"group_by": "user"}, "group_by"),
        ({"role": "admin"}, "role"),
    ],
)
def test_a_bad_query_is_refused(query: dict[str, str], param: str) -> None:
    with pytest.raises(InvalidRequest) as error:
        Question.read(query, NOW)
    assert error.value.param == param


def test_an_answer_is_grouped_sorted_and_totalled() -> None:
    rows = [
        Total("2026-11-22", "b", "alice/home", 2, 1, 10),
        Total("2026-11-21", "a", "alice/home", 1, 0, 5),
        Total("2026-11-22", None, None, 4, 4, 0),
    ]
    assert totals.answer(rows, "day") == {
        "object": "list",
        "data": [
            {"date": "2026-11-21", "requests": 1, "failed": 0, "seconds": 5},
            {"date": "2026-11-22", "requests": 6, "failed": 5, "seconds": 10},
        ],
        "total": {"requests": 7, "failed": 5, "seconds": 15},
    }
    assert [each["model"] for each in totals.answer(rows, "model")["data"]] == ["a", "b", None]
    assert [each["provider"] for each in totals.answer(rows, "provider")["data"]] == ["alice/home", None]
