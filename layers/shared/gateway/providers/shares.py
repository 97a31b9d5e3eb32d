"""Fair shares: what fits a budget, taken from many owners so that nobody's many crowd out another's few."""

import heapq
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar
from zlib import crc32

Item = TypeVar("Item")


def share_out(
    queues: Mapping[str, Sequence[Item]],
    weigh: Callable[[Item], int],
    budget: int,
    *,
    first: str | None = None,
) -> list[Item]:
    """Items of each owner's queue, in its order, whose weights add up to at most `budget`.

    The owner `first` takes as much as fits before all others. Among them the next item is always of the owner who
    would then have the least: those who want less than an equal share get all they want. An owner whose next
    item does not fit gets no more.
    """
    taken: list[Item] = []
    for item in queues.get(first, ()) if first is not None else ():
        if (weight := weigh(item)) > budget:
            break
        budget -= weight
        taken.append(item)
    # Equal owners come in an order that is not that of their names, which people choose.
    turns = [
        (weigh(queue[0]), crc32(owner.encode()), owner, 0)
        for owner, queue in queues.items()
        if queue and owner != first
    ]
    heapq.heapify(turns)
    while turns:
        total, tie, owner, at = heapq.heappop(turns)
        queue = queues[owner]
        if (weight := weigh(queue[at])) > budget:
            continue
        budget -= weight
        taken.append(queue[at])
        if at + 1 < len(queue):
            heapq.heappush(turns, (total + weigh(queue[at + 1]), tie, owner, at + 1))
    return taken
