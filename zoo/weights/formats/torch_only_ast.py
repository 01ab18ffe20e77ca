"""Checkpoints of TorchOnlyAST: AST, SSAST (pretraining, "multi-task") and PaSST on torch's own encoder.

Source: the tensor names and shapes of TorchOnlyAST 0.0.7. The position rows of CLS and DIST are folded into the tokens
there; here the rows are then zeros, which is the same model.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch

from zoo.audio.front_ends import FAMILIES
from zoo.errors import CheckpointError
from zoo.weights.formats.format import Described, Format, Renamed, Rule, State, count_blocks, head_count, width_of
from zoo.weights.formats.geometry import KNOWN_LENGTHS
from zoo.weights.formats.key_map import KeyMap
from zoo.weights.formats.official_ast import masking_fields

_LAYER = [
    ("self_attn.in_proj_weight", "attn.qkv.weight"),
    ("self_attn.in_proj_bias", "attn.qkv.bias"),
    ("self_attn.out_proj.", "attn.proj."),
    ("linear1.", "mlp.fc1."),
    ("linear2.", "mlp.fc2."),
    ("norm1.", "norm1."),
    ("norm2.", "norm2."),
]
_TOKENS = ("embedding.prefix.cls_token", "embedding.prefix.dist_token")


class TorchOnlyAst(Format):
    """Default of `positions`: `official` AST's rule, which is what TorchOnlyAST applies when it runs."""

    name: ClassVar[str] = "TorchOnlyAST"
    rule: ClassVar[Rule] = "ast"
    keys = KeyMap(
        [
            ("embedding.conv2d.", "embedding.patch.proj."),
            ("embedding.positional_embedding", "embedding.position.table"),
            ("embedding.frequency_embedding", "embedding.position.freq"),
            ("embedding.time_embedding", "embedding.position.time"),
            ("embedding.cls_token", "embedding.prefix.cls_token"),
            ("embedding.dist_token", "embedding.prefix.dist_token"),
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

    def describe(
        self, state: State, extra: Mapping[str, Any], own: Mapping[str, Any], given: Mapping[str, Any]
    ) -> Described:
        embed_dim = width_of(state, "backbone.norm.weight", "embedding.conv2d.weight")
        kernel, table = state.get("embedding.conv2d.weight"), state.get("embedding.positional_embedding")
        freq, time = state.get("embedding.frequency_embedding"), state.get("embedding.time_embedding")
        pretraining = "masker.mask_embedding" in state
        if table is not None and table.ndim == 3:
            grid = (int(table.shape[1]), int(table.shape[2]))
        elif freq is not None and time is not None and freq.ndim == time.ndim == 2:
            grid = (int(freq.shape[1]), int(time.shape[1]))
        else:
            raise CheckpointError(
                "found no position table - expected embedding.positional_embedding - give a whole file"
            )
        patch_size = (
            (int(kernel.shape[2]), int(kernel.shape[3])) if kernel is not None and kernel.ndim == 4 else (16, 16)
        )
        hidden = state.get("backbone.layers.0.linear1.weight")
        config: dict[str, Any] = {
            "embed_dim": embed_dim,
            "depth": count_blocks(state, "backbone.layers."),
            "num_heads": head_count(embed_dim, own, given),
            "mlp_ratio": hidden.shape[0] / embed_dim if hidden is not None else 4.0,
            "patch_size": patch_size,
            "num_classes": int(state["head.linear.weight"].shape[0]) if "head.linear.weight" in state else 0,
            **_geometry(grid, patch_size, own, given),
        }
        is_frame = patch_size[0] == config["n_mels"]
        stated = own.get("kind", given.get("kind"))
        if freq is not None:
            config["kind"] = "passt"
        elif pretraining or is_frame or stated == "ssast":
            config |= {"kind": "ssast", **masking_fields(config)}
        else:
            config["kind"] = "ast"
        front_end = FAMILIES["passt" if freq is not None else "ast"].model_dump(mode="json")
        return Described(config, pretraining=pretraining, front_end=front_end)

    def place(self, renamed: Renamed, config: Any) -> None:
        state, came_from = renamed.state, renamed.came_from
        for name in ("embedding.position.freq", "embedding.position.time"):
            if name in state and state[name].ndim == 2:
                state[name] = state[name].T.contiguous()  # (D, n) -> (n, D)
        if "embedding.position.table" in state and state["embedding.position.table"].ndim == 3:
            state["embedding.position.table"] = state["embedding.position.table"].permute(1, 2, 0).contiguous()
        for name in (*_TOKENS, "mask_token"):
            if name in state:
                state[name] = state[name].reshape(1, 1, -1)
        if _TOKENS[0] in state:
            state["embedding.prefix.position"] = torch.zeros(1, 2, state[_TOKENS[0]].shape[-1])
            came_from["embedding.prefix.position"] = "(folded into the tokens)"
        if "mask_token" in state:
            for name in [name for name in state if name.startswith(("embedding.", "encoder."))]:
                state[f"backbone.{name}"] = state.pop(name)
                came_from[f"backbone.{name}"] = came_from.pop(name)


def _geometry(
    grid: tuple[int, int], patch_size: tuple[int, int], own: Mapping[str, Any], given: Mapping[str, Any]
) -> dict[str, Any]:
    """The stride that gives so many rows, and a released length that gives so many columns."""
    n_mels = int(own.get("n_mels", 128))
    stated = own.get("stride", given.get("stride"))
    steps = [stated[0]] if stated is not None else [10, 12, 14, 16, patch_size[0]]
    step = next((step for step in steps if (n_mels - patch_size[0]) // step + 1 == grid[0]), None)
    if step is None:
        raise CheckpointError(
            f"found {grid[0]} rows of patches of {patch_size[0]} mel bands, which fit no known stride at {n_mels} - "
            "expected to know it - state it: own={'stride': (10, 10), 'n_mels': 128}"
        )
    stride = (int(step), int(stated[1] if stated is not None else patch_size[1] if grid[0] == 1 else step))
    shortest = (grid[1] - 1) * stride[1] + patch_size[1]
    lengths = range(shortest, shortest + stride[1])
    wanted = [own.get("n_frames"), given.get("n_frames"), *KNOWN_LENGTHS]
    return {"n_mels": n_mels, "stride": stride, "n_frames": next((n for n in wanted if n in lengths), shortest)}
