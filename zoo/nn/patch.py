"""Cut a log-mel spectrogram into patches, on a grid that is always stated as (freq, time) and never guessed.

Patches are numbered frequency-major: patch f * T + t lies in row f (row 0 holds the lowest mels) and column t. This is
the order of a convolution's output and of the released AST, SSAST and PaSST weights.
"""

from typing import NamedTuple

from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn

from zoo.errors import ShapeError


class PatchGrid(NamedTuple):
    """How many patches lie along each axis."""

    freq: int
    time: int

    @property
    def num_patches(self) -> int:
        return self.freq * self.time


def patch_grid(n_mels: int, n_frames: int, patch_size: tuple[int, int], stride: tuple[int, int]) -> PatchGrid:
    """The grid of whole patches in a spectrogram of this size; what is left over at the upper edges is not covered.

    Raises: ShapeError - the patch is larger than the spectrogram.
    """
    if n_mels < patch_size[0] or n_frames < patch_size[1]:
        raise ShapeError(
            f"patch: spectrogram of {n_mels} mels and {n_frames} frames - expected at least one patch of "
            f"{patch_size[0]} mels and {patch_size[1]} frames - use a smaller patch_size or pad the clip"
        )
    return PatchGrid((n_mels - patch_size[0]) // stride[0] + 1, (n_frames - patch_size[1]) // stride[1] + 1)


def num_real_columns(
    num_frames: Int[Tensor, "batch"], patch_size: tuple[int, int], stride: tuple[int, int]
) -> Int[Tensor, "batch"]:
    """How many columns of the grid lie wholly inside the first `num_frames` frames of each clip; 0 if none does."""
    return ((num_frames - patch_size[1]) // stride[1] + 1).clamp(min=0)


def unfold_patches(
    log_mel: Float[Tensor, "batch mel frame"], patch_size: tuple[int, int], stride: tuple[int, int]
) -> Float[Tensor, "batch patch patch_dim"]:
    """The values of every patch as one row, mel-major inside the patch (time is the fast axis).

    Raises: ShapeError - the patch is larger than the spectrogram.
    """
    patch_grid(log_mel.shape[1], log_mel.shape[2], patch_size, stride)
    windows = log_mel.unfold(1, patch_size[0], stride[0]).unfold(2, patch_size[1], stride[1])
    return rearrange(windows, "b f t p q -> b (f t) (p q)")


def fold_patches(
    patches: Float[Tensor, "batch patch patch_dim"], grid: PatchGrid, patch_size: tuple[int, int]
) -> Float[Tensor, "batch mel frame"]:
    """The spectrogram that non-overlapping patches were cut from: the inverse of `unfold_patches` at stride = size.

    Raises: ShapeError - the rows do not fit the grid, or their length does not fit the patch size.
    """
    if patches.shape[1] != grid.num_patches or patches.shape[2] != patch_size[0] * patch_size[1]:
        raise ShapeError(
            f"fold_patches: {patches.shape[1]} patches of {patches.shape[2]} values - expected {grid.num_patches} of "
            f"{patch_size[0] * patch_size[1]} for the grid {tuple(grid)} and the patch size {tuple(patch_size)} - pass "
            "the grid and the size that the patches were cut with"
        )
    return rearrange(patches, "b (f t) (p q) -> b (f p) (t q)", f=grid.freq, p=patch_size[0])


class PatchEmbed(nn.Module):
    """One linear map of every patch, as a convolution (released weights have it in this form).

    Returns the tokens and their grid. Raises ShapeError when the patch is larger than the spectrogram.
    """

    def __init__(self, embed_dim: int, patch_size: tuple[int, int], stride: tuple[int, int]) -> None:
        super().__init__()
        self.embed_dim = embed_dim
        self.patch_size = (patch_size[0], patch_size[1])
        self.stride = (stride[0], stride[1])
        self.proj = nn.Conv2d(1, embed_dim, kernel_size=self.patch_size, stride=self.stride)

    @property
    def patch_dim(self) -> int:
        """Values in one patch."""
        return self.patch_size[0] * self.patch_size[1]

    def grid(self, n_mels: int, n_frames: int) -> PatchGrid:
        return patch_grid(n_mels, n_frames, self.patch_size, self.stride)

    def forward(
        self, log_mel: Float[Tensor, "batch mel frame"]
    ) -> tuple[Float[Tensor, "batch patch embed"], PatchGrid]:
        grid = self.grid(log_mel.shape[1], log_mel.shape[2])
        patches = self.proj(log_mel.unsqueeze(1))  # (B, D, F, T)
        return patches.flatten(2).transpose(1, 2), grid  # (B, N, D)
