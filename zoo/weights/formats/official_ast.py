"""Checkpoints of the official AST, and fine-tuned ones of the official SSAST, which have the same names.

Source: YuanGongND/ast, src/models/ast_models.py; the golden kinds ast_eval and ast_from_audioset prove the agreement.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor

from zoo.audio.front_ends import FAMILIES
from zoo.weights.formats.format import (
    POSITION,
    Described,
    Format,
    Renamed,
    State,
    describe_grid,
    describe_trunk,
    empty_heads,
    join_position,
    split_position,
)
from zoo.weights.formats.key_map import KeyMap, trunk
from zoo.weights.positions import Rule

IMAGENET_HEADS = ("v.head", "v.head_dist")
"""Linear classifiers of DeiT, in every file of AST and SSAST; nothing reads them."""
_IMAGENET_CLASSES = 1000
FRONT_END_NOTE = "front end assumed: AST's with AudioSet's mean and deviation, for the file does not say"


class OfficialAst(Format):
    """`v.*` and `mlp_head.*`. The stride is not stored and follows from the number of positions.

    `positions` defaults to `official`, which cuts or stretches the 12 x 101 grid of AudioSet, because the published
    fine-tuning results were made so. The released code keeps the stride of 10 whatever is asked for, and its forward
    then fails: another stride or patch size is brought in by `resample`, at true time and frequency.
    """

    name: ClassVar[str] = "official AST"
    rule: ClassVar[Rule] = "ast"
    keys = KeyMap(
        [*trunk("v."), ("v.pos_embed", POSITION), ("mlp_head.0.", "head.norm."), ("mlp_head.1.", "head.linear.")],
        unused=[f"{head}.{part}" for head in IMAGENET_HEADS for part in ("weight", "bias")],
    )

    def describe(
        self, state: State, beside: Mapping[str, Any], own: Mapping[str, Any], given: Mapping[str, Any]
    ) -> Described:
        config = describe_trunk(state, own, given)
        grid, notes = describe_grid(state, config["patch_size"], own, given)
        config |= grid
        is_frame = config["patch_size"][0] == config["n_mels"] > config["patch_size"][1]
        stated = own.get("kind", given.get("kind"))
        config["kind"] = stated if stated in ("ast", "ssast") else "ssast" if is_frame else "ast"
        if config["kind"] == "ssast":
            config |= masking_fields(config)
        elif stated is None:
            notes.append("read as AST; a fine-tuned SSAST has the same keys: state own.kind=ssast if it is one")
        return Described(
            config,
            front_end=FAMILIES["ast"].model_dump(mode="json"),
            front_end_note=FRONT_END_NOTE,
            notes=tuple(notes),
        )

    def place(self, renamed: Renamed, config: Any) -> None:
        split_position(renamed, config.grid)

    def unplace(self, state: dict[str, Tensor], config: Any) -> dict[str, Tensor]:
        join_position(state)
        empty_heads(state, config.embed_dim, _IMAGENET_CLASSES, *IMAGENET_HEADS)
        return state


def masking_fields(config: Mapping[str, Any]) -> dict[str, Any]:
    """How SSAST masks a grid of this kind: 400 of 512, "patch" in clusters, "frame" one by one. No file says it."""
    cluster_size = (1, 1) if config["patch_size"][0] == config["n_mels"] else (3, 5)
    return {"cluster_size": cluster_size, "num_masked": 400.0}
