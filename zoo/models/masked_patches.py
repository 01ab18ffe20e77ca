"""What a masked-patch model answers with: predictions beside what they should have been, and pictures of them."""

from typing import NamedTuple

from jaxtyping import Bool, Float, Int
from torch import Tensor

from zoo.nn.patch import PatchGrid


class MaskedPatches(NamedTuple):
    """What one task predicts about the masked patches, in the order of their places. Rows beyond `length` are zero.

    One item of the batch is one mask of one clip: with several masks a clip, all clips under the first mask come first.
    """

    output: Float[Tensor, "batch masked patch_dim"]
    target: Float[Tensor, "batch masked patch_dim"]
    """The input's own values, mel-major in each patch."""
    length: Int[Tensor, "batch"]
    """Masked patches under each mask."""


class MaskedPatchOutput(NamedTuple):
    """Both tasks, each with a mask of its own."""

    reconstruct: MaskedPatches
    classify: MaskedPatches


class MaskedPatchDetails(NamedTuple):
    """The reconstruction task drawn back onto the grid, for pictures and measurements."""

    grid: PatchGrid
    is_masked: Bool[Tensor, "batch patch"]
    is_padded: Bool[Tensor, "batch patch"] | None
    masked: Float[Tensor, "batch mel frame"]
    """The input with its masked patches set to 0, which is the data set's mean; whole patches only."""
    reconstructed: Float[Tensor, "batch mel frame"]
    """The input with the model's prediction in the masked patches."""
