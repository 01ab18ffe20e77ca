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
    """One clip, as a waveform or as a log-mel of its real length; with neither it cannot be used and is left out."""

    waveform: Float[Tensor, "sample"] | None
    num_samples: int
    """Of the waveform; of a log-mel, its frames."""
    target: Float[Tensor, "cls"] | None
    id: int
    name: str
    bad: tuple[BadAudio, ...] = ()
    log_mel: Float[Tensor, "mel frame"] | None = None
    """Before normalisation, as `zoo pack --features` stores it."""

    @property
    def content(self) -> Tensor | None:
        """The waveform or the log-mel; its last axis is time."""
        return self.log_mel if self.waveform is None else self.waveform


class Collate:
    """Items to a batch, with zeros behind the clips up to `pad_to` samples (of log-mels: frames), or up to the
    longest clip (None)."""

    def __init__(self, pad_to: int | None) -> None:
        self.pad_to = pad_to

    def __call__(self, items: Sequence[Item]) -> Batch:
        bad = tuple(one for item in items for one in item.bad)
        used = [(item, content) for item in items if (content := item.content) is not None]
        longest = max((item.num_samples for item, _ in used), default=0)
        width = longest if self.pad_to is None else self.pad_to
        assert longest <= width, (longest, width)
        first_used = used[0][1] if used else torch.zeros(width)
        padded = first_used.new_zeros(len(used), *first_used.shape[:-1], width)
        for row, (item, content) in enumerate(used):
            padded[row, ..., : item.num_samples] = content
        is_waveform = padded.ndim == 2
        target = None
        if items and (first := items[0].target) is not None:
            rows = [item.target for item, _ in used if item.target is not None]
            target = torch.stack(rows) if rows else first.new_zeros(0, first.shape[0])
        return Batch(
            waveform=padded if is_waveform else None,
            num_samples=torch.tensor([item.num_samples for item, _ in used], dtype=torch.int64),
            target=target,
            ids=torch.tensor([item.id for item, _ in used], dtype=torch.int64),
            names=tuple(item.name for item, _ in used),
            bad=bad,
            log_mel=None if is_waveform else padded,
        )
