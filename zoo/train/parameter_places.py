"""Where in a model a parameter sits, told from its dotted name alone: what training knows about models.

    embedding.…, mask_token          the input: patches, positions, tokens
    encoder.blocks.N.…               block N
    encoder.norm.…                   the norm above the blocks
    head.…, aggregator.…             the head; so are reconstruct.…, classify.… and decoder.… of pretraining
    anything else                    other: the convolutions of the CNN

`backbone.` in front, as in the masked-patch model, is no part of the place.
"""

import re
from dataclasses import dataclass
from typing import Literal

from torch import nn

Part = Literal["input", "block", "norm", "head", "other"]

_PART_OF: dict[str, Part] = {
    "embedding": "input",
    "mask_token": "input",
    "head": "head",
    "aggregator": "head",
    "reconstruct": "head",
    "classify": "head",
    "decoder": "head",
}


@dataclass(frozen=True)
class Place:
    """A part of a model."""

    part: Part
    block: int | None = None
    """The number of the block, from 0; None outside of blocks."""

    def __str__(self) -> str:
        return self.part if self.block is None else f"block {self.block}"


def place_of(name: str) -> Place:
    """The place of a parameter of this dotted name."""
    name = name.removeprefix("backbone.")
    block = re.match(r"encoder\.blocks\.(\d+)\.", name)
    if block is not None:
        return Place("block", int(block[1]))
    if name.startswith("encoder.norm."):
        return Place("norm")
    return Place(_PART_OF.get(name.partition(".")[0], "other"))


def num_blocks(model: nn.Module) -> int:
    """How many encoder blocks a model has; 0 for one that is no transformer of the zoo."""
    blocks = [place_of(name).block for name, _ in model.named_parameters()]
    return max((block + 1 for block in blocks if block is not None), default=0)


def unplaced(model: nn.Module) -> str | None:
    """The first parameter that is neither input nor block nor above the blocks; None when every one has its place."""
    return next((name for name, _ in model.named_parameters() if place_of(name).part == "other"), None)
