from gateway.providers.shares import share_out


def weigh(item: tuple[str, int]) -> int:
    return item[1]


def queues(**sizes: list[int]) -> dict[str, list[tuple[str, int]]]:
    return {owner: [(owner, size) for size in each] for owner, each in sizes.items()}


def test_everything_is_taken_when_it_fits() -> None:
    assert sorted(share_out(queues(a=[1, 2], b=[3]), weigh, 6)) == [("a", 1), ("a", 2), ("b", 3)]


def test_an_owner_of_few_small_items_gets_them_all_next_to_an_owner_of_many() -> None:
    taken = share_out(queues(aaa=[10] * 1000, zed=[10] * 3), weigh, 100)
    assert (taken.count(("aaa", 10)), taken.count(("zed", 10))) == (7, 3)


def test_large_items_do_not_fill_the_budget_before_small_ones() -> None:
    crowd = {f"a{number}": [60] for number in range(50)}
    taken = share_out(queues(**crowd, zed=[1, 1, 1]), weigh, 100)
    assert taken.count(("zed", 1)) == 3


def test_the_first_owner_takes_as_much_as_fits_before_all_others() -> None:
    taken = share_out(queues(me=[10] * 12, other=[1]), weigh, 100, first="me")
    assert (taken.count(("me", 10)), taken.count(("other", 1))) == (10, 0)
    assert share_out(queues(other=[1]), weigh, 100, first="me") == [("other", 1)]


def test_ties_are_not_broken_by_name() -> None:
    names = [f"{letter}{number}" for letter in "az" for number in range(50)]
    taken = share_out(queues(**{name: [1] for name in names}), weigh, 50)
    assert {owner[0] for owner, _ in taken} == {"a", "z"}


def test_no_queue_and_no_budget_take_nothing() -> None:
    assert share_out({}, weigh, 100) == share_out(queues(a=[], b=[5]), weigh, 4) == []
