"""From a log-mel to the tokens that the encoder sees: patches, positions, patchout, prefix tokens, dropout."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from zoo.draws import random_keys
from zoo.nn.patch import PatchEmbed, PatchGrid, num_real_columns
from zoo.nn.patchout import Patchout
from zoo.nn.position import FrequencyTimePosition, LearnedPosition, SinusoidalPosition
from zoo.nn.prefix import PrefixTokens

Position = LearnedPosition | SinusoidalPosition | FrequencyTimePosition


class Embedding(nn.Module):
    """Puts the parts together, in the order of the released models.

    A masked-patch model works between the two steps: `patches`, then what it does to them, then `assemble`.
    """

    def __init__(
        self,
        patch: PatchEmbed,
        position: Position,
        prefix: PrefixTokens,
        patchout: Patchout | None = None,
        dropout: float | int = 0.0,
    ) -> None:
        super().__init__()
        self.patch = patch
        self.position = position
        self.prefix = prefix
        self.patchout = patchout
        self.dropout = nn.Dropout(dropout)

    @property
    def embed_dim(self) -> int:
        return self.patch.embed_dim

    @property
    def num_prefix_tokens(self) -> int:
        return self.prefix.num_tokens

    @property
    def n_mels(self) -> int:
        """The smallest number of mels with the rows of the position table."""
        return (self.position.grid.freq - 1) * self.patch.stride[0] + self.patch.patch_size[0]

    def grid_for(self, n_frames: int, n_mels: int | None = None) -> PatchGrid:
        """The grid of an input of this length. Raises ShapeError when it is shorter than a patch."""
        return self.patch.grid(self.n_mels if n_mels is None else n_mels, n_frames)

    def patches(
        self, log_mel: Float[Tensor, "batch mel frame"]
    ) -> tuple[Float[Tensor, "batch patch embed"], PatchGrid]:
        """The patch tokens without positions, and their grid."""
        return self.patch(log_mel)

    def padding(self, num_frames: Int[Tensor, "batch"] | None, grid: PatchGrid) -> Bool[Tensor, "batch patch"] | None:
        """True for the patches that do not lie wholly inside the first `num_frames` frames of their clip."""
        if num_frames is None:
            return None
        num_columns = num_real_columns(num_frames, self.patch.patch_size, self.patch.stride)
        is_padded = torch.arange(grid.time, device=num_frames.device) >= num_columns[:, None]  # (B, T)
        return is_padded[:, None].expand(-1, grid.freq, -1).flatten(1)  # (B, N)

    def assemble(
        self,
        patches: Float[Tensor, "batch patch embed"],
        grid: PatchGrid,
        is_padded: Bool[Tensor, "batch patch"] | None = None,
        keys: Int[Tensor, "batch"] | None = None,
    ) -> tuple[Float[Tensor, "batch token embed"], Bool[Tensor, "batch token"] | None]:
        """Adds positions, leaves patches out, puts the prefix in front; the padding then covers the prefix too."""
        if keys is None and self.training:
            keys = random_keys(patches.shape[0], patches.device)
        if self.position.is_open:
            tokens = patches + self.position(grid, keys, num_columns=_num_columns(is_padded, grid))
        else:
            tokens = patches + self.position(grid, keys)
        if self.patchout is not None:
            tokens, is_padded, _ = self.patchout(tokens, grid, is_padded, keys)
        tokens = self.dropout(self.prefix(tokens))  # (B, P + N', D)
        if is_padded is not None:
            is_prefix = is_padded.new_zeros(is_padded.shape[0], self.prefix.num_tokens)
            is_padded = torch.cat([is_prefix, is_padded], dim=1)
        return tokens, is_padded

    def forward(
        self,
        log_mel: Float[Tensor, "batch mel frame"],
        num_frames: Int[Tensor, "batch"] | None = None,
        keys: Int[Tensor, "batch"] | None = None,
    ) -> tuple[Float[Tensor, "batch token embed"], Bool[Tensor, "batch token"] | None]:
        """num_frames: how many frames of each clip are real (None: all). keys: one per clip, for training's draws."""
        patches, grid = self.patches(log_mel)
        return self.assemble(patches, grid, self.padding(num_frames, grid), keys)


def _num_columns(is_padded: Bool[Tensor, "batch patch"] | None, grid: PatchGrid) -> Int[Tensor, "batch"] | None:
    """How many columns of every clip are real; padding lies at the end of time."""
    return None if is_padded is None else (~is_padded[:, : grid.time]).sum(dim=1)
