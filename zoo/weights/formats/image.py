"""ImageNet weights: DeiT and ViT, as timm and the DeiT authors write them, and as torchvision does.

Source: timm 0.4.5's vision transformer, which AST and PaSST are built on; torchvision's `vit_*`. The golden kinds
ast_from_deit and passt_from_deit prove the agreement with the released AST and PaSST.
"""

import math
from collections.abc import Mapping
from typing import Any, ClassVar

from zoo.errors import CheckpointError
from zoo.weights.formats.format import (
    Described,
    Format,
    Renamed,
    Rule,
    State,
    count_blocks,
    head_count,
    split_position,
    width_of,
)
from zoo.weights.formats.geometry import find_geometry
from zoo.weights.formats.key_map import KeyMap, trunk

# What the model to build has unless the user says otherwise: the released AST's input, never the image's.
_AST_INPUT = {"n_mels": 128, "n_frames": 1024, "stride": (10, 10), "num_classes": 527}


class Image(Format):
    """A square grid over three channels, as the start of an AST or a PaSST. Classifiers are left out.

    Default of `positions`: `official`. For AST it cuts the middle of the grid where the new one is no longer and
    stretches it (bilinear) where it is; for PaSST it resizes both axes at once (bicubic) and averages each away. The
    published models were made so. Default of `channels`: `sum`, as both released codes do; the AST paper says `mean`.
    """

    name: ClassVar[str] = "ImageNet DeiT or ViT (timm)"
    rule: ClassVar[Rule] = "image"
    keys = KeyMap(
        [*trunk(""), ("pos_embed", "pos_embed")],
        unused=["head.weight", "head.bias", "head_dist.weight", "head_dist.bias"],
    )

    def describe(
        self, state: State, extra: Mapping[str, Any], own: Mapping[str, Any], given: Mapping[str, Any]
    ) -> Described:
        embed_dim = width_of(state, "norm.weight", "patch_embed.proj.weight", "cls_token")
        kernel, position = state.get("patch_embed.proj.weight"), state.get("pos_embed")
        hidden = state.get("blocks.0.mlp.fc1.weight")
        return describe_image(
            embed_dim,
            count_blocks(state, "blocks."),
            None if kernel is None else tuple(kernel.shape),
            None if position is None else tuple(position.shape),
            None if hidden is None else int(hidden.shape[0]),
            self.num_prefix(state),
            own,
            given,
        )

    def place(self, renamed: Renamed, config: Any) -> None:
        split_position(renamed, config.grid, self.num_prefix(renamed.state))

    @staticmethod
    def num_prefix(state: State) -> int:
        """2 with a distillation token, else 1."""
        return 2 if "dist_token" in state or "embedding.prefix.dist_token" in state else 1


class TorchvisionImage(Image):
    """torchvision's names for the same network without DIST; rules and defaults are those of `Image`."""

    name: ClassVar[str] = "ImageNet ViT (torchvision)"
    keys = KeyMap(
        [
            ("class_token", "embedding.prefix.cls_token"),
            ("conv_proj.", "embedding.patch.proj."),
            ("encoder.pos_embedding", "pos_embed"),
            ("encoder.layers.encoder_layer_*.ln_1.", "encoder.blocks.*.norm1."),
            ("encoder.layers.encoder_layer_*.self_attention.in_proj_weight", "encoder.blocks.*.attn.qkv.weight"),
            ("encoder.layers.encoder_layer_*.self_attention.in_proj_bias", "encoder.blocks.*.attn.qkv.bias"),
            ("encoder.layers.encoder_layer_*.self_attention.out_proj.", "encoder.blocks.*.attn.proj."),
            ("encoder.layers.encoder_layer_*.ln_2.", "encoder.blocks.*.norm2."),
            ("encoder.layers.encoder_layer_*.mlp.0.", "encoder.blocks.*.mlp.fc1."),
            ("encoder.layers.encoder_layer_*.mlp.3.", "encoder.blocks.*.mlp.fc2."),
            ("encoder.layers.encoder_layer_*.mlp.linear_1.", "encoder.blocks.*.mlp.fc1."),
            ("encoder.layers.encoder_layer_*.mlp.linear_2.", "encoder.blocks.*.mlp.fc2."),
            ("encoder.ln.", "encoder.norm."),
        ],
        unused=["heads.head.weight", "heads.head.bias"],
    )

    def describe(
        self, state: State, extra: Mapping[str, Any], own: Mapping[str, Any], given: Mapping[str, Any]
    ) -> Described:
        kernel, position = state.get("conv_proj.weight"), state.get("encoder.pos_embedding")
        first = "encoder.layers.encoder_layer_0.mlp."
        hidden = state.get(f"{first}0.weight", state.get(f"{first}linear_1.weight"))
        return describe_image(
            width_of(state, "encoder.ln.weight", "conv_proj.weight", "class_token"),
            count_blocks(state, "encoder.layers.encoder_layer_"),
            None if kernel is None else tuple(kernel.shape),
            None if position is None else tuple(position.shape),
            None if hidden is None else int(hidden.shape[0]),
            1,
            own,
            given,
        )


def describe_image(
    embed_dim: int,
    depth: int,
    kernel: tuple[int, ...] | None,
    position: tuple[int, ...] | None,
    hidden: int | None,
    num_prefix: int,
    own: Mapping[str, Any],
    given: Mapping[str, Any],
) -> Described:
    """The model of an image file, as one whose input is the image: patches side by side on its grid."""
    if kernel is None or len(kernel) != 4 or position is None or len(position) != 3:
        raise CheckpointError(
            "found no patch kernel or no position table of the usual shape - expected a whole ViT - give a whole file"
        )
    patch_size = (int(kernel[2]), int(kernel[3]))
    side = math.isqrt(position[1] - num_prefix)
    config: dict[str, Any] = {
        "kind": "ast",
        "embed_dim": embed_dim,
        "depth": depth,
        "num_heads": head_count(embed_dim, own, given),
        "mlp_ratio": hidden / embed_dim if hidden else 4.0,
        "patch_size": patch_size,
        "num_classes": 0,
    }
    if side * side == position[1] - num_prefix and not {"n_mels", "n_frames", "stride"} & own.keys():
        config |= {"n_mels": side * patch_size[0], "n_frames": side * patch_size[1], "stride": patch_size}
    else:  # a ViT that was built for spectrograms
        config |= find_geometry(position[1] - num_prefix, patch_size, {"stride": patch_size, **own}, given).fields()
    return Described(config, model=dict(_AST_INPUT))
