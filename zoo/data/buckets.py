"""Batches for evaluation: windows of like length together, so that little of a batch is padding."""

from collections.abc import Iterator, Sequence

import numpy as np

from zoo.data.item import Key

_MOST_ROWS = 16  # times the usual number: a batch of many short windows is read by one worker


class BucketSampler:
    """Batches of keys, every window once, the longest first: what does not fit into memory shows at once.

    Windows of one length stay in their order, so a set of equal clips is gone through from first to last. Which windows
    share a batch depends on their lengths; what a model says of a window does not (`num_frames`).

    Args:
        lengths: of every window, as it is padded to at least.
        batch_size: windows in a batch of the usual length.
        usual: that length. No batch holds more numbers than `batch_size` windows of it, padding included, unless it is
            a single window; shorter windows make larger batches, up to 16 times as many.
    """

    def __init__(self, lengths: Sequence[int] | np.ndarray, batch_size: int, usual: int) -> None:
        assert batch_size >= 1, batch_size
        assert usual >= 1, usual
        self._lengths = np.asarray(lengths, dtype=np.int64)
        assert self._lengths.size >= 1, "no window"
        assert self._lengths.min() >= 1, self._lengths.min()
        self._order = np.argsort(-self._lengths, kind="stable")
        self._starts = self._cut(batch_size * usual, _MOST_ROWS * batch_size)
        self._sizes = np.diff([*self._starts, self.num_clips])

    @property
    def num_clips(self) -> int:
        """How many keys an epoch has."""
        return len(self._lengths)

    def num_batches(self) -> int:
        return len(self._starts)

    def costs(self) -> list[int]:
        """Numbers in each batch, padding included: what it costs to evaluate, about."""
        longest = self._lengths[self._order[self._starts]]
        return [int(cost) for cost in longest * self._sizes]

    def batches(self, epoch: int, start_batch: int = 0) -> Iterator[list[Key]]:
        """The epoch from its batch `start_batch` on; the same in every epoch."""
        for batch in range(start_batch, self.num_batches()):
            yield [Key(epoch, row) for row in self._rows(batch).tolist()]

    def _rows(self, batch: int) -> np.ndarray:
        return self._order[self._starts[batch] : self._starts[batch] + self._sizes[batch]]

    def _cut(self, budget: int, most: int) -> list[int]:
        """Where in the order each batch begins. The first of a batch is its longest."""
        starts = [0]
        longest = self._lengths[self._order]
        while True:
            rows = min(most, max(1, budget // int(longest[starts[-1]])))
            if starts[-1] + rows >= len(longest):
                return starts
            starts.append(starts[-1] + rows)
