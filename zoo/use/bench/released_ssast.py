"""SSAST's pretraining step in the way of its released code: clip by clip where that loops, and two passes.

Written from a description of the code, none of it copied. Source: YuanGongND/ssast, src/models/ast_models.py (`mpc`,
`mpg`, `gen_maskid_patch`) and src/traintest_mask.py. For each of the two losses it
embeds all patches, draws the masks of the clips one after another in Python, hides them by a dense mask of the size of
the tokens, encodes, then goes over the clips for the predictions of the masked patches, and for the contrastive loss
over them once more. The released attention writes all weights out; here both ways have one encoder, ours, so that what
differs is the way to the losses, and the comparison is no harder on the released code than it deserves.
"""

import random

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from zoo.models.masked_patch import MaskedPatchModel
from zoo.nn.masking import mask_count
from zoo.nn.patch import PatchGrid, unfold_patches
from zoo.nn.released_masking import draw_clusters

RECONSTRUCT_WEIGHT = 10.0
"""The released joint loss is NCE + 10 * MSE."""


class ReleasedSsast(nn.Module):
    """The joint loss of a `MaskedPatchModel`'s weights. `forward` gives the loss alone."""

    def __init__(self, model: MaskedPatchModel) -> None:
        super().__init__()
        assert model.mask_token is not None, "the released code has no decoder"
        self.model = model
        self._mask_token = model.mask_token
        self._rng = random.Random(0)

    def forward(
        self,
        log_mel: Float[Tensor, "batch mel frame"],
        masks: tuple[Bool[Tensor, "batch patch"], Bool[Tensor, "batch patch"]] | None = None,
    ) -> Float[Tensor, ""]:
        """NCE + 10 * MSE. masks: (of reconstruct, of classify) instead of drawn ones, as many patches in every clip."""
        reconstruct, classify = (None, None) if masks is None else masks
        return self._nce(log_mel, classify) + RECONSTRUCT_WEIGHT * self._mse(log_mel, reconstruct)

    def _nce(self, log_mel: Tensor, is_masked: Tensor | None) -> Tensor:
        outputs, targets = self._predictions(self.model.classify, log_mel, is_masked)
        total = log_mel.new_zeros(())
        for output, target in zip(outputs, targets, strict=True):  # (M, patch_dim): row target, column prediction
            total = total + torch.log_softmax(target @ output.T, dim=-1).diagonal().sum()
        return -total / (outputs.shape[0] * outputs.shape[1])

    def _mse(self, log_mel: Tensor, is_masked: Tensor | None) -> Tensor:
        outputs, targets = self._predictions(self.model.reconstruct, log_mel, is_masked)
        return (outputs - targets).square().mean()

    def _predictions(self, head: nn.Module, log_mel: Tensor, is_masked: Tensor | None) -> tuple[Tensor, Tensor]:
        """A pass of its own: what `head` says of the masked patches (B, M, patch_dim), and what they are."""
        model, embedding = self.model, self.model.backbone.embedding
        values = unfold_patches(log_mel, embedding.patch.patch_size, embedding.patch.stride)
        patches, grid = embedding.patches(log_mel)
        index = self._draw(grid, log_mel) if is_masked is None else _places(is_masked)
        is_kept = torch.ones_like(patches)
        for clip, places in enumerate(index):
            is_kept[clip, places, :] = 0
        patches = patches * is_kept + (1 - is_kept) * self._mask_token
        tokens, _ = embedding.assemble(patches, grid)
        tokens = model.backbone.encoder(tokens)[:, embedding.num_prefix_tokens :]
        outputs, targets = [], []
        for clip, places in enumerate(index):
            outputs.append(head(tokens[clip : clip + 1, places])[0].float())
            targets.append(values[clip, places].detach())
        return torch.stack(outputs), torch.stack(targets)

    def _draw(self, grid: PatchGrid, log_mel: Tensor) -> Int[Tensor, "batch masked"]:
        count = mask_count(self.model.num_masked, grid.num_patches)
        size = self.model.cluster_size
        drawn = []
        for _ in range(log_mel.shape[0]):
            if size == (1, 1):
                drawn.append(self._rng.sample(range(grid.num_patches), count))
            else:
                drawn.append(draw_clusters(grid, count, size, self._rng))
        return torch.tensor(drawn, device=log_mel.device)


def _places(is_masked: Bool[Tensor, "batch patch"]) -> Int[Tensor, "batch masked"]:
    return torch.stack([row.nonzero()[:, 0] for row in is_masked])
