"""The pretraining model of SSAST: hides patches of a clip and predicts them from the rest."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from zoo.draws import clip_keys, random_keys, stable_id
from zoo.errors import ShapeError
from zoo.models.masked_patches import MaskedPatchDetails, MaskedPatches, MaskedPatchOutput
from zoo.models.registry import ModelConfig
from zoo.models.spectrogram_model import accept, check_input
from zoo.models.transformer import SpectrogramTransformer
from zoo.nn.head import PredictionHead
from zoo.nn.mask_decoder import MaskDecoder
from zoo.nn.masking import draw_mask, mask_count, masked_index
from zoo.nn.patch import PatchGrid, fold_patches, unfold_patches

BACKBONE = "backbone."
"""What the names of the fine-tuning model's tensors begin with in a `MaskedPatchModel`."""

RECONSTRUCT = "mask-reconstruct"
CLASSIFY = "mask-classify"

_FURTHER = stable_id("further masks of a clip")


class MaskedPatchModel(nn.Module):
    """Masks patches, encodes the clip, and gives for each task the predictions with their targets.

    Both tasks look at one mask and one pass through the encoder: nothing in SSAST's losses needs two, and a step costs
    half. With `separate_masks` each has a mask and a pass of its own, as in the released code (one batch of twice the
    size here). Masks are drawn in evaluation too, by `sampler`. A masked patch's embedding is replaced before positions
    are added, so that nothing of its content reaches the encoder, while its place does; with a `decoder` the encoder
    sees the visible patches alone, and the decoder all places. Patches that are not wholly inside `num_frames` are
    neither masked nor seen. In training every clip has `masks_per_clip` masks; in evaluation the first of them, so that
    runs with different numbers are measured alike.

    `backbone` is the fine-tuning model without aggregator and head, so its keys are those of fine-tuning. The trunk,
    the mask token and the decoder start as `zoo.nn.init` says, the two prediction heads from torch's default, as
    released. `mask_token` is the encoder's; a decoder has its own in its place.
    """

    def __init__(
        self,
        backbone: SpectrogramTransformer,
        num_masked: float,
        cluster_size: tuple[int, int],
        separate_masks: bool = False,
        sampler: Callable[..., Tensor] = draw_mask,
        masks_per_clip: int = 1,
        decoder: MaskDecoder | None = None,
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
        self.masks_per_clip = masks_per_clip
        self.backbone = backbone
        patch = backbone.embedding.patch
        self.mask_token = nn.Parameter(torch.empty(1, 1, backbone.embed_dim)) if decoder is None else None
        self.decoder = decoder
        width = backbone.embed_dim if decoder is None else decoder.width
        self.reconstruct = PredictionHead(width, patch.patch_dim)
        self.classify = PredictionHead(width, patch.patch_dim)
        if self.mask_token is not None:
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
            of_pass = self._draw_all(grid, keys, is_padded)
            max_count, num_visible = mask_count(self.num_masked, grid.num_patches), self._num_visible(grid)
        else:
            _check_masks(masks, patches.shape[:2], grid)
            of_pass = [mask if is_padded is None else mask & ~is_padded for mask in masks]
            if torch.equal(*of_pass):
                del of_pass[1]
            max_count, num_visible = max(int(mask.sum(dim=1).max()) for mask in of_pass), None
        tokens = self.encode(patches, grid, torch.cat(of_pass), is_padded, keys, num_visible).chunk(len(of_pass))
        values = unfold_patches(log_mel, self.backbone.embedding.patch.patch_size, self._stride).detach()
        return MaskedPatchOutput(
            self.predict(self.reconstruct, tokens[0], values, of_pass[0], max_count),
            self.predict(self.classify, tokens[-1], values, of_pass[-1], max_count),
        )

    def _draw_all(self, grid: PatchGrid, keys: Tensor, is_padded: Tensor | None) -> list[Tensor]:
        """For each pass through the encoder the masks of all clips, (K * B, N): the first mask of every clip first."""
        num_masks = self.masks_per_clip if self.training else 1
        further = [clip_keys(_FURTHER, number, keys) for number in range(1, num_masks)]
        every, padding = torch.cat([keys, *further]), None if is_padded is None else is_padded.repeat(num_masks, 1)
        tasks = (RECONSTRUCT, CLASSIFY) if self.separate_masks else (RECONSTRUCT,)
        return [self.draw(grid, every, task, padding) for task in tasks]

    def _num_visible(self, grid: PatchGrid) -> int | None:
        """How many patches our own sampler leaves; of a clip with padding no more. Others may leave more."""
        return grid.num_patches - mask_count(self.num_masked, grid.num_patches) if self.sampler is draw_mask else None

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
        patches: Float[Tensor, "clip patch embed"],
        grid: PatchGrid,
        is_masked: Bool[Tensor, "batch patch"],
        is_padded: Bool[Tensor, "clip patch"] | None = None,
        keys: Int[Tensor, "clip"] | None = None,
        num_visible: int | None = None,
    ) -> Float[Tensor, "batch token width"]:
        """Hides the masked patches and encodes the clips, once for each mask; all tokens, the prefix first.

        is_masked: one mask of every clip after the other, each of all clips.
        num_visible: for a decoder: how many patches every clip has left, or at most where some are padded. None: look.
        """
        embedding, repeats = self.backbone.embedding, is_masked.shape[0] // patches.shape[0]
        padding = None if is_padded is None else is_padded.repeat(repeats, 1)
        if self.decoder is not None:
            tokens, _ = embedding.assemble(patches, grid, is_padded, keys)  # (clips, P + N, D)
            return self._encode_visible(self.decoder, tokens, grid, is_masked, padding, num_visible)
        hidden = is_masked.unflatten(0, (repeats, -1))[..., None]
        assert self.mask_token is not None, "without a decoder the encoder has the mask token"
        copies = torch.where(hidden, self.mask_token.to(patches.dtype), patches).flatten(0, 1)
        keys = None if keys is None else keys.repeat(repeats)
        tokens, is_padded_token = embedding.assemble(copies, grid, padding, keys)  # (B, P + N, D)
        return self.backbone.encoder(tokens, is_padded_token)  # (B, P + N, D)

    def _encode_visible(
        self,
        decoder: MaskDecoder,
        tokens: Tensor,
        grid: PatchGrid,
        is_masked: Tensor,
        is_padded: Tensor | None,
        num_visible: int | None,
    ) -> Tensor:
        """Leaves all but the prefix and the visible patches out of `tokens`, encodes these, and decodes all places."""
        count = self.backbone.embedding.num_prefix_tokens
        is_visible = ~is_masked if is_padded is None else ~(is_masked | is_padded)
        is_ragged = is_padded is not None
        if num_visible is None:
            there = is_visible.sum(dim=1)
            num_visible, is_ragged = max(int(there.max()), 1), bool((there != there.max()).any())
        index, length = masked_index(is_visible, num_visible)  # the places of what is True: (B, V), (B,)
        places = torch.arange(count, device=index.device).expand(index.shape[0], -1)
        places = torch.cat([places, index + count], dim=1)[:, :, None].expand(-1, -1, tokens.shape[2])  # (B, P + V, D)
        repeats = is_masked.shape[0] // tokens.shape[0]
        seen = tokens.expand(repeats, -1, -1, -1).gather(2, places.unflatten(0, (repeats, -1))).flatten(0, 1)
        is_unseen = None
        if is_ragged:
            is_unseen = torch.arange(-count, num_visible, device=index.device) >= length[:, None]  # the prefix is seen
        return decoder(self.backbone.encoder(seen, is_unseen), grid, is_visible, is_padded)

    def predict(
        self,
        head: nn.Module,
        tokens: Float[Tensor, "batch token width"],
        values: Float[Tensor, "clip patch patch_dim"],
        is_masked: Bool[Tensor, "batch patch"],
        max_count: int,
    ) -> MaskedPatches:
        """What `head` says about the masked patches, at most `max_count` of a mask, beside their true values.

        tokens, is_masked: of one mask of every clip after the other. values: of the clips.
        """
        index, length = masked_index(is_masked, max_count)  # (B, L), (B,)
        tokens = self._patch_tokens(tokens)
        is_real = (torch.arange(index.shape[1], device=index.device) < length[:, None])[:, :, None]
        output = head(tokens.gather(1, index[:, :, None].expand(-1, -1, tokens.shape[2])))  # (B, L, patch_dim)
        clip = torch.arange(index.shape[0], device=index.device) % values.shape[0]
        target = values[clip[:, None], index]
        return MaskedPatches(torch.where(is_real, output, 0.0), torch.where(is_real, target, 0.0), length)

    @torch.no_grad()
    def details(
        self,
        log_mel: Float[Tensor, "..."],
        num_frames: Int[Tensor, "..."] | None = None,
        keys: Int[Tensor, "batch"] | None = None,
        rescale: bool = False,
    ) -> MaskedPatchDetails:
        """The reconstruction of a batch as pictures. The same keys give the masks that `forward` has, or has first.

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
        tokens = self.encode(patches, grid, is_masked, is_padded, keys, self._num_visible(grid))
        tokens = self._patch_tokens(tokens)
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
