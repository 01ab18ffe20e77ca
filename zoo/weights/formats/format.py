"""What a foreign checkpoint format has to say about a file: whether it knows it, whose model it is, and its names here.

A format only reads and names. Bringing the tensors to another geometry is `zoo.weights.adapt`'s work.
"""

import re
import statistics
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor

from zoo.errors import CheckpointError
from zoo.models.masked_patch import BACKBONE
from zoo.weights.formats.geometry import Table, find_geometry
from zoo.weights.formats.key_map import KeyMap
from zoo.weights.positions import Rule
from zoo.weights.tensor_names import KERNEL, PREFIX_POSITION, TABLE

State = Mapping[str, Tensor]
Shapes = dict[str, tuple[int, ...]]

NUM_PREFIX = 2
"""CLS and DIST, which every released audio model has."""

POSITION = "pos_embed"
"""`(1, P + N, D)`, as most formats have it, until `split_position` has parted it."""

RELEASED_WIDTHS = (192, 384, 768)
HEAD_WIDTH = 64
"""Of every published AST, SSAST, PaSST and DeiT. A state dict does not tell the number of attention heads."""


@dataclass(frozen=True)
class Described:
    """Whose model a file is, as far as its tensors tell."""

    config: dict[str, Any]
    """Fields of a `ModelConfig`, `kind` included, in the file's own geometry."""
    start: dict[str, Any] = field(default_factory=dict)
    """Fields in which the model to build differs unless stated otherwise: an image model has no use as it is."""
    pretraining: bool = False
    front_end: dict[str, Any] | None = None
    front_end_note: str | None = None
    """Told when the front end had to be assumed, and nobody knows better."""
    labels: list[str] | None = None
    task: str | None = None
    notes: tuple[str, ...] = ()
    """What had to be assumed."""


@dataclass
class Renamed:
    """The tensors by the zoo's names; one that has no place keeps its own name."""

    state: dict[str, Tensor]
    came_from: dict[str, str]
    """The zoo's name -> the file's."""
    unused: list[str]
    """The file's names of tensors that nothing reads."""


class Format(ABC):
    """One foreign format. `keys` has every name that it writes."""

    name: ClassVar[str]
    rule: ClassVar[Rule]
    keys: ClassVar[KeyMap]

    def family(self, state: State) -> tuple[str, bool]:
        """The kind of model, and whether it is a pretraining one, as far as the names alone tell."""
        return ("passt" if self.rule == "passt" else "ast"), False

    def knows(self, keys: Collection[str]) -> int:
        """How many of a file's names are of this format: the format that knows most of them reads the file."""
        return self.keys.knows(keys)

    @abstractmethod
    def describe(
        self, state: State, beside: Mapping[str, Any], own: Mapping[str, Any], given: Mapping[str, Any]
    ) -> Described:
        """Whose model it is.

        Args:
            state: as `rename` gives it.
            beside: what stands beside the tensors: Hugging Face's `config` and `preprocessor`.
            own: fields that the user states about the file.
            given: fields that the user wants of the model; they are the file's own if they fit its tables exactly.

        Raises:
            CheckpointError: the tensors do not tell, and the user has to.
        """

    def rename(self, state: State) -> Renamed:
        """The tensors by the zoo's names."""
        renamed = Renamed({}, {}, [])
        for key, tensor in state.items():
            if self.keys.is_unused(key):
                renamed.unused.append(key)
                continue
            name = self.keys.to_zoo(key)
            renamed.state[name or key] = tensor
            renamed.came_from[name or key] = key
        return renamed

    def place(self, renamed: Renamed, config: Any) -> None:
        """Brings what the format stores in another form into the zoo's form, in place. Nothing, by default."""
        return None

    def expected(self, shapes: Shapes, found: Shapes) -> Shapes:
        """The tensors that a whole file has, given those of the described model and those that were found."""
        return shapes

    def unplace(self, state: dict[str, Tensor], config: Any) -> dict[str, Tensor]:
        """The inverse of `place`, for `export`: names may be foreign already where the zoo has none."""
        return state

    def export(self, state: State, config: Any) -> dict[str, Tensor]:
        """A model's tensors by the foreign names, those included that the foreign code demands and never reads."""
        foreign = {}
        for name, tensor in self.unplace(dict(state), config).items():
            foreign[self.keys.from_zoo(name) or name] = tensor
        return foreign


