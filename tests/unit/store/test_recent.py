import time
from itertools import count
from typing import Any

from gateway.store.recent import Recent
from tests.fakes import FakeClock


def recent(clock: FakeClock | None = None, **changes: Any) -> Recent[str]:
    options: dict[str, Any] = {"budget": 100, "clock": clock or FakeClock()} | changes
    return Recent(len, **options)


def kept(cache: Recent[str], key: str) -> bool:
    return cache.get(key, lambda: "") != ""


def test_a_value_is_read_once_until_it_expires() -> None:
    clock, reads = FakeClock(), count()
    cache = recent(clock)
    for _ in range(3):
        cache.get("a", lambda: f"value {next(reads)}")
    assert next(reads) == 1
    clock.seconds += 4
    assert not kept(cache, "a")


def test_a_missing_value_is_read_again_unless_misses_are_kept() -> None:
    cache = recent()
    cache.get("a", lambda: "")
    assert cache.get("a", lambda: "x") == "x"
    cache.get("b", lambda: "", keep_empty=True)
    assert cache.get("b", lambda: "x") == ""


def test_an_expired_value_leaves_memory_when_another_key_is_requested() -> None:
    clock = FakeClock()
    cache = recent(clock)
    cache.get("a", lambda: "secret")
    clock.seconds += 4
    cache.get("b", lambda: "other")
    assert "secret" not in repr(vars(cache))
    assert cache.held == len("other")


def test_an_expired_value_leaves_memory_without_any_request() -> None:
    cache: Recent[str] = Recent(len, budget=100, seconds=0.05)
    cache.get("a", lambda: "secret")
    assert "secret" in repr(vars(cache))
    until = time.monotonic() + 10
    while cache.held and time.monotonic() < until:
        time.sleep(0.02)
    assert "secret" not in repr(vars(cache))


def test_the_oldest_values_are_dropped_when_the_budget_is_used_up() -> None:
    cache = recent()
    for key in "abcde":
        cache.get(key, lambda: "x" * 30)
    assert cache.held == 90
    assert [kept(cache, key) for key in "abcde"] == [False, False, True, True, True]


def test_a_value_larger_than_the_budget_is_not_kept_and_drops_nothing() -> None:
    cache = recent()
    cache.get("a", lambda: "x")
    cache.get("b", lambda: "x" * 101)
    assert (kept(cache, "a"), kept(cache, "b"), cache.held) == (True, False, 1)


def test_clearing_forgets_everything() -> None:
    cache = recent()
    cache.get("a", lambda: "secret")
    cache.clear()
    assert (cache.held, kept(cache, "a")) == (0, False)
