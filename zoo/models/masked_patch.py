"""The pretraining model of SSAST: hides patches of a clip and predicts them from the rest."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from zoo.draws import random_keys
from zoo.errors import ShapeError
from zoo.models.registry import ModelConfig
from zoo.models.spectrogram_model import accept, check_input
from zoo.models.transformer import SpectrogramTransformer
from zoo.nn.masking import draw_mask, mask_count, masked_index
from zoo.nn.patch import PatchGrid, fold_patches, unfold_patches

BACKBONE = "backbone."
"""What the names of the fine-tuning model's tensors begin with in a `MaskedPatchModel`."""

RECONSTRUCT = "mask-reconstruct"
CLASSIFY = "mask-classify"


class MaskedPatches(NamedTuple):
    """What one task predicts about the masked patches, in the order of their places. Rows beyond `length` are zero."""

    output: Float[Tensor, "batch masked patch_dim"]
    target: Float[Tensor, "batch masked patch_dim"]
    """The input's own values, mel-major in each patch."""
    length: Int[Tensor, "batch"]
    """Masked patches of each clip."""


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


class PredictionHead(nn.Module):
    """Linear, ReLU, linear: from a token to the values of its patch, as in the released SSAST."""

    def __init__(self, embed_dim: int, patch_dim: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(embed_dim, embed_dim)
        self.output = nn.Linear(embed_dim, patch_dim)

    def forward(self, tokens: Float[Tensor, "batch token embed"]) -> Float[Tensor, "batch token patch_dim"]:
        return self.output(self.hidden(tokens).relu())


class MaskedPatchModel(nn.Module):
    """Masks patches, encodes the clip, and gives for each task the predictions with their targets.

    Both tasks look at one mask and one pass through the encoder: nothing in SSAST's losses needs two, and a step costs
    half. With `separate_masks` each has a mask and a pass of its own, as in the released code (one batch of twice the
    size here). Masks are drawn in evaluation too, by `sampler`. A masked patch's embedding is replaced before positions
    are added, so that nothing of its content reaches the encoder, while its place does. Patches that are not wholly
    inside `num_frames` are neither masked nor seen.

    `backbone` is the fine-tuning model without aggregator and head, so its keys are those of fine-tuning. The trunk
    and the mask token start as `zoo.nn.init` says, the two prediction heads from torch's default, as released.
    """

    def __init__(
        self,
        backbone: SpectrogramTransformer,
        num_masked: float,
        cluster_size: tuple[int, int],
        separate_masks: bool = False,
        sampler: Callable[..., Tensor] = draw_mask,
        *,
        config: ModelConfig,
    ) -> None:
        super().__init__()
        self.config = config
        self.front_end: Any = None  # this and the next two of a loaded model, as in SpectrogramModel
        self.labels: tuple[str, ...] | None = None
        self.load_notes: tuple[str, ...] = ()
        self.num_masked = num_masked
        self.cluster_size = cluster_size
        self.separate_masks = separate_masks
        self.sampler = sampler
        self.backbone = backbone
        patch = backbone.embedding.patch
        self.mask_token = nn.Parameter(torch.empty(1, 1, backbone.embed_dim))
        self.reconstruct = PredictionHead(backbone.embed_dim, patch.patch_dim)
        self.classify = PredictionHead(backbone.embed_dim, patch.patch_dim)
        nn.init.normal_(self.mask_token, std=backbone.embed_dim**-0.5)

    @property
    def min_frames(self) -> int:
        """Frames of the shortest clip of which one patch can be masked and another seen."""
        patch = self.backbone.embedding.patch
        shortest = self.backbone.min_frames
        return shortest if patch.grid(self.config.n_mels, shortest).num_patches > 1 else shortest + patch.stride[1]

    @property
    def max_frames(self) -> int:
        """Frames of the longest input for which the position table has a column for every patch."""
        return self.backbone.max_frames

    def any_length(self) -> AbstractContextManager[None]:
        """As `SpectrogramModel.any_length`."""
        return self.backbone.any_length()

    def forward(
        self,
        log_mel: Float[Tensor, "..."],
        num_frames: Int[Tensor, "..."] | None = None,
        keys: Int[Tensor, "batch"] | None = None,
        masks: tuple[Bool[Tensor, "..."], Bool[Tensor, "..."]] | None = None,
    ) -> MaskedPatchOutput:
        """log_mel (B, n_mels, T), num_frames (B,), keys (B,): as in SpectrogramTransformer; keys decide the masks.

        masks: (of reconstruct, of classify), each (B, N), state what is masked instead of drawing it; any number of
            patches, padding left out. Two that differ take two passes, as `separate_masks` does.

        Raises ShapeError as there, and for masks that do not fit the grid.
        """
        log_mel = accept(log_mel, self.front_end)
        self._check(log_mel, num_frames)
        patches, grid = self.backbone.embedding.patches(log_mel)
        is_padded = self.backbone.embedding.padding(num_frames, grid)
        if keys is None:
            keys = random_keys(log_mel.shape[0], log_mel.device)
        if masks is None:
            tasks = (RECONSTRUCT, CLASSIFY) if self.separate_masks else (RECONSTRUCT,)
            of_pass = [self.draw(grid, keys, task, is_padded) for task in tasks]
            max_count = mask_count(self.num_masked, grid.num_patches)
        else:
            _check_masks(masks, patches.shape[:2], grid)
            of_pass = [mask if is_padded is None else mask & ~is_padded for mask in masks]
            if torch.equal(*of_pass):
                del of_pass[1]
            max_count = max(int(mask.sum(dim=1).max()) for mask in of_pass)
        passes = len(of_pass)
        tokens = self.encode(
            patches.repeat(passes, 1, 1),
            grid,
            torch.cat(of_pass),  # (passes * B, N)
            None if is_padded is None else is_padded.repeat(passes, 1),
            keys.repeat(passes),
        ).chunk(passes)
        values = unfold_patches(log_mel, self.backbone.embedding.patch.patch_size, self._stride).detach()
        return MaskedPatchOutput(
            self.predict(self.reconstruct, tokens[0], values, of_pass[0], max_count),
            self.predict(self.classify, tokens[-1], values, of_pass[-1], max_count),
        )

    def draw(
        self,
        grid: PatchGrid,
        keys: Int[Tensor, "batch"],
        task: str = RECONSTRUCT,
        is_padded: Bool[Tensor, "batch patch"] | None = None,
    ) -> Bool[Tensor, "batch patch"]:
        """The mask of one task, RECONSTRUCT or CLASSIFY; the same keys give the same mask."""
        purpose = task if self.separate_masks else RECONSTRUCT
        return self.sampler(grid, self.num_masked, self.cluster_size, keys, is_padded, purpose)

    def encode(
        self,
        patches: Float[Tensor, "batch patch embed"],
        grid: PatchGrid,
        is_masked: Bool[Tensor, "batch patch"],
        is_padded: Bool[Tensor, "batch patch"] | None = None,
        keys: Int[Tensor, "batch"] | None = None,
    ) -> Float[Tensor, "batch token embed"]:
        """Hides the masked patches, and encodes the rest with them; all tokens, the prefix first."""
        embedding = self.backbone.embedding
        patches = torch.where(is_masked[:, :, None], self.mask_token.to(patches.dtype), patches)
        tokens, is_padded_token = embedding.assemble(patches, grid, is_padded, keys)  # (B, P + N, D)
        return self.backbone.encoder(tokens, is_padded_token)  # (B, P + N, D)

    def predict(
        self,
        head: nn.Module,
        tokens: Float[Tensor, "batch token embed"],
        values: Float[Tensor, "batch patch patch_dim"],
        is_masked: Bool[Tensor, "batch patch"],
        max_count: int,
    ) -> MaskedPatches:
        """What `head` says about the masked patches, at most `max_count` of a clip, beside their true values."""
        index, length = masked_index(is_masked, max_count)  # (B, L), (B,)
        tokens = self._patch_tokens(tokens)
        is_real = (torch.arange(index.shape[1], device=index.device) < length[:, None])[:, :, None]
        output = head(tokens.gather(1, index[:, :, None].expand(-1, -1, tokens.shape[2])))  # (B, L, patch_dim)
        target = values.gather(1, index[:, :, None].expand(-1, -1, values.shape[2]))
        return MaskedPatches(torch.where(is_real, output, 0.0), torch.where(is_real, target, 0.0), length)

    @torch.no_grad()
    def details(
        self,
        log_mel: Float[Tensor, "..."],
        num_frames: Int[Tensor, "..."] | None = None,
        keys: Int[Tensor, "batch"] | None = None,
        rescale: bool = False,
    ) -> MaskedPatchDetails:
        """The reconstruction of a batch as pictures. The same keys give the masks that `forward` has.

        rescale: give every prediction the mean and deviation of the true patch: a model trained on targets that were
            normalised patch by patch says nothing about them (He et al. 2022 draw theirs so too).
        """
        log_mel = accept(log_mel, self.front_end)
        self._check(log_mel, num_frames)
        patches, grid = self.backbone.embedding.patches(log_mel)
        is_padded = self.backbone.embedding.padding(num_frames, grid)
        if keys is None:
            keys = random_keys(log_mel.shape[0], log_mel.device)
        is_masked = self.draw(grid, keys, RECONSTRUCT, is_padded)
        tokens = self._patch_tokens(self.encode(patches, grid, is_masked, is_padded, keys))
        predicted = self.reconstruct(tokens).to(log_mel.dtype)  # (B, N, patch_dim)
        patch_size = self.backbone.embedding.patch.patch_size
        values = unfold_patches(log_mel, patch_size, self._stride)
        if rescale:
            deviation, mean = torch.std_mean(values, dim=-1, keepdim=True, correction=0)
            predicted = predicted * deviation + mean
        hidden = is_masked[:, :, None]
        return MaskedPatchDetails(
            grid,
            is_masked,
            is_padded,
            fold_patches(values.masked_fill(hidden, 0.0), grid, patch_size),
            fold_patches(torch.where(hidden, predicted, values), grid, patch_size),
        )

    def _check(self, log_mel: Tensor, num_frames: Tensor | None) -> None:
        max_frames = None if self.backbone.is_open else self.max_frames
        check_input(log_mel, num_frames, self.config, self.min_frames, max_frames)

    @property
    def _stride(self) -> tuple[int, int]:
        return self.backbone.embedding.patch.stride

    def _patch_tokens(self, tokens: Tensor) -> Tensor:
        """Without the prefix: (B, P + N, D) to (B, N, D)."""
        return tokens[:, self.backbone.embedding.num_prefix_tokens :]


def _check_masks(masks: tuple[Tensor, Tensor], shape: tuple[int, ...], grid: PatchGrid) -> None:
    for name, mask in zip((RECONSTRUCT, CLASSIFY), masks, strict=True):
        if tuple(mask.shape) != tuple(shape):
            raise ShapeError(
                f"masks: {name}: found shape {tuple(mask.shape)} - expected {tuple(shape)}, one for each of the "
                f"{grid.freq} x {grid.time} patches of every clip - draw it on the grid of this input"
            )
