"""Checkpoints of TorchOnlyAST: AST, SSAST (pretraining, "multi-task") and PaSST on torch's own encoder.

Source: the tensor names and shapes of TorchOnlyAST 0.0.7. The position rows of CLS and DIST are folded into the tokens
there; here the rows are then zeros, which is the same model.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch

from zoo.audio.front_ends import FAMILIES
from zoo.errors import CheckpointError
from zoo.weights.formats.format import (
    NUM_PREFIX,
    Described,
    Format,
    Renamed,
    State,
    describe_trunk,
    into_backbone,
)
from zoo.weights.formats.geometry import Table, find_geometry
from zoo.weights.formats.key_map import KeyMap
from zoo.weights.formats.official_ast import masking_fields
from zoo.weights.positions import Rule
from zoo.weights.tensor_names import CLS, DIST, FREQ, PREFIX_POSITION, TABLE, TIME

_LAYER = [
    ("self_attn.in_proj_weight", "attn.qkv.weight"),
    ("self_attn.in_proj_bias", "attn.qkv.bias"),
    ("self_attn.out_proj.", "attn.proj."),
    ("linear1.", "mlp.fc1."),
    ("linear2.", "mlp.fc2."),
    ("norm1.", "norm1."),
    ("norm2.", "norm2."),
]
_TOKENS = (CLS, DIST)


class TorchOnlyAst(Format):
    """`positions` defaults to `official`, by AST's rule, which is what TorchOnlyAST applies when it runs."""

    name: ClassVar[str] = "TorchOnlyAST"
    rule: ClassVar[Rule] = "ast"
    keys = KeyMap(
        [
            ("embedding.conv2d.", "embedding.patch.proj."),
            ("embedding.positional_embedding", TABLE),
            ("embedding.frequency_embedding", FREQ),
            ("embedding.time_embedding", TIME),
            ("embedding.cls_token", CLS),
            ("embedding.dist_token", DIST),
            *((f"backbone.layers.*.{theirs}", f"encoder.blocks.*.{ours}") for theirs, ours in _LAYER),
            ("backbone.norm.", "encoder.norm."),
            ("head.norm.", "head.norm."),
            ("head.linear.", "head.linear."),
            ("masker.mask_embedding", "mask_token"),
            ("reconstructor.linear1.", "reconstruct.hidden."),
            ("reconstructor.linear2.", "reconstruct.output."),
            ("classifier.linear1.", "classify.hidden."),
            ("classifier.linear2.", "classify.output."),
        ]
    )

    def family(self, state: State) -> tuple[str, bool]:
        """By the form of the positions, and whether there is a mask token."""
        kind = "passt" if FREQ in state else "ssast" if "mask_token" in state else "ast"
        return kind, "mask_token" in state

    def describe(
        self, state: State, beside: Mapping[str, Any], own: Mapping[str, Any], given: Mapping[str, Any]
    ) -> Described:
        table, freq, time = state.get(TABLE), state.get(FREQ), state.get(TIME)
        if table is not None and table.ndim == 3:
            grid = (int(table.shape[1]), int(table.shape[2]))
        elif freq is not None and time is not None and freq.ndim == time.ndim == 2:
            grid = (int(freq.shape[1]), int(time.shape[1]))
        else:
            raise CheckpointError(
                "found no position table - expected embedding.positional_embedding - give a whole file"
            )
        config = describe_trunk(state, own, given)
        found = find_geometry(Table(config["patch_size"], grid=grid), own, given)
        config |= found.fields()
        note = found.note(f"a table of {grid[0]}x{grid[1]}")
        pretraining, is_frame = "mask_token" in state, config["patch_size"][0] == config["n_mels"]
        if freq is not None:
            config["kind"] = "passt"
        elif pretraining or is_frame or own.get("kind", given.get("kind")) == "ssast":
            config |= {"kind": "ssast", **masking_fields(config)}
        else:
            config["kind"] = "ast"
        family = "passt" if freq is not None else "ast"
        return Described(
            config,
            pretraining=pretraining,
            front_end=FAMILIES[family].model_dump(mode="json"),
            notes=(note,) if note is not None else (),
            front_end_note=f"front end assumed: '{family}' with its defaults, for the file does not say",
        )

    def place(self, renamed: Renamed, config: Any) -> None:
        state, came_from = renamed.state, renamed.came_from
        for name in (FREQ, TIME):
            if name in state and state[name].ndim == 2:
                state[name] = state[name].T.contiguous()  # (D, n) -> (n, D)
        if TABLE in state and state[TABLE].ndim == 3:
            state[TABLE] = state[TABLE].permute(1, 2, 0).contiguous()
        for name in (*_TOKENS, "mask_token"):
            if name in state:
                state[name] = state[name].reshape(1, 1, -1)
        if _TOKENS[0] in state:
            state[PREFIX_POSITION] = torch.zeros(1, NUM_PREFIX, state[_TOKENS[0]].shape[-1])
            came_from[PREFIX_POSITION] = "(folded into the tokens)"
        if "mask_token" in state:
            into_backbone(renamed)
