"""The mean-patch baseline: what reconstruction has to beat to have learned anything of how sounds go on."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from zoo.data.batch import Inputs
from zoo.models.masked_patch import RECONSTRUCT, MaskedPatchModel
from zoo.nn.patch import unfold_patches
from zoo.objectives.masked_patch import normalise_patches
from zoo.objectives.objective import Objective
from zoo.precision import exactly


def with_mean_patch(objective: Objective, normalise: bool) -> Objective:
    """The same objective with `mean_patch_loss` among its scalars, for evaluation.

    Args: `normalise` - whether the targets of reconstruction are normalised patch by patch.
    """

    def measured(model: nn.Module, inputs: Inputs) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        loss, count, scalars = objective(model, inputs)
        assert isinstance(model, MaskedPatchModel)
        return loss, count, {**scalars, "mean_patch_loss": mean_patch_error(model, inputs, normalise)}

    return measured


@torch.no_grad()
def mean_patch_error(model: MaskedPatchModel, inputs: Inputs, normalise: bool) -> Float[Tensor, ""]:
    """The squared error of guessing every masked patch by the mean, number by number, of the patches of its clip that
    are real and not masked: a mean over the masked patches of all clips, as in `reconstruction_error`, and of the masks
    that the model draws for reconstruction (the first one where it draws several for a clip)."""
    known: Any = model.backbone.embedding.patch
    values = unfold_patches(inputs.log_mel, known.patch_size, known.stride).float()
    grid = known.grid(inputs.log_mel.shape[1], inputs.log_mel.shape[2])
    is_padded = model.backbone.embedding.padding(inputs.num_frames, grid)
    is_masked = model.draw(grid, inputs.keys, RECONSTRUCT, is_padded)
    is_seen = ~is_masked if is_padded is None else ~(is_masked | is_padded)
    with exactly(inputs.log_mel.device):
        values = normalise_patches(values) if normalise else values
        total = torch.where(is_seen[:, :, None], values, 0.0).sum(dim=1, keepdim=True)
        mean = total / is_seen.sum(dim=1).clamp(min=1)[:, None, None]  # (B, 1, patch_dim)
        error = (values - mean).square().mean(dim=-1).masked_fill(~is_masked, 0.0)
        return error.sum() / is_masked.sum().clamp(min=1)
