"""Checkpoints of the official PaSST and of hear21passt.

Source: kkoutini/PaSST, models/passt.py; the golden kinds passt_eval, passt_arch and passt_train_patchout prove the
agreement.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor

from zoo.audio.front_ends import FAMILIES
from zoo.errors import CheckpointError
from zoo.weights.formats.format import (
    Described,
    Format,
    Renamed,
    Rule,
    State,
    count_blocks,
    empty_heads,
    head_count,
    width_of,
)
from zoo.weights.formats.geometry import KNOWN_LENGTHS
from zoo.weights.formats.key_map import KeyMap, trunk

_STRIDES = (10, 12, 14, 16)


class OfficialPasst(Format):
    """A table for frequency and one for time. Their sizes are n_mels // stride and n_frames // stride.

    Default of `positions`: `official`, which takes the tables as they are. The released code refuses every other
    size and leaves clips of another length to the forward pass; with `resample`, the default wherever it would refuse,
    a shorter model takes the first entries of the time table, which is what that forward pass does in evaluation.

    `head_dist` is in every file, and nothing reads it.
    """

    name: ClassVar[str] = "official PaSST"
    rule: ClassVar[Rule] = "passt"
    keys = KeyMap(
        [
            *trunk(""),
            ("new_pos_embed", "embedding.prefix.position"),
            ("freq_new_pos_embed", "embedding.position.freq"),
            ("time_new_pos_embed", "embedding.position.time"),
            ("head.0.", "head.norm."),
            ("head.1.", "head.linear."),
        ],
        unused=["head_dist.weight", "head_dist.bias"],
    )

    def describe(
        self, state: State, extra: Mapping[str, Any], own: Mapping[str, Any], given: Mapping[str, Any]
    ) -> Described:
        embed_dim = width_of(state, "norm.weight", "patch_embed.proj.weight", "cls_token")
        kernel = state.get("patch_embed.proj.weight")
        hidden = state.get("blocks.0.mlp.fc1.weight")
        is_kernel = kernel is not None and kernel.ndim == 4
        config: dict[str, Any] = {
            "kind": "passt",
            "embed_dim": embed_dim,
            "depth": count_blocks(state, "blocks."),
            "num_heads": head_count(embed_dim, own, given),
            "mlp_ratio": hidden.shape[0] / embed_dim if hidden is not None else 4.0,
            "patch_size": (int(kernel.shape[2]), int(kernel.shape[3]))
            if is_kernel and kernel is not None
            else (16, 16),
            "num_classes": int(state["head.1.weight"].shape[0]) if "head.1.weight" in state else 0,
            "n_mels": int(own.get("n_mels", given.get("n_mels", 128))),
        }
        notes = ["front end assumed: PaSST's at a hop of 10 ms, for the file does not say"]
        freq, time = state.get("freq_new_pos_embed"), state.get("time_new_pos_embed")
        if freq is None or time is None or freq.ndim != 4 or time.ndim != 4:
            config |= {"stride": (10, 10), "n_frames": 998}
        else:
            config |= _geometry(int(freq.shape[2]), int(time.shape[3]), config["n_mels"], own, given)
            notes.append(
                f"tables of {freq.shape[2]} and {time.shape[3]}: taken as stride {config['stride'][0]}x"
                f"{config['stride'][1]} of {config['n_mels']} mel bands and {config['n_frames']} frames"
            )
        return Described(config, front_end=FAMILIES["passt"].model_dump(mode="json"), notes=tuple(notes))

    def place(self, renamed: Renamed, config: Any) -> None:
        for name, axis in (("embedding.position.freq", 2), ("embedding.position.time", 3)):
            table = renamed.state.get(name)  # (1, D, F, 1) or (1, D, 1, T)
            if table is not None and table.ndim == 4 and table.numel() == table.shape[1] * table.shape[axis]:
                renamed.state[name] = table.reshape(table.shape[1], table.shape[axis]).T.contiguous()

    def unplace(self, state: dict[str, Tensor], config: Any) -> dict[str, Tensor]:
        state["embedding.position.freq"] = state["embedding.position.freq"].T[None, :, :, None].contiguous()
        state["embedding.position.time"] = state["embedding.position.time"].T[None, :, None].contiguous()
        if config.num_classes:
            empty_heads(state, config.embed_dim, config.num_classes, "head_dist")
        return state


def _geometry(
    num_rows: int, num_columns: int, n_mels: int, own: Mapping[str, Any], given: Mapping[str, Any]
) -> dict[str, Any]:
    """Stride and length. What the user wants of the model is the file's own where it leads to these table sizes."""
    stated = own.get("stride")
    wanted = given.get("stride")
    if stated is not None:
        stride = (int(stated[0]), int(stated[1]))
    elif wanted is not None and n_mels // wanted[0] == num_rows:
        stride = (int(wanted[0]), int(wanted[1]))
    else:
        fitting = [step for step in _STRIDES if n_mels // step == num_rows]
        if not fitting:
            raise CheckpointError(
                f"found a frequency table of {num_rows} rows, which fits no released stride at {n_mels} mel bands - "
                "expected 12, 10, 9 or 8 - state it: own={'stride': (10, 10), 'n_mels': 128}"
            )
        stride = (fitting[0], fitting[0])
    lengths = range(num_columns * stride[1], (num_columns + 1) * stride[1])
    for source in (own, given):
        if source.get("n_frames") in lengths:
            return {"stride": stride, "n_frames": int(source["n_frames"])}
    # 998 are all 10 s models; those of 20 s and 30 s have lengths that are a whole number of steps.
    known = next((length for length in (998, *KNOWN_LENGTHS) if length in lengths), lengths[0])
    return {"stride": stride, "n_frames": known}
