"""Batches, and log-mels made of them on the device."""

import pytest
import torch

from zoo.audio.ast_front_end import AstFrontEndConfig
from zoo.audio.augment import AugmentConfig
from zoo.data.batch import Batch, InputMaker
from zoo.draws import clip_keys

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


@pytest.mark.gpu
def test_on_the_device() -> None:
    batch = make_batch()
    make_inputs = InputMaker(FRONT_END, AugmentConfig(time_roll=5, freq_mask=6).build(), 0)
    there = InputMaker(AstFrontEndConfig(n_mels=16).build(), AugmentConfig(time_roll=5, freq_mask=6).build(), 0).cuda()
    here, inputs = make_inputs(batch, 2, True), there(batch.to("cuda"), 2, True)
    assert torch.equal(inputs.keys.cpu(), here.keys)
    assert torch.allclose(inputs.log_mel.cpu(), here.log_mel, atol=1e-3)
