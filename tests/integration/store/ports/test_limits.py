from dataclasses import replace

from gateway.accounts.limits import Claim, Rate
from gateway.store.ports import Stores


def refused(stores: Stores, user: str, interval: float, now: float) -> str | None:
    return stores.limits().take(Claim(user, "requests", Rate(interval, 60)), now).refused


def test_a_minutes_worth_of_requests_may_come_at_once_and_the_rest_evenly(stores: Stores) -> None:
    assert [refused(stores, "bob", 20, 1000.5) for _ in range(4)] == [None, None, None, "rate"]
    assert refused(stores, "bob", 20, 1019) == "rate"
    assert refused(stores, "bob", 20, 1021) is None
    assert refused(stores, "carol", 20, 1021) is None


def test_the_full_rate_is_back_after_a_quiet_minute(stores: Stores) -> None:
    for start in (1000, 1060.1):
        assert [refused(stores, "bob", 30, start) for _ in range(3)] == [None, None, "rate"]


def test_the_counters_of_a_user_are_separate(stores: Stores) -> None:
    claims = [Claim("bob", counter, Rate(60, 60)) for counter in ("requests", "changes")]
    assert [stores.limits().take(each, 1000).refused for each in (*claims, *claims)] == [
        *(None, None),
        *("rate", "rate"),
    ]


def test_a_users_places_are_limited_and_a_released_one_is_free_again(stores: Stores) -> None:
    store, claim = stores.limits(), Claim("bob", "requests", Rate(1, 60), places=2, lease_seconds=30)
    first, second, third = (store.take(claim, 1000) for _ in range(3))
    assert (first.refused, second.refused, third.refused) == (None, None, "in_flight")
    assert first.lease
    store.release("bob", "requests", first.lease)()
    assert store.take(claim, 1000).refused is None
    # The rate does not count refused requests: three of sixty are used.
    assert store.take(replace(claim, places=0), 1000).due == 1004


def test_a_place_that_is_released_twice_is_free_once(stores: Stores) -> None:
    store, claim = stores.limits(), Claim("bob", "requests", None, places=2, lease_seconds=30)
    first, _ = store.take(claim, 1000), store.take(claim, 1000)
    assert first.lease
    for _ in range(2):
        store.release("bob", "requests", first.lease)()
    assert [store.take(claim, 1000).refused for _ in range(2)] == [None, "in_flight"]


def test_a_place_that_is_never_released_expires_by_itself(stores: Stores) -> None:
    store, claim = stores.limits(), Claim("bob", "requests", None, places=2, lease_seconds=30)
    assert [store.take(claim, 1000).refused for _ in range(3)] == [None, None, "in_flight"]
    assert store.take(claim, 1029).refused == "in_flight"
    assert [store.take(claim, 1031).refused for _ in range(3)] == [None, None, "in_flight"]


def test_a_refused_request_takes_no_place(stores: Stores) -> None:
    store, claim = stores.limits(), Claim("bob", "requests", Rate(60, 60), places=2, lease_seconds=30)
    assert [store.take(claim, 1000).refused for _ in range(3)] == [None, "rate", "rate"]
    assert store.take(replace(claim, rate=None), 1000).refused is None


def test_a_claim_without_a_rate_has_no_due_time(stores: Stores) -> None:
    taken = stores.limits().take(Claim("bob", "requests", None, places=1, lease_seconds=30), 1000)
    assert (taken.refused, taken.due) == (None, None)


def test_seconds_are_reserved_up_to_the_quota_and_returned(stores: Stores) -> None:
    store = stores.limits()
    assert store.reserve_seconds("bob", 7, 6, 10)
    assert not store.reserve_seconds("bob", 7, 5, 10)
    assert store.reserve_seconds("bob", 8, 5, 10)
    store.add_seconds("bob", 7, -6)()
    assert store.reserve_seconds("bob", 7, 10, 10)
    assert not store.reserve_seconds("bob", 7, 0, 10)
    assert not store.reserve_seconds("carol", 7, 11, 10)
