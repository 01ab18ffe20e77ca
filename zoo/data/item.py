"""What a data set gives to the loader: one clip, ready to be put into a batch."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from zoo.data.batch import BadAudio, Batch


@dataclass(frozen=True, slots=True)
class Key:
    """What the loader asks a data set for; it carries all that the draws of a clip depend on."""

    epoch: int
    index: int
    """Of the clip, or of the row of an evaluation."""
    repeat: int = 0
    """How often the clip was asked for in this epoch already (sampling with replacement): each time looks different."""


@dataclass(frozen=True)
class Item:
    """One clip. `waveform` has its real length; None is a clip that cannot be used and is to be left out."""

    waveform: Float[Tensor, "sample"] | None
    num_samples: int
    target: Float[Tensor, "cls"] | None
    id: int
    name: str
    bad: tuple[BadAudio, ...] = ()
    clip: int = -1
    """In evaluation, the clip's place in its manifest: all of its windows have one."""


class Collate:
    """Items to a batch, with zeros behind the clips up to `pad_to` samples, or up to the longest clip (None)."""

    def __init__(self, pad_to: int | None) -> None:
        self.pad_to = pad_to

    def __call__(self, items: Sequence[Item]) -> Batch:
        bad = tuple(one for item in items for one in item.bad)
        used = [(item, item.waveform) for item in items if item.waveform is not None]
        longest = max((item.num_samples for item, _ in used), default=0)
        width = longest if self.pad_to is None else self.pad_to
        assert longest <= width, (longest, width)
        waveform = torch.zeros(len(used), width)
        for row, (item, samples) in enumerate(used):
            waveform[row, : item.num_samples] = samples
        target = None
        if items and (first := items[0].target) is not None:
            rows = [item.target for item, _ in used if item.target is not None]
            target = torch.stack(rows) if rows else first.new_zeros(0, first.shape[0])
        return Batch(
            waveform=waveform,
            num_samples=torch.tensor([item.num_samples for item, _ in used], dtype=torch.int64),
            target=target,
            ids=torch.tensor([item.id for item, _ in used], dtype=torch.int64),
            names=tuple(item.name for item, _ in used),
            bad=bad,
            clips=tuple(item.clip for item, _ in used),
        )
