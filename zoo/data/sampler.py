"""The order of the clips: a function of (seed, epoch), so that any batch of any epoch can be started from."""

from collections.abc import Iterator

import torch

from zoo.data.item import Key
from zoo.draws import clip_keys, combine, stable_id

_ORDER = stable_id("order")


class EpochSampler:
    """Batches of keys (epoch, index), every clip once an epoch.

    `drop_last` leaves out the last batch where it is not full; of fewer clips than a batch, it leaves out nothing.
    """

    def __init__(
        self, num_clips: int, batch_size: int, seed: int = 0, shuffle: bool = True, drop_last: bool = False
    ) -> None:
        assert num_clips >= 1, num_clips
        assert batch_size >= 1, batch_size
        self.num_clips = num_clips
        self.batch_size = batch_size
        self.seed = seed
        self.shuffle = shuffle
        self.drop_last = drop_last and num_clips >= batch_size

    def num_batches(self) -> int:
        return self.num_clips // self.batch_size if self.drop_last else -(-self.num_clips // self.batch_size)

    def order(self, epoch: int) -> torch.Tensor:
        """(num_clips,) int64: the indices in the order of this epoch.

        Sorted by a hash that has no two equal values for two indices: unlike `torch.randperm`, no version of torch
        and no size of the set changes it.
        """
        indices = torch.arange(self.num_clips)
        if not self.shuffle:
            return indices
        return torch.argsort(clip_keys(combine(self.seed, _ORDER), epoch, indices))

    def batches(self, epoch: int, start_batch: int = 0) -> Iterator[list[Key]]:
        """The epoch from its batch `start_batch` on: exactly the tail of the whole epoch."""
        assert 0 <= start_batch <= self.num_batches(), (start_batch, self.num_batches())
        order = self.order(epoch)
        for batch in range(start_batch, self.num_batches()):
            chosen = order[batch * self.batch_size : (batch + 1) * self.batch_size]
            yield [Key(epoch, index) for index in chosen.tolist()]
