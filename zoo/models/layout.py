"""How the tokens of a model lie over the log-mel that it is given."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from zoo.nn.patch import PatchGrid, patch_grid


@dataclass(frozen=True)
class TokenLayout:
    """Prefix tokens, then a grid of patches, frequency-major. Pairs are (freq, time)."""

    num_prefix: int
    patch_size: tuple[int, int]
    """Mel bands and frames that a token stands for."""
    stride: tuple[int, int]
    """From one token to the next."""

    def grid(self, n_mels: int, n_frames: int) -> PatchGrid:
        """The grid over a log-mel of this size. Raises ShapeError when it is smaller than a patch."""
        return patch_grid(n_mels, n_frames, self.patch_size, self.stride)

    def on_grid(self, tokens: Float[Tensor, "batch token embed"], n_mels: int) -> Float[Tensor, "batch f t embed"]:
        """The patch tokens where they lie; the prefix is left out."""
        rows = (n_mels - self.patch_size[0]) // self.stride[0] + 1
        return tokens[:, self.num_prefix :].unflatten(1, (rows, -1))  # (B, F, T, D)
