"""What a data set gives to the loader: one clip, ready to be put into a batch."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from zoo.data.batch import BadAudio, Batch
from zoo.data.partners import Partners


@dataclass(frozen=True, slots=True)
class Key:
    """What the loader asks a data set for; it carries all that the draws of a clip depend on."""

    epoch: int
    index: int
    """Of the clip, or of the row of an evaluation."""
    repeat: int = 0
    """How often the clip was asked for in this epoch already (sampling with replacement), or a large number where it is
    another clip's partner: each time looks different."""


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
    """Of the clip, of those that it replaces, and of its partners."""
    log_mel: Float[Tensor, "mel frame"] | None = None
    """Before normalisation, as `zoo pack --features` stores it."""
    clip: int = -1
    """In evaluation, the clip's place in its manifest: all of its windows have one."""
    waveform_partner: "Partner | None" = None
    log_mel_partner: "Partner | None" = None

    @property
    def content(self) -> Tensor | None:
        """The waveform or the log-mel; its last axis is time. None is a clip that cannot be used."""
        return self.log_mel if self.waveform is None else self.waveform


@dataclass(frozen=True)
class Partner:
    """A usable clip that another one is mixed with."""

    item: Item
    share: float
    """Of the other one; the partner has the rest."""


class Collate:
    """Items to a batch, with zeros behind the clips up to `pad_to` samples (of log-mels: frames), or up to the
    longest clip (None)."""

    def __init__(self, pad_to: int | None) -> None:
        self.pad_to = pad_to

    def __call__(self, items: Sequence[Item]) -> Batch:
        bad = tuple(one for item in items for one in item.bad)
        used = [item for item in items if item.content is not None]
        as_log_mel = [(row, item.log_mel_partner) for row, item in enumerate(used) if item.log_mel_partner]
        carriers = [*used, *(partner.item for _, partner in as_log_mel)]
        as_waveform = [(row, item.waveform_partner) for row, item in enumerate(carriers) if item.waveform_partner]
        further = [partner.item for _, partner in (*as_log_mel, *as_waveform)]
        width = self._width([*used, *further])
        no_target = items[0].target if items else None
        partners = None
        if further:
            waveform, log_mel, num_samples = _padded(further, width)
            log_mel_row, log_mel_share = _rows(as_log_mel)
            waveform_row, waveform_share = _rows(as_waveform)
            partners = Partners(
                waveform=waveform,
                log_mel=log_mel,
                num_samples=num_samples,
                target=_targets(further, no_target),
                ids=torch.tensor([item.id for item in further], dtype=torch.int64),
                log_mel_row=log_mel_row,
                log_mel_share=log_mel_share,
                waveform_row=waveform_row,
                waveform_share=waveform_share,
                names=tuple(item.name for item in further),
            )
        waveform, log_mel, num_samples = _padded(used, width)
        return Batch(
            waveform=waveform,
            log_mel=log_mel,
            num_samples=num_samples,
            target=_targets(used, no_target),
            ids=torch.tensor([item.id for item in used], dtype=torch.int64),
            names=tuple(item.name for item in used),
            bad=bad,
            partners=partners,
            clips=tuple(item.clip for item in used),
            is_full=all(item.num_samples == width for item in [*used, *further]),
        )

    def _width(self, used: Sequence[Item]) -> int:
        longest = max((item.num_samples for item in used), default=0)
        width = longest if self.pad_to is None else self.pad_to
        assert longest <= width, (longest, width)
        return width


def _padded(used: Sequence[Item], width: int) -> tuple[Tensor | None, Tensor | None, Tensor]:
    """The waveforms (rows, width) or log-mels (rows, bands, width) of clips, and how much of each row is real."""
    contents = [item.content for item in used]
    first = contents[0] if contents else torch.zeros(width)
    assert first is not None
    padded = first.new_empty(len(used), *first.shape[:-1], width)  # zeros only where they stay
    for row, content in enumerate(contents):
        assert content is not None
        length = content.shape[-1]
        padded[row, ..., :length] = content
        padded[row, ..., length:] = 0
    is_waveform = padded.ndim == 2
    num_samples = torch.tensor([item.num_samples for item in used], dtype=torch.int64)
    return padded if is_waveform else None, None if is_waveform else padded, num_samples


def _targets(used: Sequence[Item], like: Tensor | None) -> Tensor | None:
    if like is None:
        return None
    rows = [item.target for item in used if item.target is not None]
    return torch.stack(rows) if rows else like.new_zeros(0, like.shape[0])


def _rows(partners: Sequence[tuple[int, Partner]]) -> tuple[Tensor, Tensor]:
    """The row that each partner belongs to, and the share of that row."""
    row = torch.tensor([row for row, _ in partners], dtype=torch.int64)
    return row, torch.tensor([partner.share for _, partner in partners], dtype=torch.float32)
