"""The order of the clips: a function of (seed, epoch), so that any batch of any epoch can be started from."""

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float, Int

from zoo.data.item import Key
from zoo.data.sampling import Weights
from zoo.draws import clip_keys, combine, stable_id

_ORDER = stable_id("order")
_DRAW = stable_id("draw by weight")


class WeightedDraws:
    """Which clips an epoch draws, each with a chance in proportion to its weight.

    Nothing but additions, products and quotients of float64 in a fixed order goes into it: the clips are the same on
    every machine.

    Args:
        weights: (clips,) 0 or more; some above 0 (`zoo.data.sampling.check_weights`).
        num_draws: in an epoch.
        replacement: False draws no clip twice in an epoch: one after the other, by the weights of those that are left.
    """

    def __init__(self, weights: Weights, num_draws: int, replacement: bool = True, seed: int = 0) -> None:
        assert num_draws >= 1, num_draws
        assert replacement or num_draws <= np.count_nonzero(weights), "fewer clips to draw than draws"
        self.num_clips = len(weights)
        self.num_draws = num_draws
        self.replacement = replacement
        self.seed = combine(seed, _DRAW)
        self._weights = weights
        self._sums = np.cumsum(weights)
        assert self._sums[-1] > 0, "no clip can be drawn"

    @property
    def drawable(self) -> np.ndarray | None:
        """The clips of a weight above 0; None where that is all of them."""
        found = np.flatnonzero(self._weights)
        return None if len(found) == self.num_clips else found

    def indices(self, epoch: int) -> Int[np.ndarray, "draw"]:
        """(num_draws,) int64: the clips of an epoch in their order."""
        if self.replacement:
            points = _uniform(self.seed, epoch, self.num_draws) * self._sums[-1]
            # Clip i has the points from the sum before it, included, to its own: a weight of 0 has none.
            found = np.searchsorted(self._sums, points, side="right")
            return np.minimum(found, int(np.flatnonzero(self._weights)[-1]))
        # The smallest of exponential times with the weights as rates: Efraimidis and Spirakis (2006).
        drawable = np.flatnonzero(self._weights)
        times = -_log(_uniform(self.seed, epoch, self.num_clips)[drawable]) / self._weights[drawable]
        chosen = np.sort(drawable[np.argsort(times, kind="stable")[: self.num_draws]])
        # Heavy clips would come first: draw another order.
        keys = clip_keys(combine(self.seed, _ORDER), epoch, torch.from_numpy(chosen)).numpy()
        return chosen[np.argsort(keys, kind="stable")]


class EpochSampler:
    """Batches of keys (epoch, index): every clip once an epoch, or what `draws` gives.

    `drop_last` leaves out the last batch where it is not full; of fewer clips than a batch, it leaves out nothing.
    """

    def __init__(
        self,
        num_clips: int,
        batch_size: int,
        seed: int = 0,
        shuffle: bool = True,
        drop_last: bool = False,
        draws: WeightedDraws | None = None,
    ) -> None:
        assert num_clips >= 1, num_clips
        assert batch_size >= 1, batch_size
        assert draws is None or draws.num_clips == num_clips, (draws and draws.num_clips, num_clips)
        self.num_clips = num_clips
        self.num_draws = num_clips if draws is None else draws.num_draws
        self.batch_size = batch_size
        self.seed = seed
        self.shuffle = shuffle
        self.drop_last = drop_last and self.num_draws >= batch_size
        self._draws = draws

    def num_batches(self) -> int:
        return self.num_draws // self.batch_size if self.drop_last else -(-self.num_draws // self.batch_size)

    def order(self, epoch: int) -> torch.Tensor:
        """(num_draws,) int64: the indices in the order of this epoch.

        Shuffled, they are sorted by a hash that has no two equal values for two indices: unlike `torch.randperm`, no
        version of torch and no size of the set changes it.
        """
        if self._draws is not None:
            return torch.from_numpy(self._draws.indices(epoch))
        indices = torch.arange(self.num_clips)
        if not self.shuffle:
            return indices
        return torch.argsort(clip_keys(combine(self.seed, _ORDER), epoch, indices))

    def batches(self, epoch: int, start_batch: int = 0) -> Iterator[list[Key]]:
        """The epoch from its batch `start_batch` on: exactly the tail of the whole epoch.

        A clip that is drawn again has the number of times it came before in its key, wherever the epoch is started.
        """
        assert 0 <= start_batch <= self.num_batches(), (start_batch, self.num_batches())
        order = self.order(epoch)
        repeats = None if self._draws is None else torch.from_numpy(count_repeats(order.numpy()))
        for batch in range(start_batch, self.num_batches()):
            part = slice(batch * self.batch_size, (batch + 1) * self.batch_size)
            chosen = order[part].tolist()
            before = [0] * len(chosen) if repeats is None else repeats[part].tolist()
            yield [Key(epoch, index, repeat) for index, repeat in zip(chosen, before, strict=True)]


def count_repeats(order: Int[np.ndarray, "draw"]) -> Int[np.ndarray, "draw"]:
    """How often each entry stands earlier in the order."""
    by_index = np.argsort(order, kind="stable")
    in_runs = order[by_index]
    is_first = np.append(True, in_runs[1:] != in_runs[:-1])
    starts = np.flatnonzero(is_first)
    repeats = np.empty(len(order), dtype=np.int64)
    repeats[by_index] = np.arange(len(order)) - starts[np.cumsum(is_first) - 1]
    return repeats


def _uniform(seed: int, epoch: int, count: int) -> Float[np.ndarray, "draw"]:
    """`count` numbers in (0, 1), of 52 bits: with fewer, the rare clips of millions could never be drawn."""
    keys = clip_keys(seed, epoch, torch.arange(count)).numpy().view(np.uint64)
    return ((keys >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52


def _log(x: Float[np.ndarray, "draw"]) -> Float[np.ndarray, "draw"]:
    """The natural logarithm of numbers above 0, to about 1e-15, out of operations whose last bit IEEE 754 fixes.

    That of numpy differs between processors in its last bit, and with it could an order.
    """
    mantissa, exponent = np.frexp(x)  # x = mantissa * 2 ** exponent, mantissa in [0.5, 1)
    is_small = mantissa < 0.75
    mantissa, exponent = np.where(is_small, 2 * mantissa, mantissa), exponent - is_small
    ratio = (mantissa - 1) / (mantissa + 1)  # at most 1/5: log m = 2 artanh of it
    square = ratio * ratio
    series = np.zeros_like(x)
    for power in range(25, 0, -2):
        series = series * square + 1 / power
    return 2 * ratio * series + exponent * 0.6931471805599453
