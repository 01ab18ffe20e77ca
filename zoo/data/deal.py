"""Which process evaluates which batches: whole batches, so that every number is the one that one process computes."""

import heapq
from collections.abc import Sequence


def deal(costs: Sequence[int], world: int) -> list[list[int]]:
    """For each of so many processes the numbers of its batches, ascending; together all of them, each once.

    The dearest batch that is left goes to whoever has least to do, the lower rank where that is equal: nobody has more
    than the others by more than one batch. A process may get none.

    Args:
        costs: of every batch, such as how many numbers it holds.
    """
    assert world >= 1, world
    dealt: list[list[int]] = [[] for _ in range(world)]
    least = [(0, rank) for rank in range(world)]
    for number in sorted(range(len(costs)), key=lambda batch: -costs[batch]):
        load, rank = least[0]
        heapq.heapreplace(least, (load + costs[number], rank))
        dealt[rank].append(number)
    return [sorted(numbers) for numbers in dealt]
