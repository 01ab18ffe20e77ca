"""Pretraining checkpoints of the official SSAST, with their heads and mask token, so that pretraining can go on.

Source: YuanGongND/ssast, src/models/ast_models.py; the golden kinds ssast_pretrain and ssast_finetune prove the
agreement.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from zoo.audio.front_ends import FAMILIES
from zoo.nn.patch import PatchGrid, patch_grid
from zoo.weights.formats.format import (
    Described,
    Format,
    Renamed,
    Rule,
    State,
    empty_heads,
    join_position,
    split_position,
)
from zoo.weights.formats.key_map import KeyMap, trunk
from zoo.weights.formats.official_ast import IMAGENET_CLASSES, NUM_PREFIX, describe_trunk, masking_fields

_MASKED_SHARE = 400 / 512


class OfficialSsast(Format):
    """`v.*`, two prediction heads, `mask_embed`, and the geometry as `p_input_fdim` and `p_input_tdim`.

    Default of `positions` for fine-tuning: `official`, slips included (a literal 8 rows on the way, a cut without
    rescaling when the new grid is shorter), because the published results were made so. Where the released code
    crashes (fewer mel bands than pretraining's, mostly), `resample`: true time and true frequency. It is also the one
    to choose for a shorter clip at stride 10, whose positions the cut leaves at another place of the clip.
    """

    name: ClassVar[str] = "official SSAST (pretraining)"
    rule: ClassVar[Rule] = "ssast"
    keys = KeyMap(
        [
            *trunk("v."),
            ("v.pos_embed", "pos_embed"),
            ("mask_embed", "mask_token"),
            ("gpredlayer.0.", "reconstruct.hidden."),
            ("gpredlayer.2.", "reconstruct.output."),
            ("cpredlayer.0.", "classify.hidden."),
            ("cpredlayer.2.", "classify.output."),
        ],
        unused=[
            "v.head.weight",
            "v.head.bias",
            "v.head_dist.weight",
            "v.head_dist.bias",
            "p_input_fdim",
            "p_input_tdim",
            "mask_correct",
        ],
    )

    def describe(
        self, state: State, extra: Mapping[str, Any], own: Mapping[str, Any], given: Mapping[str, Any]
    ) -> Described:
        stored: dict[str, Any] = {}
        for name, field in (("p_input_fdim", "n_mels"), ("p_input_tdim", "n_frames")):
            if name in state and state[name].numel() == 1:
                stored[field] = int(state[name])
        kernel = state.get("v.patch_embed.proj.weight")
        if kernel is not None and kernel.ndim == 4:
            stored["stride"] = (int(kernel.shape[2]), int(kernel.shape[3]))  # pretraining has no other
        config, notes = describe_trunk(state, {**stored, **own}, given)
        config |= {"kind": "ssast", **masking_fields(config), "num_classes": 0}
        grid = patch_grid(config["n_mels"], config["n_frames"], config["patch_size"], config["stride"])
        if grid.num_patches <= config["num_masked"]:
            config["num_masked"] = _MASKED_SHARE
        notes.append(f"{config['num_masked']:g} masked patches assumed, for the file does not say")
        front_end = FAMILIES["ast"].model_dump(mode="json")
        return Described(config, pretraining=True, front_end=front_end, notes=tuple(notes))

    def place(self, renamed: Renamed, config: Any) -> None:
        split_position(renamed, PatchGrid(*config.grid), NUM_PREFIX)
        for name in [name for name in renamed.state if name.startswith(("embedding.", "encoder."))]:
            renamed.state[f"backbone.{name}"] = renamed.state.pop(name)
            renamed.came_from[f"backbone.{name}"] = renamed.came_from.pop(name)

    def unplace(self, state: dict[str, Tensor], config: Any) -> dict[str, Tensor]:
        plain = {name.removeprefix("backbone."): tensor for name, tensor in state.items()}
        join_position(plain)
        empty_heads(plain, config.embed_dim, IMAGENET_CLASSES, "v.head", "v.head_dist")
        plain["p_input_fdim"], plain["p_input_tdim"] = torch.tensor(config.n_mels), torch.tensor(config.n_frames)
        return plain
