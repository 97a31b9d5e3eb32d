from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from gateway.store.ports import Stores
from gateway.usage.record import Attempt, Duration, Record
from gateway.usage.totals import Question, Total
from tests.fakes import usage_record

Save = Callable[[Record], None]
EVER = Question("2026-01-01", "2026-12-31", "day", False)


def record(number: int = 1, *, user: str = "bob", day: int = 1) -> Record:
    """A 10-second request that alice's provider served."""
    return usage_record(f"r{number}", user=user, started_at=datetime(2026, 1, day, tzinfo=UTC).timestamp())


def seconds(stores: Stores, user: str = "bob", question: Question = EVER) -> int:
    return sum(total.seconds for total in stores.totals().read(user, question))


def test_a_record_that_is_saved_again_counts_once(stores: Stores, save: Save) -> None:
    for _ in range(3):
        save(record(1))
        save(record(2))
    assert seconds(stores) == 20
    assert seconds(stores, "alice", Question("2026-01-01", "2026-01-01", "day", True)) == 20


def test_the_first_record_of_a_request_is_kept(stores: Stores, save: Save) -> None:
    save(record())
    save(replace(record(), duration=Duration(99.0, "measured")))
    assert seconds(stores) == 10


def test_days_are_queried_inclusively(stores: Stores, save: Save) -> None:
    for number in range(1, 6):
        save(record(number, day=number))
    assert seconds(stores, question=Question("2026-01-02", "2026-01-04", "day", False)) == 30


def test_a_repeated_request_id_does_not_hide_another_users_record(stores: Stores, save: Save) -> None:
    save(record(1))
    save(record(1, user="carol"))
    assert (seconds(stores, "bob"), seconds(stores, "carol")) == (10, 10)


def test_a_failed_request_counts_for_its_caller_and_for_every_operator_tried(
    stores: Stores, save: Save
) -> None:
    attempts = (Attempt("alice/home", "timeout", 9), Attempt("carol/box", "error", 9))
    failed = replace(record(), provider=None, http_status=502, error_type="upstream_error", attempts=attempts)
    save(failed)
    assert stores.totals().read("bob", EVER) == [Total("2026-01-01", "m", None, 1, 1, 0)]
    for owner, provider in (("alice", "alice/home"), ("carol", "carol/box")):
        read = stores.totals().read(owner, replace(EVER, as_operator=True))
        assert read == [Total("2026-01-01", "m", provider, 1, 1, 0)]


def test_a_request_that_reached_no_provider_counts_without_a_model(stores: Stores, save: Save) -> None:
    save(replace(record(), provider=None, attempts=(), http_status=404, error_type="no_provider"))
    assert stores.totals().read("bob", EVER) == [Total("2026-01-01", None, None, 1, 1, 0)]


def test_a_user_sees_no_other_users_totals(stores: Stores, save: Save) -> None:
    save(record())
    assert stores.totals().read("alice", EVER) == []
    assert stores.totals().read("bob", replace(EVER, as_operator=True)) == []
