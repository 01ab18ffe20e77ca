"""Checkpoints of the official AST, and fine-tuned ones of the official SSAST, which have the same names.

Source: YuanGongND/ast, src/models/ast_models.py; the golden kinds ast_eval and ast_from_audioset prove the agreement.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor

from zoo.audio.front_ends import FAMILIES
from zoo.weights.formats.format import (
    Described,
    Format,
    Renamed,
    Rule,
    State,
    count_blocks,
    empty_heads,
    head_count,
    join_position,
    split_position,
    width_of,
)
from zoo.weights.formats.geometry import find_geometry
from zoo.weights.formats.key_map import KeyMap, trunk

NUM_PREFIX = 2
IMAGENET_CLASSES = 1000


class OfficialAst(Format):
    """`v.*` and `mlp_head.*`. The stride is not stored and follows from the number of positions.

    Default of `positions`: `official`, which cuts or stretches the 12 x 101 grid of AudioSet, because the published
    fine-tuning results were made so. The released code keeps the stride of 10 whatever is asked for, and its forward
    then fails: another stride or patch size is brought in by `resample`, at true time and frequency.
    """

    name: ClassVar[str] = "official AST"
    rule: ClassVar[Rule] = "ast"
    keys = KeyMap(
        [
            *trunk("v."),
            ("v.pos_embed", "pos_embed"),
            ("mlp_head.0.", "head.norm."),
            ("mlp_head.1.", "head.linear."),
        ],
        unused=["v.head.weight", "v.head.bias", "v.head_dist.weight", "v.head_dist.bias"],
    )

    def describe(
        self, state: State, extra: Mapping[str, Any], own: Mapping[str, Any], given: Mapping[str, Any]
    ) -> Described:
        config, notes = describe_trunk(state, own, given)
        is_frame = config["patch_size"][0] == config["n_mels"] > config["patch_size"][1]
        stated = own.get("kind", given.get("kind"))
        config["kind"] = stated if stated in ("ast", "ssast") else "ssast" if is_frame else "ast"
        if config["kind"] == "ssast":
            config |= masking_fields(config)
        elif stated is None:
            notes.append("read as AST; a fine-tuned SSAST has the same keys: state own.kind=ssast if it is one")
        config["num_classes"] = int(state["mlp_head.1.weight"].shape[0]) if "mlp_head.1.weight" in state else 0
        notes.append("front end assumed: AST's with AudioSet's mean and deviation, for the file does not say")
        return Described(config, front_end=FAMILIES["ast"].model_dump(mode="json"), notes=tuple(notes))

    def place(self, renamed: Renamed, config: Any) -> None:
        split_position(renamed, config.grid, NUM_PREFIX)

    def unplace(self, state: dict[str, Tensor], config: Any) -> dict[str, Tensor]:
        join_position(state)
        empty_heads(state, config.embed_dim, IMAGENET_CLASSES, "v.head", "v.head_dist")
        return state


def describe_trunk(state: State, own: Mapping[str, Any], given: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The fields that AST and SSAST share, and what was assumed."""
    embed_dim = width_of(state, "v.norm.weight", "v.patch_embed.proj.weight", "v.cls_token")
    kernel, position = state.get("v.patch_embed.proj.weight"), state.get("v.pos_embed")
    patch_size = (int(kernel.shape[2]), int(kernel.shape[3])) if kernel is not None and kernel.ndim == 4 else (16, 16)
    hidden = state.get("v.blocks.0.mlp.fc1.weight")
    config: dict[str, Any] = {
        "embed_dim": embed_dim,
        "depth": count_blocks(state, "v.blocks."),
        "num_heads": head_count(embed_dim, own, given),
        "mlp_ratio": hidden.shape[0] / embed_dim if hidden is not None else 4.0,
        "patch_size": patch_size,
    }
    notes = []
    if position is None or position.ndim != 3:
        config |= {"n_mels": 128, "n_frames": 1024, "stride": (10, 10)}
    else:
        geometry = find_geometry(position.shape[1] - NUM_PREFIX, patch_size, own, given)
        config |= geometry.fields()
        if geometry.is_assumed:
            notes.append(
                f"{position.shape[1] - NUM_PREFIX} positions: taken as stride "
                f"{geometry.stride[0]}x{geometry.stride[1]} of {geometry.n_mels} mel bands and "
                f"{geometry.n_frames} frames"
            )
    return config, notes


def masking_fields(config: Mapping[str, Any]) -> dict[str, Any]:
    """How SSAST masks a grid of this kind: 400 of 512, "patch" in clusters, "frame" one by one. No file says it."""
    cluster_size = (1, 1) if config["patch_size"][0] == config["n_mels"] else (3, 5)
    return {"cluster_size": cluster_size, "num_masked": 400.0}
