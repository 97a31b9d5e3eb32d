"""Places for calls in progress."""

from contextlib import ExitStack

import pytest

from server.app import MAX_AUDIO_BYTES, MAX_AUDIO_BYTES_IN_PROGRESS
from server.places import NoPlace, Places


def taken(places: Places, held: ExitStack, caller: str | None) -> int:
    """How many places a caller gets before it is refused."""
    count = 0
    while count < 1000:
        try:
            held.enter_context(places.take(caller))
        except NoPlace:
            break
        count += 1
    return count


def test_no_caller_can_take_all_places() -> None:
    with ExitStack() as held:
        places = Places(256)
        assert [taken(places, held, caller) for caller in ("a", "b", "c", "d")] == [205, 41, 8, 2]


def test_a_caller_may_hold_sixty_four_of_the_largest_bodies_but_not_all_memory() -> None:
    memory = Places(MAX_AUDIO_BYTES_IN_PROGRESS)
    with ExitStack() as held:
        for _ in range(64):
            held.enter_context(memory.take("a", MAX_AUDIO_BYTES))
        with pytest.raises(NoPlace):
            for _ in range(2):
                held.enter_context(memory.take("a", MAX_AUDIO_BYTES))
        for _ in range(8):
            held.enter_context(memory.take("b", MAX_AUDIO_BYTES))
    with memory.take("c", MAX_AUDIO_BYTES_IN_PROGRESS // 2):
        pass


def test_a_body_larger_than_what_is_free_gets_no_memory() -> None:
    memory = Places(100)
    with memory.take(None, 60), pytest.raises(NoPlace), memory.take(None, 41):
        pass


def test_a_caller_may_hold_the_fifty_that_one_user_may_have_in_flight_and_one_more() -> None:
    with ExitStack() as held:
        assert taken(Places(64), held, "a") > 50


def test_unknown_callers_share_all_places() -> None:
    with ExitStack() as held:
        assert taken(Places(64), held, None) == 64


def test_a_place_is_free_again_when_its_call_ends_in_any_way() -> None:
    places = Places(1)
    for caller in ("a", None) * 3:
        with pytest.raises(ValueError, match="a defect"), places.take(caller):
            raise ValueError("a defect")
    with places.take("a"), pytest.raises(NoPlace), places.take("b"):
        pass


def test_a_caller_without_calls_is_forgotten() -> None:
    places = Places(2)
    for number in range(100):
        with places.take(f"caller {number}"):
            assert len(places._held) == 1
    assert not places._held


def test_who_watches_is_told_how_many_calls_are_in_progress() -> None:
    told: list[int] = []
    places = Places(8, told.append)
    with places.take("a"), places.take(None):
        pass
    assert told == [1, 2, 1, 0]