def describe_trunk(state: State, own: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """What the tensors of every format tell alike: width, depth, heads, MLP ratio, patch size and classes.

    Raises:
        CheckpointError: they do not tell the width, or the heads.
    """
    kernel, hidden = state.get(KERNEL), state.get("encoder.blocks.0.mlp.fc1.weight")
    classifier = state.get("head.linear.weight")
    # By majority: a single tensor of another shape is then told as such, and not taken for the width.
    norms = [
        tensor for name, tensor in state.items() if re.fullmatch(r"encoder\.(blocks\.\d+\.)?norm\d?\.weight", name)
    ]
    widths = [int(tensor.shape[0]) for tensor in (*norms, kernel) if tensor is not None and tensor.ndim]
    if not widths:
        raise CheckpointError("found neither norms nor the patch kernel - expected a whole file - give one")
    width = statistics.mode(widths)
    is_kernel = kernel is not None and kernel.ndim == 4
    return {
        "embed_dim": width,
        "depth": max(1, count_blocks(state)),
        "num_heads": _head_count(width, own, given),
        "mlp_ratio": hidden.shape[0] / width if hidden is not None and hidden.ndim == 2 else 4.0,
        "patch_size": tuple(map(int, kernel.shape[2:])) if kernel is not None and is_kernel else (16, 16),
        "num_classes": int(classifier.shape[0]) if classifier is not None and classifier.ndim == 2 else 0,
    }


def describe_grid(
    state: State, patch_size: tuple[int, int], own: Mapping[str, Any], given: Mapping[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """Mel bands, length and stride of a `pos_embed` with two prefix rows, and what had to be assumed."""
    position = state.get(POSITION)
    if position is None or position.ndim != 3:  # told later, by its name
        return {"n_mels": 128, "n_frames": 1024, "stride": (10, 10)}, []
    num_patches = int(position.shape[1]) - NUM_PREFIX
    found = find_geometry(Table(patch_size, num_patches), own, given)
    note = found.note(f"{num_patches} positions")
    return found.fields(), [note] if note is not None else []


def count_blocks(state: State) -> int:
    """One more than the highest number of a block."""
    before = "encoder.blocks."
    numbers = [key[len(before) :].split(".")[0] for key in state if key.startswith(before)]
    return 1 + max((int(number) for number in numbers if number.isdecimal()), default=-1)


def _head_count(embed_dim: int, own: Mapping[str, Any], given: Mapping[str, Any]) -> int:
    """Attention heads: as stated, or 64 wide each. Raises CheckpointError when neither works."""
    stated = own.get("num_heads", given.get("num_heads"))
    if stated is not None:
        return int(stated)
    if embed_dim % HEAD_WIDTH:
        raise CheckpointError(
            f"found a width of {embed_dim}, no multiple of {HEAD_WIDTH} - expected the number of attention heads, "
            "which the tensors do not tell - state it: own={'num_heads': ...}, or own.num_heads=N on the command line"
        )
    return embed_dim // HEAD_WIDTH


def into_backbone(renamed: Renamed) -> None:
    """Moves the trunk to where a pretraining model has it, in place."""
    for name in [name for name in renamed.state if name.startswith(("embedding.", "encoder."))]:
        renamed.state[BACKBONE + name] = renamed.state.pop(name)
        renamed.came_from[BACKBONE + name] = renamed.came_from.pop(name)


def split_position(renamed: Renamed, grid: tuple[int, int], num_prefix: int = NUM_PREFIX) -> None:
    """`pos_embed (1, P + N, D)` into the prefix's rows and the table `(freq, time, D)`, when it is there and fits."""
    position = renamed.state.get(POSITION)
    if position is None or position.ndim != 3 or position.shape[1] != num_prefix + grid[0] * grid[1]:
        return
    del renamed.state[POSITION]
    key = renamed.came_from.pop(POSITION)
    parts = {
        PREFIX_POSITION: position[:, :num_prefix],
        TABLE: position[0, num_prefix:].reshape(grid[0], grid[1], position.shape[2]),
    }
    for part, tensor in parts.items():
        renamed.state[part] = tensor
        renamed.came_from[part] = key


def join_position(state: dict[str, Tensor]) -> None:
    """The inverse of `split_position`, in place: `pos_embed (1, P + N, D)`."""
    table, prefix = state.pop(TABLE), state.pop(PREFIX_POSITION)
    state[POSITION] = torch.cat([prefix, table.flatten(0, 1)[None]], dim=1)


def empty_heads(state: dict[str, Tensor], width: int, num_classes: int, *names: str) -> None:
    """Adds linear classifiers of zeros: released classes build them, load them strictly, and never use them."""
    like = next(iter(state.values()))
    for name in names:
        state[f"{name}.weight"] = torch.zeros(num_classes, width, dtype=like.dtype)
        state[f"{name}.bias"] = torch.zeros(num_classes, dtype=like.dtype)
