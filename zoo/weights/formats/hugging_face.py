"""Hugging Face's Audio Spectrogram Transformer: a folder with a config, or its tensors alone.

Released checkpoints have the names of transformers 4, and transformers 5 still writes these; its models' own state
dicts have newer ones. Both are read. Source: the key table of the official converter; golden kind hf_ast_eval.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from zoo.weights.formats.format import (
    Described,
    Format,
    Renamed,
    Rule,
    State,
    count_blocks,
    head_count,
    join_position,
    split_position,
    width_of,
)
from zoo.weights.formats.geometry import find_geometry
from zoo.weights.formats.hugging_face_config import read_config, read_preprocessor
from zoo.weights.formats.key_map import KeyMap

TRUNK = "audio_spectrogram_transformer."
NUM_PREFIX = 2
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
        (f"{before}embeddings.cls_token", "embedding.prefix.cls_token"),
        (f"{before}embeddings.distillation_token", "embedding.prefix.dist_token"),
        (f"{before}embeddings.position_embeddings", "pos_embed"),
        (f"{before}embeddings.patch_embeddings.projection.", "embedding.patch.proj."),
        *((f"{before}encoder.layer.*.{theirs}", f"encoder.blocks.*.{ours}") for theirs, ours in _OLD_LAYER),
        *((f"{before}layers.*.{theirs}", f"encoder.blocks.*.{ours}") for theirs, ours in _NEW_LAYER),
        (f"{before}layernorm.", "encoder.norm."),
    ]


class HuggingFace(Format):
    """Separate matrices for query, key and value; one LayerNorm epsilon (1e-12 as released) for trunk and head.

    Default of `positions`: `official` AST's rule, for these files are conversions of AST's; transformers itself refuses
    every other length.
    """

    name: ClassVar[str] = "Hugging Face AST"
    rule: ClassVar[Rule] = "ast"
    keys = KeyMap(
        [*_pairs(TRUNK), *_pairs(""), ("classifier.layernorm.", "head.norm."), ("classifier.dense.", "head.linear.")]
    )

    def describe(
        self, state: State, extra: Mapping[str, Any], own: Mapping[str, Any], given: Mapping[str, Any]
    ) -> Described:
        plain = {key.removeprefix(TRUNK): tensor for key, tensor in state.items()}
        config, names, task = read_config(extra.get("config") or {})
        if not config:
            config = _of_tensors(plain, own, given)
        kernel = plain.get("embeddings.patch_embeddings.projection.weight")
        if kernel is not None and kernel.ndim == 4:
            config["patch_size"] = (int(kernel.shape[2]), int(kernel.shape[3]))
        head = plain.get("classifier.dense.weight")
        config |= {"kind": "ast", "num_classes": 0 if head is None else int(head.shape[0])}
        front_end, notes = read_preprocessor(extra.get("preprocessor"))
        if names is not None and len(names) != config["num_classes"]:
            names = None
        return Described({**config, **own}, front_end=front_end, labels=names, task=task, notes=notes)

    def place(self, renamed: Renamed, config: Any) -> None:
        split_position(renamed, config.grid, NUM_PREFIX)
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


def _of_tensors(state: State, own: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The same without a config: what the tensors tell, and transformers' default epsilon."""
    embed_dim = width_of(state, "layernorm.weight", "embeddings.cls_token")
    hidden = state.get("encoder.layer.0.intermediate.dense.weight", state.get("layers.0.mlp.fc1.weight"))
    position = state.get("embeddings.position_embeddings")
    kernel = state.get("embeddings.patch_embeddings.projection.weight")
    patch_size = (int(kernel.shape[2]), int(kernel.shape[3])) if kernel is not None and kernel.ndim == 4 else (16, 16)
    num_patches = 0 if position is None or position.ndim != 3 else int(position.shape[1]) - NUM_PREFIX
    return {
        "embed_dim": embed_dim,
        "depth": max(count_blocks(state, "encoder.layer."), count_blocks(state, "layers.")),
        "num_heads": head_count(embed_dim, own, given),
        "mlp_ratio": hidden.shape[0] / embed_dim if hidden is not None else 4.0,
        "norm_eps": 1e-12,
        "head_norm_eps": 1e-12,
        **find_geometry(num_patches, patch_size, own, given).fields(),
    }
