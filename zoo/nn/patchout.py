"""Leave patches out in training: the sequence gets shorter, and the model learns not to rely on any one of them.

Source: PaSST (Koutini et al. 2022), section 3, and its released code; differences, each with a test: every clip has
its own draw (released: one for the batch), a draw that leaves nothing is an error (released: a wrong slice, silently),
and in a batch of mixed lengths a clip loses what it would lose alone.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from zoo.draws import random_keys, uniform
from zoo.errors import ShapeError
from zoo.nn.patch import PatchGrid
from zoo.nn.share import check_count_or_share, resolve_count, resolve_counts


class Patchout(nn.Module):
    """Structured, then unstructured patchout; the identity in evaluation.

    freq, time: how many rows and columns of the grid go. random: how many of the patches left then go. Each is a count,
    or a share when below 1, rounded down. On an input too small for the counts one row, column and patch stay.
    """

    def __init__(self, freq: float | int = 0, time: float | int = 0, random: float | int = 0) -> None:
        super().__init__()
        for name, value in (("patchout_freq", freq), ("patchout_time", time), ("patchout_random", random)):
            check_count_or_share(name, value)
        self.freq = freq
        self.time = time
        self.random = random

    def extra_repr(self) -> str:
        return f"freq={self.freq:g}, time={self.time:g}, random={self.random:g}"

    def counts(self, grid: PatchGrid) -> tuple[int, int, int]:
        """How many rows, columns and single patches go from this grid; at least one of each stays."""
        freq = min(resolve_count(self.freq, grid.freq), grid.freq - 1)
        time = min(resolve_count(self.time, grid.time), grid.time - 1)
        left = (grid.freq - freq) * (grid.time - time)
        return freq, time, min(resolve_count(self.random, left), left - 1)

    def num_kept(self, grid: PatchGrid) -> int:
        """How many patches stay in training."""
        freq, time, random = self.counts(grid)
        return (grid.freq - freq) * (grid.time - time) - random

    def check(self, grid: PatchGrid) -> None:
        """Raises: ShapeError - a count leaves no row, column or patch of this grid; names the grid and the count."""
        freq, time, _ = self.counts(grid)
        left = (grid.freq - freq) * (grid.time - time)
        for name, value, total, what in (
            ("patchout_freq", self.freq, grid.freq, "rows"),
            ("patchout_time", self.time, grid.time, "columns"),
            ("patchout_random", self.random, left, "patches left by the structured patchout"),
        ):
            if resolve_count(value, total) >= total:
                raise ShapeError(
                    f"{name}: {value:g} of the {total} {what} of the grid {grid.freq} x {grid.time} - expected at "
                    f"least one to stay - choose at most {total - 1}, or a share below 1"
                )

    def forward(
        self,
        tokens: Float[Tensor, "batch patch embed"],
        grid: PatchGrid,
        is_padded: Bool[Tensor, "batch patch"] | None = None,
        keys: Int[Tensor, "batch"] | None = None,
        kept_rows: Int[Tensor, "batch row"] | None = None,
        kept_columns: Int[Tensor, "batch column"] | None = None,
        kept_patches: Int[Tensor, "batch kept"] | None = None,
    ) -> tuple[Float[Tensor, "batch kept embed"], Bool[Tensor, "batch kept"] | None, Int[Tensor, "batch kept"]]:
        """The tokens that stay in their order, which of them are padding, and their places in the grid.

        keys: one per clip; None draws them from torch's own generator. kept_*: state what stays instead of drawing it
        (ascending; `kept_patches` are places among the patches that the rows and columns leave).
        """
        index = self._index(tokens, grid, is_padded, keys, kept_rows, kept_columns, kept_patches)
        if index is None:
            places = torch.arange(tokens.shape[1], device=tokens.device)
            return tokens, is_padded, places.expand(tokens.shape[:2])
        tokens = tokens.gather(1, index[:, :, None].expand(-1, -1, tokens.shape[2]))  # (B, N', D)
        return tokens, None if is_padded is None else is_padded.gather(1, index), index

    def _index(
        self,
        tokens: Tensor,
        grid: PatchGrid,
        is_padded: Tensor | None,
        keys: Tensor | None,
        kept_rows: Tensor | None,
        kept_columns: Tensor | None,
        kept_patches: Tensor | None,
    ) -> Tensor | None:
        """Places of the patches that stay (B, N'); None when all do."""
        if not self.training or not (self.freq or self.time or self.random):
            return None
        batch, device = tokens.shape[0], tokens.device
        num_freq, num_time, num_random = self.counts(grid)
        if keys is None:
            keys = random_keys(batch, device)
        if is_padded is None:
            is_padded = torch.zeros(batch, grid.num_patches, dtype=torch.bool, device=device)
        if kept_rows is None:
            noise = uniform(keys, "patchout-freq", grid.freq)
            kept_rows = _keep(noise, torch.zeros_like(noise, dtype=torch.bool), num_freq, self.freq)
        if kept_columns is None:
            # Padding lies at the end of time: a column is padded as a whole.
            is_padded_column = is_padded.unflatten(1, (grid.freq, grid.time)).all(dim=1)  # (B, T)
            kept_columns = _keep(uniform(keys, "patchout-time", grid.time), is_padded_column, num_time, self.time)
        index = (kept_rows[:, :, None] * grid.time + kept_columns[:, None]).flatten(1)  # (B, F' * T')
        if kept_patches is None:
            # Drawn for every place of the grid, column by column, so that a wider batch changes nothing.
            noise = uniform(keys, "patchout-random", grid.num_patches).unflatten(1, (grid.time, grid.freq))
            noise = noise.transpose(1, 2).flatten(1).gather(1, index)
            kept_patches = _keep(noise, is_padded.gather(1, index), num_random, self.random)
        return index.gather(1, kept_patches)  # (B, N')


def _keep(noise: Tensor, is_padded: Tensor, num_dropped: int, dropped: float | int) -> Tensor:
    """Ascending places of the n - `num_dropped` things of every clip that stay: (B, n) to (B, n - num_dropped).

    A clip loses `dropped` (a count, or a share) of its real things, but never the last; the rest comes from its
    padding, so that all clips keep the same number.
    """
    num_real = (~is_padded).sum(dim=1)
    num_real_dropped = resolve_counts(dropped, num_real).minimum(num_real - 1).clamp(min=0, max=num_dropped)
    rank = (noise + is_padded).argsort(dim=1, stable=True).argsort(dim=1)  # real things first: noise is below 1
    is_dropped = torch.where(
        is_padded,
        rank < (num_real + num_dropped - num_real_dropped)[:, None],
        rank < num_real_dropped[:, None],
    )
    return is_dropped.int().argsort(dim=1, stable=True)[:, : noise.shape[1] - num_dropped]
