"""One clip out of a batch, to see what it does alone. Its draws follow from its own key, so they stay what they are."""

from dataclasses import replace

import torch
from torch import Tensor

from zoo.data.batch import Batch
from zoo.data.partners import Partners


def alone(batch: Batch, row: int) -> Batch:
    """The clip of a row as a batch of one, with the partners that are mixed into it, and into those."""
    return replace(
        _without_partners(batch, row),
        partners=None if batch.partners is None else _partners(batch, batch.partners, row),
    )


def members(batch: Batch, row: int) -> tuple[Batch, ...]:
    """The clip of a row and each of its partners, every one as a batch of one without partners."""
    partners = alone(batch, row).partners
    if partners is None:
        return (_without_partners(batch, row),)
    return (
        _without_partners(batch, row),
        *(_as_batch(batch, partners, place) for place in range(len(partners))),
    )


def _without_partners(batch: Batch, row: int) -> Batch:
    def one(tensor: Tensor | None) -> Tensor | None:
        return None if tensor is None else tensor[row : row + 1]

    name = batch.names[row]
    return replace(
        batch,
        waveform=one(batch.waveform),
        log_mel=one(batch.log_mel),
        num_samples=batch.num_samples[row : row + 1],
        target=one(batch.target),
        ids=batch.ids[row : row + 1],
        names=(name,),
        bad=tuple(bad for bad in batch.bad if bad.name == name),
        partners=None,
        clips=batch.clips[row : row + 1],
    )


def _partners(batch: Batch, partners: Partners, row: int) -> Partners | None:
    num_log_mel = len(partners.log_mel_row)
    as_log_mel = [place for place, to in enumerate(partners.log_mel_row.tolist()) if to == row]
    # The rows that a waveform is mixed into: the clip, and its log-mel partners behind it.
    new_row = {row: 0} | {len(batch) + place: new for new, place in enumerate(as_log_mel, start=1)}
    as_waveform = [place for place, to in enumerate(partners.waveform_row.tolist()) if to in new_row]
    places = as_log_mel + [num_log_mel + place for place in as_waveform]
    if not places:
        return None
    new_rows = [new_row[to] for to in partners.waveform_row[as_waveform].tolist()]
    return Partners(
        waveform=None if partners.waveform is None else partners.waveform[places],
        log_mel=None if partners.log_mel is None else partners.log_mel[places],
        num_samples=partners.num_samples[places],
        target=None if partners.target is None else partners.target[places],
        ids=partners.ids[places],
        log_mel_row=torch.zeros(len(as_log_mel), dtype=torch.int64),
        log_mel_share=partners.log_mel_share[as_log_mel],
        waveform_row=torch.tensor(new_rows, dtype=torch.int64),
        waveform_share=partners.waveform_share[as_waveform],
        names=tuple(partners.names[place] for place in places) if partners.names else (),
    )


def _as_batch(batch: Batch, partners: Partners, place: int) -> Batch:
    def one(tensor: Tensor | None) -> Tensor | None:
        return None if tensor is None else tensor[place : place + 1]

    name = partners.names[place] if partners.names else f"partner {int(partners.ids[place])}"
    return Batch(
        waveform=one(partners.waveform),
        num_samples=partners.num_samples[place : place + 1],
        target=one(partners.target),
        ids=partners.ids[place : place + 1],
        names=(name,),
        bad=tuple(told for told in batch.bad if told.name == name),
        log_mel=one(partners.log_mel),
        is_full=batch.is_full,
    )
