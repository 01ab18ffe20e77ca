"""Hugging Face's Audio Spectrogram Transformer: a folder with a config, or its tensors alone.

Released checkpoints have the names of transformers 4, and transformers 5 still writes these; its models' own state
dicts have newer ones. Both are read. Source: the key table of the official converter; golden kind hf_ast_eval.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from zoo.weights.formats.format import (
    POSITION,
    Described,
    Format,
    Renamed,
    State,
    describe_grid,
    describe_trunk,
    join_position,
    split_position,
)
from zoo.weights.formats.hugging_face_config import read_config, read_preprocessor
from zoo.weights.formats.key_map import KeyMap
from zoo.weights.positions import Rule
from zoo.weights.tensor_names import CLS, DIST

TRUNK = "audio_spectrogram_transformer."
_EPS = 1e-12
"""transformers' default, for tensors without a config."""
_QKV = ("q", "k", "v")

# Names of a layer: transformers 4 (and every file), then transformers 5 in memory.
_OLD_LAYER = [
    ("layernorm_before.", "norm1."),
    ("attention.attention.query.", "attn.q."),
    ("attention.attention.key.", "attn.k."),
    ("attention.attention.value.", "attn.v."),
    ("attention.output.dense.", "attn.proj."),
    ("layernorm_after.", "norm2."),
    ("intermediate.dense.", "mlp.fc1."),
    ("output.dense.", "mlp.fc2."),
]
_NEW_LAYER = [
    ("layernorm_before.", "norm1."),
    ("attention.q_proj.", "attn.q."),
    ("attention.k_proj.", "attn.k."),
    ("attention.v_proj.", "attn.v."),
    ("attention.o_proj.", "attn.proj."),
    ("layernorm_after.", "norm2."),
    ("mlp.fc1.", "mlp.fc1."),
    ("mlp.fc2.", "mlp.fc2."),
]


def _pairs(before: str) -> list[tuple[str, str]]:
    return [
        (f"{before}embeddings.cls_token", CLS),
        (f"{before}embeddings.distillation_token", DIST),
        (f"{before}embeddings.position_embeddings", POSITION),
        (f"{before}embeddings.patch_embeddings.projection.", "embedding.patch.proj."),
        *((f"{before}encoder.layer.*.{theirs}", f"encoder.blocks.*.{ours}") for theirs, ours in _OLD_LAYER),
        *((f"{before}layers.*.{theirs}", f"encoder.blocks.*.{ours}") for theirs, ours in _NEW_LAYER),
        (f"{before}layernorm.", "encoder.norm."),
    ]


class HuggingFace(Format):
    """Separate matrices for query, key and value; one LayerNorm epsilon (1e-12 as released) for trunk and head.

    `positions` defaults to `official`, by AST's rule, for these files are conversions of AST's; transformers itself
    refuses every other length.
    """

    name: ClassVar[str] = "Hugging Face AST"
    rule: ClassVar[Rule] = "ast"
    keys = KeyMap(
        [*_pairs(TRUNK), *_pairs(""), ("classifier.layernorm.", "head.norm."), ("classifier.dense.", "head.linear.")]
    )

    def describe(
        self, state: State, beside: Mapping[str, Any], own: Mapping[str, Any], given: Mapping[str, Any]
    ) -> Described:
        stated, names, task = read_config(beside.get("config") or {})
        tensors = describe_trunk(state, {**stated, **own}, given)
        if stated:
            config = {**tensors, **stated, "patch_size": tensors["patch_size"]}
        else:
            grid, _ = describe_grid(state, tensors["patch_size"], own, given)
            config = {**tensors, **grid, "norm_eps": _EPS, "head_norm_eps": _EPS}
        front_end, notes = read_preprocessor(beside.get("preprocessor"))
        if names is not None and len(names) != config["num_classes"]:
            names = None
        return Described(
            {**config, "kind": "ast", **own},
            front_end=front_end,
            front_end_note=next(iter(notes), None),
            labels=names,
            task=task,
        )

    def place(self, renamed: Renamed, config: Any) -> None:
        split_position(renamed, config.grid)
        for block in range(config.depth):
            for part in ("weight", "bias"):
                names = [f"encoder.blocks.{block}.attn.{one}.{part}" for one in _QKV]
                if not all(name in renamed.state for name in names):
                    continue
                tensors = [renamed.state.pop(name) for name in names]
                keys = [renamed.came_from.pop(name) for name in names]
                joined = f"encoder.blocks.{block}.attn.qkv.{part}"
                renamed.state[joined] = torch.cat(tensors)
                renamed.came_from[joined] = " + ".join(keys)
            bias = f"encoder.blocks.{block}.attn.qkv.bias"
            if bias not in renamed.state and bias.replace("bias", "weight") in renamed.state:
                # qkv_bias: false. A bias of zero is the same model; fine-tuning may then move it.
                renamed.state[bias] = torch.zeros(3 * config.embed_dim)
                renamed.came_from[bias] = "(qkv_bias: false)"

    def unplace(self, state: dict[str, Tensor], config: Any) -> dict[str, Tensor]:
        join_position(state)
        for name in [name for name in state if ".attn.qkv." in name]:
            for one, tensor in zip(_QKV, state.pop(name).chunk(3), strict=True):
                state[name.replace(".qkv.", f".{one}.")] = tensor
        return state
