"""Batches, and log-mels made of them on the device."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from zoo.audio.ast_front_end import AstFrontEndConfig
from zoo.audio.augment import AugmentConfig
from zoo.data.batch import Batch, InputMaker, Inputs
from zoo.data.item import Collate, Item, Partner
from zoo.draws import clip_keys
from zoo.models.registry import build_model, preset_config
from zoo.objectives.classification import ClassificationConfig
from zoo.objectives.masked_patch import MaskedPatchConfig

FRONT_END = AstFrontEndConfig(n_mels=16).build()


def make_batch() -> Batch:
    generator = torch.Generator().manual_seed(0)
    waveform = torch.randn(3, 4000, generator=generator) * 0.1
    num_samples = torch.tensor([4000, 2000, 400])
    for row, length in enumerate(num_samples.tolist()):
        waveform[row, length:] = 0
    return Batch(waveform, num_samples, torch.eye(3), torch.tensor([7, 8, 9]), ("a", "b", "c"))


def test_batch() -> None:
    batch = make_batch()
    assert len(batch) == 3
    moved = batch.to("cpu")
    assert torch.equal(moved.waveform, batch.waveform)
    assert (moved.names, moved.bad) == (batch.names, batch.bad)
    with pytest.raises(AttributeError):
        batch.names = ()  # type: ignore[misc]


def test_inputs_in_training_and_evaluation() -> None:
    batch = make_batch()
    make_inputs = InputMaker(FRONT_END, None, seed=5)
    inputs = make_inputs(batch, 3, True)
    assert torch.equal(inputs.log_mel, FRONT_END(batch.waveform, batch.num_samples))
    assert inputs.num_frames is not None
    assert inputs.num_frames.tolist() == [23, 11, 1]
    assert inputs.target is batch.target
    assert inputs.names == batch.names
    assert torch.equal(inputs.keys, clip_keys(5, 3, batch.ids))
    assert torch.equal(make_inputs(batch, 3, False).keys, make_inputs(batch, 8, False).keys)
    assert not torch.equal(make_inputs(batch, 3, False).keys, inputs.keys)


def test_no_gradient() -> None:
    batch = make_batch()
    batch.waveform.requires_grad_()
    assert not InputMaker(FRONT_END, None, 0)(batch, 0, True).log_mel.requires_grad


def test_padding_as_in_released_code() -> None:
    batch = make_batch()
    inputs = InputMaker(FRONT_END, None, 0, padding="as_source", n_frames=40)(batch, 0, True)
    assert inputs.num_frames is None
    assert inputs.log_mel.shape == (3, 16, 40)
    assert torch.equal(inputs.log_mel, FRONT_END(batch.waveform, batch.num_samples, n_frames=40))
    masked = InputMaker(FRONT_END, None, 0, padding="masked", n_frames=40)(batch, 0, True)
    assert masked.log_mel.shape == (3, 16, 23)


@pytest.mark.parametrize("padding", ["masked", "as_source"])
def test_augmentation_is_for_training_only(padding: str) -> None:
    batch = make_batch()
    augment = AugmentConfig(time_roll=5, freq_mask=6, time_mask=6).build()
    make_inputs = InputMaker(FRONT_END, augment, 0, padding=padding, n_frames=30)  # type: ignore[arg-type]
    plain = make_inputs(batch, 0, False).log_mel
    first, again, other = (make_inputs(batch, epoch, True).log_mel for epoch in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not torch.equal(first, plain)
    if padding == "masked":  # never touches padding
        assert torch.equal(first[1, :, 11:], plain[1, :, 11:])


def test_a_clip_looks_the_same_in_any_batch() -> None:
    batch = make_batch()
    augment = AugmentConfig(time_roll=5, freq_mask=6, time_mask=6).build()
    make_inputs = InputMaker(FRONT_END, augment, 0)
    whole = make_inputs(batch, 2, True)
    order = torch.tensor([2, 0])
    part = Batch(batch.waveform[order], batch.num_samples[order], None, batch.ids[order], ("c", "a"))
    inputs = make_inputs(part, 2, True)
    assert torch.equal(inputs.keys, whole.keys[order])
    assert torch.allclose(inputs.log_mel, whole.log_mel[order], atol=1e-5)


def test_full_clips_need_no_number_of_frames() -> None:
    """In training they are left out where they say nothing; everything else stays as it is."""
    batch = make_batch()
    full = replace(batch, num_samples=torch.full((3,), 4000))
    told = replace(full, is_full=True)
    augment = AugmentConfig(time_roll=5, freq_mask=6, time_mask=6).build()
    for one in (None, augment):
        make_inputs = InputMaker(FRONT_END, one, 0)
        with_frames, without = make_inputs(full, 1, True), make_inputs(told, 1, True)
        assert with_frames.num_frames is not None
        assert with_frames.num_frames.tolist() == [with_frames.log_mel.shape[2]] * 3
        assert without.num_frames is None
        assert torch.equal(with_frames.log_mel, without.log_mel)
        assert make_inputs(told, 1, False).num_frames is not None  # an evaluation is the same for every batch
        assert make_inputs(batch, 1, True).num_frames is not None


def test_stored_log_mels_are_full_when_they_fill_the_input() -> None:
    stored = torch.randn(2, 16, 30)
    batch = Batch(None, torch.full((2,), 30), None, torch.arange(2), ("a", "b"), log_mel=stored, is_full=True)
    for n_frames, is_full in ((30, True), (None, True), (40, False)):
        inputs = InputMaker(FRONT_END, None, 0, n_frames=n_frames)(batch, 0, True)
        assert inputs.log_mel.shape[2] == (n_frames or 30)
        assert (inputs.num_frames is None) is is_full


@pytest.mark.parametrize("lengths", [(50, 50), (50, 49), (49, 49)])
@pytest.mark.parametrize("pad_to", [50, None])
def test_the_loader_knows_which_batches_are_full(lengths: tuple[int, int], pad_to: int | None) -> None:
    items = [Item(torch.ones(length), length, None, number, str(number)) for number, length in enumerate(lengths)]
    width = pad_to or max(lengths)
    assert Collate(pad_to)(items).is_full is (lengths == (width, width))
    partner = Partner(Item(torch.ones(50), 50, None, 7, "p"), 0.5)
    mixed = [replace(items[0], waveform_partner=partner), items[1]]
    batch = Collate(pad_to)(mixed)
    assert batch.is_full is (lengths == (50, 50))
    assert batch.to("cpu").is_full is batch.is_full


@pytest.mark.parametrize("preset", ["ast-tiny", "passt-tiny", "ssast-patch-tiny", "cnn-baseline"])
def test_the_model_gives_the_same_without_it(preset: str) -> None:
    """The mask of full clips hides nothing: the same draws, and losses and gradients to rounding."""
    pretraining = preset.startswith("ssast")
    numbers: dict[str, Any] = {"embed_dim": 24, "depth": 2, "num_heads": 3} if preset != "cnn-baseline" else {}
    numbers |= {"num_masked": 12} if pretraining else {"num_classes": 4}
    numbers |= {"patchout_time": 2} if preset == "passt-tiny" else {}
    torch.manual_seed(0)
    model = build_model(preset_config(preset, n_frames=96, **numbers), pretraining=pretraining).train()
    objective = MaskedPatchConfig().build() if pretraining else ClassificationConfig().build("multi-label")
    x, target, keys = torch.randn(3, 128, 96), torch.rand(3, 4), clip_keys(0, 0, torch.arange(3))
    found = []
    for num_frames in (torch.full((3,), 96), None):
        model.zero_grad()
        torch.manual_seed(1)
        loss = objective(model, Inputs(x, num_frames, target, keys, ("a", "b", "c")))[0]
        loss.backward()
        found.append((loss.detach(), [p.grad.clone() for p in model.parameters() if p.grad is not None]))
    torch.testing.assert_close(found[0][0], found[1][0], rtol=0, atol=1e-6)
    for one, other in zip(found[0][1], found[1][1], strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-6)


@pytest.mark.gpu
def test_on_the_device() -> None:
    batch = make_batch()
    make_inputs = InputMaker(FRONT_END, AugmentConfig(time_roll=5, freq_mask=6).build(), 0)
    there = InputMaker(AstFrontEndConfig(n_mels=16).build(), AugmentConfig(time_roll=5, freq_mask=6).build(), 0).cuda()
    here, inputs = make_inputs(batch, 2, True), there(batch.to("cuda"), 2, True)
    assert torch.equal(inputs.keys.cpu(), here.keys)
    assert torch.allclose(inputs.log_mel.cpu(), here.log_mel, atol=1e-3)
