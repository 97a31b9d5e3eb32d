"""Share a budget fairly among owners, so that an owner with many items cannot crowd out one with few."""

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
    """Take items from each owner's queue, in order, with a total weight of at most `budget`.

    The owner `first` takes all that fits before the others. Then the next item is always from the owner whose total
    would be smallest, so owners with less than an equal share get everything. An owner whose next item does not fit
    gets no more.
    """
    taken: list[Item] = []
    for item in queues.get(first, ()) if first is not None else ():
        if (weight := weigh(item)) > budget:
            break
        budget -= weight
        taken.append(item)
    # Break ties by a hash, not by name: owners choose their names.
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
