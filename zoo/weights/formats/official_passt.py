"""Checkpoints of the official PaSST and of hear21passt.

Source: kkoutini/PaSST, models/passt.py; the golden kinds passt_eval, passt_arch and passt_train_patchout prove the
agreement.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor

from zoo.audio.front_ends import FAMILIES
from zoo.weights.formats.format import Described, Format, Renamed, State, describe_trunk, empty_heads
from zoo.weights.formats.geometry import KNOWN_LENGTHS, Table, find_geometry
from zoo.weights.formats.key_map import KeyMap, trunk
from zoo.weights.positions import Rule
from zoo.weights.tensor_names import FREQ, PREFIX_POSITION, TIME

_LENGTHS = (998, 2000, 3000, 3200, *(length for length in KNOWN_LENGTHS if length != 998))
"""Frames of the released models of 10, 20 and 30 s and of a shorter hop, then those of the other families."""


class OfficialPasst(Format):
    """A table for frequency and one for time. Their sizes are n_mels // stride and n_frames // stride.

    `positions` defaults to `official`, which takes the tables as they are. The released code refuses every other size
    and leaves clips of another length to the forward pass; with `resample`, the default wherever it would refuse, a
    shorter model takes the first entries of the time table, which is what that forward pass does in evaluation.

    `head_dist` is in every file, and nothing reads it.
    """

    name: ClassVar[str] = "official PaSST"
    rule: ClassVar[Rule] = "passt"
    keys = KeyMap(
        [
            *trunk(""),
            ("new_pos_embed", PREFIX_POSITION),
            ("freq_new_pos_embed", FREQ),
            ("time_new_pos_embed", TIME),
            ("head.0.", "head.norm."),
            ("head.1.", "head.linear."),
        ],
        unused=["head_dist.weight", "head_dist.bias"],
    )

    def describe(
        self, state: State, beside: Mapping[str, Any], own: Mapping[str, Any], given: Mapping[str, Any]
    ) -> Described:
        config = describe_trunk(state, own, given)
        config["kind"] = "passt"
        freq, time = state.get(FREQ), state.get(TIME)
        if freq is None or time is None or freq.ndim != 4 or time.ndim != 4:  # told later, by its name
            config |= {"stride": (10, 10), "n_frames": _LENGTHS[0], "n_mels": 128}
            notes = []
        else:
            table = Table(config["patch_size"], grid=(int(freq.shape[2]), int(time.shape[3])), is_floor=True)
            found = find_geometry(table, own, given, _LENGTHS)
            config |= found.fields()
            notes = [
                note for note in [found.note(f"tables of {freq.shape[2]} and {time.shape[3]}")] if note is not None
            ]
        return Described(
            config,
            front_end=FAMILIES["passt"].model_dump(mode="json"),
            front_end_note="front end assumed: PaSST's at a hop of 10 ms, for the file does not say",
            notes=tuple(notes),
        )

    def place(self, renamed: Renamed, config: Any) -> None:
        for name, axis in ((FREQ, 2), (TIME, 3)):
            table = renamed.state.get(name)  # (1, D, F, 1) or (1, D, 1, T)
            if table is not None and table.ndim == 4 and table.numel() == table.shape[1] * table.shape[axis]:
                renamed.state[name] = table.reshape(table.shape[1], table.shape[axis]).T.contiguous()

    def unplace(self, state: dict[str, Tensor], config: Any) -> dict[str, Tensor]:
        state[FREQ] = state[FREQ].T[None, :, :, None].contiguous()
        state[TIME] = state[TIME].T[None, :, None].contiguous()
        if config.num_classes:
            empty_heads(state, config.embed_dim, config.num_classes, "head_dist")
        return state
