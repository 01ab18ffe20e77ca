"""SSAST, the Self-Supervised AST (Gong et al., AAAI 2022): masked patches are reconstructed and recognised.

The trunk is AST's. Pretraining takes patches without overlap, 16x16 or whole frames of 128x2, and hides 400 of the 512
in 10 s, "patch" in clusters of 3 to 5 patches, "frame" one by one. Fine-tuning classifies the mean of the patch tokens,
both prefix tokens left out. The presets' stride is that of pretraining; the released fine-tuning recipes set 10x10
(frame: 128x1) and resize the positions when loading.

Pretraining here draws one mask and makes one pass for both losses. The released joint loss draws two and makes two:
with `separate_masks: true` here and `reconstruct_weight: 10`, `softmax_over: predictions` in the objective it is that
loss, number for number (tests/golden/test_joint_loss.py); `mask_sampler: released` then draws the masks as it did.
Beyond the paper: `encode: visible` leaves masked patches out of the encoder; `masks_per_clip` masks a clip repeatedly.
"""

import math
from typing import Annotated, Any, Literal

from pydantic import Field

from zoo.config import CountOrShare, SizePair
from zoo.errors import RecipeError, ShapeError
from zoo.models.ast import SIZES
from zoo.models.masked_patch import MaskedPatchModel
from zoo.models.registry import register
from zoo.models.transformer import SpectrogramTransformer, TransformerConfig
from zoo.nn.aggregator import PatchMeanAggregator
from zoo.nn.mask_decoder import MaskDecoder
from zoo.nn.masking import check_mask, draw_mask
from zoo.nn.position import LearnedPosition
from zoo.nn.released_masking import check_released_mask, draw_released_mask

_PATCHES: dict[str, dict[str, Any]] = {
    "patch": {"patch_size": (16, 16), "stride": (16, 16), "cluster_size": (3, 5)},
    "frame": {"patch_size": (128, 2), "stride": (128, 2), "cluster_size": (1, 1)},
}


@register(
    {
        f"ssast-{form}-{size}": {**numbers, **patches}
        for form, patches in _PATCHES.items()
        for size, numbers in SIZES.items()
    }
)
class SsastConfig(TransformerConfig):
    """SSAST: learned 2-D positions, CLS and DIST, the mean of the patches to the head."""

    kind: Literal["ssast"] = "ssast"
    stride: SizePair = (16, 16)
    """Step between neighbouring patches; pretraining needs it equal to `patch_size`."""
    num_masked: CountOrShare = 400.0
    """Patches hidden from each clip in pretraining; a count, or a share of the clip's real patches when below 1."""
    cluster_size: SizePair = (3, 5)
    """Smallest and largest side of the clusters in which patches are hidden; (1, 1) hides them one by one."""

    separate_masks: bool = False
    """A mask and a pass through the encoder for each of the two pretraining losses, as released; twice the cost."""
    mask_sampler: Literal["even", "released"] = "even"
    """`even` masks every patch equally often, for all clips of a batch at once. `released` is the released code's
    sampler with its slips: patch 0 is never masked, clusters wrap over the right edge, low mels are masked half as
    often as others; a loop over the clips in Python, which makes the device wait. It is for repeating published runs:
    a patch that is seldom hidden is seldom learnt from."""
    masks_per_clip: Annotated[int, Field(ge=1, le=64)] = 1
    """Masks drawn for every clip of a training batch: the clip is decoded, transformed and embedded once, its copies
    are encoded. A step costs as many times as much and sees as many times the masked patches; in evaluation one."""
    encode: Literal["all", "visible"] = "all"
    """`all`: the encoder sees masked patches as mask tokens, as SSAST does. `visible`: it sees the visible patches
    alone, and a light decoder puts the mask tokens in, as in masked autoencoders (He et al. 2022; for audio Huang et
    al. 2022): with 400 of 512 masked a quarter of the work. Heads and losses are the same."""
    decoder_depth: Annotated[int, Field(ge=1, le=1000)] = 2
    """Layers of the decoder of `encode: visible`. He et al. (table 1a) fine-tune as well after 1 as after 8, and probe
    4.5 points better after 2 than after 1; two at half the width cost less than one layer of the encoder saves."""
    decoder_dim: Annotated[int, Field(ge=1, le=16_384)] | None = None
    """Width of that decoder, which has the encoder's `num_heads`: a multiple of it, and of 4 for its fixed positions;
    null: half of `embed_dim`, rounded up to such a multiple."""

    @property
    def visible_decoder_dim(self) -> int:
        """Width of the decoder of `encode: visible`."""
        return self._half_width if self.decoder_dim is None else self.decoder_dim

    @property
    def heads_read(self) -> str:
        """What the heads of pretraining look at, in words: those of one config are of use to another with the same."""
        if self.encode == "all":
            return "the encoder's tokens"
        return f"a decoder's ({self.decoder_depth} layers of width {self.visible_decoder_dim})"

    @property
    def _decoder_step(self) -> int:
        return math.lcm(self.num_heads, 4)

    @property
    def _half_width(self) -> int:
        return -(-self.embed_dim // (2 * self._decoder_step)) * self._decoder_step

    def build(self) -> SpectrogramTransformer:
        return self.assemble(LearnedPosition(self.grid, self.embed_dim), 2, PatchMeanAggregator())

    def check_pretraining(self) -> None:
        """Raises RecipeError when this geometry cannot be pretrained; fine-tuning alone may use it."""
        if self.stride != self.patch_size:
            raise RecipeError(
                f"model.stride: found {self.stride[0]}x{self.stride[1]} with patch_size "
                f"{self.patch_size[0]}x{self.patch_size[1]} - expected the same in pretraining, for a masked patch "
                "must not be visible through its neighbours - set stride to patch_size"
            )
        if self.encode == "visible" and self.visible_decoder_dim % self._decoder_step:
            raise RecipeError(
                f"model.decoder_dim: found {self.decoder_dim} with num_heads {self.num_heads} - expected a multiple of "
                f"{self._decoder_step}, of num_heads and of 4 - choose {self._half_width}, or leave it null"
            )
        try:
            check_mask(self.grid, self.num_masked, self.cluster_size)
            if self.mask_sampler == "released":
                check_released_mask(self.grid, self.num_masked, self.cluster_size)
        except ShapeError as error:
            raise RecipeError(f"model.{error}") from None

    def build_pretraining(self) -> MaskedPatchModel:
        self.check_pretraining()
        backbone = self.model_copy(update={"num_classes": 0}).build()
        backbone.aggregator = None
        sampler = draw_released_mask if self.mask_sampler == "released" else draw_mask
        decoder = None
        if self.encode == "visible":
            decoder = MaskDecoder(
                self.grid,
                self.embed_dim,
                self.visible_decoder_dim,
                self.decoder_depth,
                self.num_heads,
                backbone.embedding.num_prefix_tokens,
                self.mlp_ratio,
                self.dropout,
                self.norm_eps,
                self.initial_values,
            )
        return MaskedPatchModel(
            backbone,
            self.num_masked,
            self.cluster_size,
            self.separate_masks,
            sampler,
            self.masks_per_clip,
            decoder,
            config=self,
        )
