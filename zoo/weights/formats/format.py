"""What a foreign checkpoint format has to say about a file: whether it knows it, whose model it is, and its names here.

A format only reads and names. Bringing the tensors to another geometry is `zoo.weights.adapt`'s work.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from zoo.errors import CheckpointError
from zoo.weights.formats.key_map import KeyMap

Rule = Literal["image", "ast", "ssast", "passt"]
"""Whose released code says how positions are brought to another grid (`zoo.weights.positions`)."""

State = Mapping[str, Tensor]

HEAD_WIDTH = 64
"""Of every published AST, SSAST, PaSST and DeiT. A state dict does not tell the number of attention heads."""


@dataclass(frozen=True)
class Described:
    """Whose model a file is, as far as its tensors tell."""

    config: dict[str, Any]
    """Fields of a `ModelConfig`, `kind` included, in the file's own geometry."""
    model: dict[str, Any] = field(default_factory=dict)
    """Fields in which the model to build differs unless stated otherwise: an image model has no use as it is."""
    pretraining: bool = False
    front_end: dict[str, Any] | None = None
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

    def knows(self, keys: Collection[str]) -> int:
        """How many of a file's names are of this format: the format that knows most of them reads the file."""
        return self.keys.knows(keys)

    @abstractmethod
    def describe(
        self, state: State, extra: Mapping[str, Any], own: Mapping[str, Any], given: Mapping[str, Any]
    ) -> Described:
        """Whose model it is.

        Args:
            extra: what stands beside the tensors: a config, mostly.
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
        """Brings what the format stores in another form into the zoo's form, in place. Most store some so."""
        return None

    def unplace(self, state: dict[str, Tensor], config: Any) -> dict[str, Tensor]:
        """The inverse of `place`, for `export`: names may be foreign already where the zoo has none."""
        return state

    def export(self, state: State, config: Any) -> dict[str, Tensor]:
        """A model's tensors by the foreign names, those included that the foreign code demands and never reads."""
        foreign = {}
        for name, tensor in self.unplace(dict(state), config).items():
            foreign[self.keys.from_zoo(name) or name] = tensor
        return foreign


def width_of(state: State, *names: str) -> int:
    """The first axis of the first of these tensors that is there. Raises CheckpointError when none is."""
    for name in names:
        if name in state and state[name].ndim:
            return int(state[name].shape[0])
    raise CheckpointError(f"found none of {', '.join(names)} - expected one, which has the width - give a whole file")


def count_blocks(state: State, before: str) -> int:
    """One more than the highest number that follows `before`."""
    numbers = [key[len(before) :].split(".")[0] for key in state if key.startswith(before)]
    return 1 + max((int(number) for number in numbers if number.isdecimal()), default=-1)


def head_count(embed_dim: int, own: Mapping[str, Any], given: Mapping[str, Any]) -> int:
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


def split_position(renamed: Renamed, grid: tuple[int, int], num_prefix: int, name: str = "pos_embed") -> None:
    """`pos_embed (1, P + N, D)` into the prefix's rows and the table `(freq, time, D)`, when it is there and fits."""
    position = renamed.state.get(name)
    if position is None or position.ndim != 3 or position.shape[1] != num_prefix + grid[0] * grid[1]:
        return
    del renamed.state[name]
    key = renamed.came_from.pop(name)
    parts = {
        "embedding.prefix.position": position[:, :num_prefix],
        "embedding.position.table": position[0, num_prefix:].reshape(grid[0], grid[1], position.shape[2]),
    }
    for part, tensor in parts.items():
        renamed.state[part] = tensor
        renamed.came_from[part] = key


def join_position(state: dict[str, Tensor]) -> None:
    """The inverse of `split_position`, in place: `pos_embed (1, P + N, D)`."""
    table = state.pop("embedding.position.table")
    prefix = state.pop("embedding.prefix.position")
    state["pos_embed"] = torch.cat([prefix, table.flatten(0, 1)[None]], dim=1)


def empty_heads(state: dict[str, Tensor], width: int, num_classes: int, *names: str) -> None:
    """Adds linear classifiers of zeros: released classes build them, load them strictly, and never use them."""
    like = next(iter(state.values()))
    for name in names:
        state[f"{name}.weight"] = torch.zeros(num_classes, width, dtype=like.dtype)
        state[f"{name}.bias"] = torch.zeros(num_classes, dtype=like.dtype)
