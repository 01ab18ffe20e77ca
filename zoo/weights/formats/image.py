"""ImageNet weights: DeiT and ViT, as timm and the DeiT authors write them, and as torchvision does.

Source: timm 0.4.5's vision transformer, which AST and PaSST are built on; torchvision's `vit_*`. The golden kinds
ast_from_deit and passt_from_deit prove the agreement with the released AST and PaSST.
"""

import math
from collections.abc import Mapping
from typing import Any, ClassVar

from zoo.errors import CheckpointError
from zoo.weights.formats.format import (
    POSITION,
    Described,
    Format,
    Renamed,
    Shapes,
    State,
    describe_trunk,
    split_position,
)
from zoo.weights.formats.geometry import Table, find_geometry
from zoo.weights.formats.key_map import KeyMap, trunk
from zoo.weights.positions import Rule
from zoo.weights.tensor_names import CLS, DIST, KERNEL, PREFIX_POSITION

# What the model to build has unless the user says otherwise: the released AST's input, never the image's.
_AST_INPUT = {"n_mels": 128, "n_frames": 1024, "stride": (10, 10), "num_classes": 527}


class Image(Format):
    """A square grid over three channels, as the start of an AST or a PaSST. Classifiers are left out.

    `positions` defaults to `official`. For AST it cuts the middle of the grid where the new one is no longer and
    stretches it (bilinear) where it is; for PaSST it resizes both axes at once (bicubic) and averages each away. The
    published models were made so. `channels` defaults to `sum`, as in both released codes; the AST paper says `mean`.
    """

    name: ClassVar[str] = "ImageNet DeiT or ViT (timm)"
    rule: ClassVar[Rule] = "image"
    keys = KeyMap(
        [*trunk(""), ("pos_embed", POSITION)],
        unused=["head.weight", "head.bias", "head_dist.weight", "head_dist.bias"],
    )

    def describe(
        self, state: State, beside: Mapping[str, Any], own: Mapping[str, Any], given: Mapping[str, Any]
    ) -> Described:
        config = {**describe_trunk(state, own, given), "kind": "ast", "num_classes": 0}
        patch_size, position = config["patch_size"], state.get(POSITION)
        config |= {"n_mels": 224, "n_frames": 224, "stride": patch_size}
        if position is None or position.ndim != 3:  # told later, by its name
            return Described(config, start=dict(_AST_INPUT))
        num_patches = int(position.shape[1]) - _num_prefix(state)
        side = math.isqrt(max(0, num_patches))
        if side * side == num_patches and not {"n_mels", "n_frames", "stride"} & own.keys():
            config |= {"n_mels": side * patch_size[0], "n_frames": side * patch_size[1]}
        else:  # a ViT that was built for spectrograms, whose patches lie side by side
            try:
                found = find_geometry(Table(patch_size, num_patches), {"stride": patch_size, **own}, given)
            except CheckpointError:
                raise CheckpointError(
                    f"found {num_patches} patch positions beside those of {_num_prefix(state)} tokens - expected a "
                    "square, with a row for CLS (and DIST); ViTs without these rows or with registers are not read - "
                    "state own.n_mels and own.n_frames if it was built for spectrograms"
                ) from None
            config |= found.fields()
        return Described(config, start=dict(_AST_INPUT))

    def place(self, renamed: Renamed, config: Any) -> None:
        split_position(renamed, config.grid, _num_prefix(renamed.state))

    def expected(self, shapes: Shapes, found: Shapes) -> Shapes:
        """Any number of channels, which are added up later; without DIST one prefix row."""
        expected = dict(shapes)
        if len(found.get(KERNEL, ())) == 4:
            expected[KERNEL] = (shapes[KERNEL][0], found[KERNEL][1], *shapes[KERNEL][2:])
        if DIST not in found:
            del expected[DIST]
            expected[PREFIX_POSITION] = (1, 1, shapes[PREFIX_POSITION][2])
        return expected


class TorchvisionImage(Image):
    """torchvision's names for the same network without DIST; rules and defaults are those of `Image`."""

    name: ClassVar[str] = "ImageNet ViT (torchvision)"
    keys = KeyMap(
        [
            ("class_token", CLS),
            ("conv_proj.", "embedding.patch.proj."),
            ("encoder.pos_embedding", POSITION),
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


def _num_prefix(state: State) -> int:
    return 2 if DIST in state else 1
