from server.sqlite.clock import STEADY_SECONDS, ClockWatch
from tests.fakes import FakeClock

START = 1_767_225_600.0
YEARS = 10 * 365 * 86_400.0


def test_a_clock_is_trusted_after_an_hour_without_a_jump() -> None:
    monotonic = FakeClock(0)
    watch = ClockWatch(monotonic)
    assert not watch.is_steady(START)
    for minute in range(1, 60):
        monotonic.seconds = 60.0 * minute
        assert not watch.is_steady(START + 60 * minute)
    monotonic.seconds = STEADY_SECONDS
    assert watch.is_steady(START + STEADY_SECONDS)


def test_a_clock_that_was_set_forward_or_back_is_not_trusted_for_an_hour() -> None:
    monotonic = FakeClock(0)
    watch = ClockWatch(monotonic)
    watch.is_steady(START)
    for number, jump in enumerate((YEARS, -YEARS), start=1):
        monotonic.seconds = number * 10 * STEADY_SECONDS
        assert not watch.is_steady(START + monotonic.seconds + jump)
        monotonic.seconds += STEADY_SECONDS
        assert watch.is_steady(START + monotonic.seconds + jump)


def test_a_clock_that_drifts_is_trusted() -> None:
    monotonic = FakeClock(0)
    watch = ClockWatch(monotonic)
    for minute in range(200):
        monotonic.seconds = 60.0 * minute
        steady = watch.is_steady(START + 61 * minute)
    assert steady
