"""Pretraining checkpoints of the official SSAST, with their heads and mask token, so that pretraining can go on.

Source: YuanGongND/ssast, src/models/ast_models.py; the golden kinds ssast_pretrain and ssast_finetune prove the
agreement.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from zoo.audio.front_ends import FAMILIES
from zoo.models.masked_patch import BACKBONE
from zoo.nn.patch import patch_grid
from zoo.weights.formats.format import (
    POSITION,
    Described,
    Format,
    Renamed,
    State,
    describe_grid,
    describe_trunk,
    into_backbone,
)
from zoo.weights.formats.key_map import KeyMap, trunk
from zoo.weights.formats.official_ast import FRONT_END_NOTE, IMAGENET_HEADS, OfficialAst, masking_fields
from zoo.weights.positions import Rule
from zoo.weights.tensor_names import KERNEL

MASKED_SHARE = 400 / 512
"""Of the patches, hidden in pretraining; every released recipe has 512."""
_SIZES = {"p_input_fdim": "n_mels", "p_input_tdim": "n_frames"}


class OfficialSsast(Format):
    """`v.*`, two prediction heads, `mask_embed`, and the geometry as `p_input_fdim` and `p_input_tdim`.

    `positions` for fine-tuning defaults to `official`, slips included (a literal 8 rows on the way, a cut without
    rescaling when the new grid is shorter), because the published results were made so. Where the released code
    crashes (fewer mel bands than pretraining's, mostly), `resample`: true time and true frequency. It is also the one
    to choose for a shorter clip at stride 10, whose positions the cut leaves at another place of the clip.
    """

    name: ClassVar[str] = "official SSAST (pretraining)"
    rule: ClassVar[Rule] = "ssast"
    keys = KeyMap(
        [
            *trunk("v."),
            ("v.pos_embed", POSITION),
            ("mask_embed", "mask_token"),
            ("gpredlayer.0.", "reconstruct.hidden."),
            ("gpredlayer.2.", "reconstruct.output."),
            ("cpredlayer.0.", "classify.hidden."),
            ("cpredlayer.2.", "classify.output."),
            *((name, name) for name in _SIZES),
        ],
        unused=[*(f"{head}.{part}" for head in IMAGENET_HEADS for part in ("weight", "bias")), "mask_correct"],
    )

    def family(self, state: State) -> tuple[str, bool]:
        """Always a pretraining one."""
        return "ssast", True

    def describe(
        self, state: State, beside: Mapping[str, Any], own: Mapping[str, Any], given: Mapping[str, Any]
    ) -> Described:
        stored: dict[str, Any] = {
            field: int(state[name]) for name, field in _SIZES.items() if name in state and state[name].numel() == 1
        }
        config = describe_trunk(state, own, given)
        if KERNEL in state:
            stored["stride"] = config["patch_size"]  # pretraining has no other
        grid, notes = describe_grid(state, config["patch_size"], {**stored, **own}, given)
        config |= grid
        config |= {"kind": "ssast", **masking_fields(config)}
        num_patches = patch_grid(
            config["n_mels"], config["n_frames"], config["patch_size"], config["stride"]
        ).num_patches
        if num_patches <= config["num_masked"]:
            config["num_masked"] = MASKED_SHARE
        notes.append(f"{config['num_masked']:g} masked patches assumed, for the file does not say")
        return Described(
            config,
            pretraining=True,
            front_end=FAMILIES["ast"].model_dump(mode="json"),
            front_end_note=FRONT_END_NOTE,
            notes=tuple(notes),
        )

    def place(self, renamed: Renamed, config: Any) -> None:
        OfficialAst().place(renamed, config)
        into_backbone(renamed)
        for name in _SIZES:
            if renamed.state.pop(name, None) is not None:
                renamed.unused.append(renamed.came_from.pop(name))

    def unplace(self, state: dict[str, Tensor], config: Any) -> dict[str, Tensor]:
        plain = OfficialAst().unplace({name.removeprefix(BACKBONE): tensor for name, tensor in state.items()}, config)
        return plain | {name: torch.tensor(getattr(config, field)) for name, field in _SIZES.items()}
