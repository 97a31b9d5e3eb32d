from typing import Any

import pytest

from gateway.usage import record as usage
from gateway.usage.record import Duration, Record
from tests.fakes import ALICE


@pytest.mark.parametrize(
    ("seconds", "billed"),
    [(9.2, 10), (10.0, 10), (10.0000004, 10), (10.000001, 11), (0.01, 1), (None, None), (0.0, 0)],
)
def test_seconds_are_rounded_to_a_microsecond_then_up(seconds: float | None, billed: int | None) -> None:
    assert Duration(seconds, usage.MEASURED).billed == billed


def test_the_measured_duration_counts_and_the_providers_only_without_it() -> None:
    assert usage.settle(10.0, 10.5) == Duration(10.0, "measured")
    assert usage.settle(None, 10.5) == Duration(10.5, "provider")
    assert usage.settle(None, None) == Duration(None, "unknown")


@pytest.mark.parametrize(
    ("reported", "kept"), [(111.0, None), (106.0, None), (106.01, 106.01), (93.9, 93.9), (94.1, None)]
)
def test_both_are_kept_when_they_differ_by_more_than_5_percent_and_a_second(
    reported: float, kept: float | None
) -> None:
    if reported == 111.0:
        assert usage.settle(110.0, reported).provider_seconds is None
    else:
        assert usage.settle(100.0, reported).provider_seconds == kept


def test_a_providers_duration_is_kept_as_a_number_that_the_table_accepts() -> None:
    # DynamoDB refuses numbers closer to 0 than 1e-130: such a record would never be written.
    assert usage.settle(100.0, 1e-200).provider_seconds == 0.0
    assert usage.settle(None, 1e-200).seconds == 0.0


def record(**learnt: Any) -> Record:
    return Record("r1", ALICE.user_id, ALICE.key_id, 1_795_348_915.77, **learnt)


def test_only_a_success_is_billed() -> None:
    measured = Duration(9.2, usage.MEASURED)
    assert record(duration=measured, http_status=200).billed_seconds == 10
    assert record(duration=measured, http_status=502, error_type="upstream_error").billed_seconds == 0
