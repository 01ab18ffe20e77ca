"""Batches of windows so that clips are finished one block after the other, and nothing waits for the end of the set."""

from collections.abc import Iterator

import numpy as np

from zoo.data.buckets import BucketSampler
from zoo.data.item import Key


class BlockSampler:
    """Every window once, in blocks; within a block those of like length together.

    Args:
        units: what each window belongs to, ascending. A unit is never cut: one with many windows is a block of its own.
        lengths, batch_size, usual: as in `BucketSampler`, which cuts each block into batches.
        at_once: windows in a block, unless it is a single unit.
    """

    def __init__(self, units: np.ndarray, lengths: np.ndarray, batch_size: int, usual: int, at_once: int) -> None:
        assert len(units) == len(lengths) >= 1, (len(units), len(lengths))
        self._firsts = _block_starts(units, at_once)
        ends = [*self._firsts[1:], len(units)]
        self._blocks = [
            BucketSampler(lengths[first:end], batch_size, usual) for first, end in zip(self._firsts, ends, strict=True)
        ]
        self._batches = np.cumsum([block.num_batches() for block in self._blocks])
        self.num_clips = len(units)

    def num_batches(self) -> int:
        return int(self._batches[-1])

    def batches(self, epoch: int, start_batch: int = 0) -> Iterator[list[Key]]:
        """The epoch from its batch `start_batch` on; the same in every epoch."""
        number = 0
        for first, block in zip(self._firsts, self._blocks, strict=True):
            for keys in block.batches(epoch):
                if number >= start_batch:
                    yield [Key(epoch, first + key.index) for key in keys]
                number += 1

    def ends_block(self, batch: int) -> bool:
        """Whether all units that have begun are done with this batch."""
        return batch + 1 in self._batches


def _block_starts(units: np.ndarray, at_once: int) -> list[int]:
    """The first window of every block; blocks begin where units do."""
    firsts = np.flatnonzero(np.diff(units, prepend=units[0] - 1)).tolist()
    starts = [0]
    for first, end in zip(firsts, [*firsts[1:], len(units)], strict=True):
        if end - starts[-1] > at_once and first > starts[-1]:
            starts.append(first)
    return starts
