"""A global batch in parts: one for every process and every step of accumulation, whatever drew the batch."""

from collections.abc import Iterator
from itertools import islice

from zoo.data.item import Key
from zoo.data.loader import Sampler
from zoo.group import ALONE, Group


class BatchParts:
    """This process's parts of the batches of another sampler: `accumulate` micro-batches of each, one after the other.

    A batch is cut in order into world × accumulate parts whose sizes differ by one at most. In each round of
    accumulation the processes take neighbouring parts, so that they have about the same to do. What the batch holds
    depends on neither number: that is the other sampler's.

    Every batch must have as many clips as there are parts (`zoo.run.data.check_parts`).
    """

    def __init__(self, sampler: Sampler, accumulate: int = 1, group: Group = ALONE) -> None:
        assert accumulate >= 1, accumulate
        self._sampler = sampler
        self._accumulate = accumulate
        self._group = group

    @property
    def num_clips(self) -> int:
        """Items of the data set, for all processes."""
        return self._sampler.num_clips

    def num_batches(self) -> int:
        """Micro-batches of an epoch, as many in every process."""
        return self._sampler.num_batches() * self._accumulate

    def batches(self, epoch: int, start_batch: int = 0) -> Iterator[list[Key]]:
        """The epoch from its micro-batch `start_batch` on, be it within a global batch."""
        start, done = divmod(start_batch, self._accumulate)
        return islice(self._parts(epoch, start), done, None)

    def _parts(self, epoch: int, start: int) -> Iterator[list[Key]]:
        world, accumulate = self._group.world, self._accumulate
        for keys in self._sampler.batches(epoch, start):
            for turn in range(accumulate):
                yield part_of(keys, turn * world + self._group.rank, world * accumulate)


def part_of(keys: list[Key], number: int, parts: int) -> list[Key]:
    """One of so many parts of a list, in its order; the first ones have one more where it does not come out even."""
    assert 0 <= number < parts <= len(keys), (number, parts, len(keys))
    size, longer = divmod(len(keys), parts)
    first = number * size + min(number, longer)
    return keys[first : first + size + (number < longer)]
