"""One clip out of a batch looks as it does in the batch, with the partners that are mixed into it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.unit.one_step import ALL_AUGMENTATION, CPU, FINETUNE
from zoo.data.one_clip import alone, members
from zoo.recipe import parse_recipe
from zoo.run.data import prepare_data

ALWAYS = (
    "augment.waveform_mixup={probability: 0.8, alpha: 10}",
    "augment.log_mel_mixup={probability: 0.8, alpha: 0.3}",
)


@pytest.mark.parametrize("seconds", [0.3, 0.5], ids=["padded", "full"])
@pytest.mark.parametrize("overrides", [(), ALL_AUGMENTATION, (*ALWAYS, "augment.gain_db=[-7, 6]")])
def test_alone_it_looks_as_in_the_batch(
    overrides: tuple[str, ...], seconds: float, tone_folder: Callable[..., Path]
) -> None:
    folder = tone_folder(clips=8, seconds=seconds)
    recipe = parse_recipe(FINETUNE, "x", [f"data.train={folder}", *overrides, "train.batch_size=8"])
    data = prepare_data(recipe, CPU)
    assert data.train_loader is not None
    num_mixed = 0
    for epoch in range(3):
        (batch, *_) = data.train_loader.epoch(epoch)
        together = data.make_inputs(batch, epoch, True)
        rows = [alone(batch, row) for row in range(len(batch))]
        assert sum(row.num_read for row in rows) == batch.num_read
        for row, clip in enumerate(rows):
            found = data.make_inputs(clip, epoch, True)
            assert clip.names == (batch.names[row],)
            assert torch.allclose(found.log_mel[0], together.log_mel[row], atol=1e-5)
            assert torch.equal(found.target[0], together.target[row])
            assert (found.num_frames is None) == (together.num_frames is None) == (seconds == 0.5)
            if found.num_frames is not None:
                assert torch.equal(found.num_frames[0], together.num_frames[row])
            num_mixed += clip.partners is not None
    assert (num_mixed > 5) == (overrides != ())


def test_the_parts_of_a_mixture(tone_folder: Callable[..., Path]) -> None:
    # Shorter than the model, so that there is only one way to crop a clip.
    recipe = parse_recipe(
        FINETUNE, "x", [f"data.train={tone_folder(clips=8, seconds=0.3)}", *ALWAYS, "train.batch_size=16"]
    )
    data = prepare_data(recipe, CPU)
    assert data.train_loader is not None
    (batch,) = data.train_loader.epoch(0)
    parts = [members(batch, row) for row in range(len(batch))]
    assert sum(map(len, parts)) == batch.num_read
    assert max(map(len, parts)) > 2, "one with a waveform partner and a log-mel partner"
    files = {name: row for row, name in enumerate(batch.names)}
    for first, *partners in parts:
        for part in (first, *partners):
            assert part.partners is None
            assert len(part) == 1
            # The whole folder is in the batch, so what is said to be a partner can be looked up.
            assert torch.equal(part.target[0], batch.target[files[part.names[0]]])
            assert torch.equal(part.waveform[0], batch.waveform[files[part.names[0]]])
    unnamed = replace(batch, partners=replace(batch.partners, names=()))
    assert members(unnamed, 0)[0].names == (batch.names[0],)
    assert {part.names[0].split()[0] for row in range(16) for part in members(unnamed, row)[1:]} == {"partner"}
