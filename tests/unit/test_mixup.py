"""The arithmetic of mixing, against loops in numpy: waveforms, log-mels, labels and lengths."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from zoo.audio.augment.mixup import mix_log_mels, mix_targets, mix_waveforms
from zoo.objectives.classification import binary_cross_entropy, cross_entropy

CLIPS = 5
ROW = torch.tensor([3, 0, 4])
SHARE = torch.tensor([0.7, 0.1, 1.0])
LENGTHS = torch.tensor([9, 12, 1, 4, 7, 6, 12, 3])


def _rows(*shape: int) -> Tensor:
    """(8, *shape, 12) of noise and 0 behind the real places of each row."""
    values = torch.randn(CLIPS + 3, *shape, 12) + 0.3
    real = torch.arange(12)[None] < LENGTHS[:, None]
    return values * real.view(CLIPS + 3, *([1] * len(shape)), 12)


def _slow_waveform(first: np.ndarray, second: np.ndarray, share: float, length: str) -> np.ndarray:
    """Of two clips without padding."""
    first, second = first - first.mean(), second - second.mean()
    size = len(first) if length == "first" else max(len(first), len(second))
    mixed = np.zeros(size)
    for i in range(size):
        mixed[i] += share * first[i] if i < len(first) else 0
        mixed[i] += (1 - share) * second[i] if i < len(second) else 0
    return mixed - mixed.mean()


@pytest.mark.parametrize("length", ["longer", "first"])
def test_waveforms(length: Any) -> None:
    waveform = _rows()
    found, num_samples = mix_waveforms(waveform, LENGTHS, ROW, SHARE, length)
    assert found.shape == (CLIPS, 12)
    for clip in range(CLIPS):
        expected = waveform[clip, : LENGTHS[clip]].numpy()
        for place, row in enumerate(ROW.tolist()):
            if row == clip:
                partner = waveform[CLIPS + place, : LENGTHS[CLIPS + place]].numpy()
                expected = _slow_waveform(expected.astype(float), partner, float(SHARE[place]), length)
        assert int(num_samples[clip]) == len(expected)
        np.testing.assert_allclose(found[clip, : len(expected)].numpy(), expected, atol=1e-6)
        assert not found[clip, len(expected) :].any()
    unmixed = torch.tensor([1, 2])
    assert torch.equal(found[unmixed], waveform[unmixed])  # not even centred
    assert num_samples.tolist() == ([12, 12, 1, 6, 7] if length == "longer" else [9, 12, 1, 4, 7])


@pytest.mark.parametrize("length", ["longer", "first"])
def test_log_mels(length: Any) -> None:
    """Where a clip has ended it is silent; behind both, padding is as it was."""
    pad, silence = 0.47, torch.tensor([[-1.0], [-2.0]])
    real = (torch.arange(12)[None] < LENGTHS[:, None])[:, None]
    log_mel = _rows(2).where(real, pad)
    found, num_frames = mix_log_mels(log_mel, LENGTHS, ROW, SHARE, length, silence)
    assert num_frames is not None
    expected, lengths = log_mel[:CLIPS].clone(), LENGTHS[:CLIPS].clone()
    for place, clip in enumerate(ROW.tolist()):
        share, other, theirs = float(SHARE[place]), CLIPS + place, int(LENGTHS[CLIPS + place])
        own = int(LENGTHS[clip])
        lengths[clip] = own if length == "first" else max(own, theirs)
        for frame in range(int(lengths[clip])):
            for band in range(2):
                one = log_mel[clip, band, frame] if frame < own else silence[band, 0]
                two = log_mel[other, band, frame] if frame < theirs else silence[band, 0]
                expected[clip, band, frame] = share * one + (1 - share) * two
    torch.testing.assert_close(found, expected)
    assert torch.equal(num_frames, lengths)


def test_log_mels_whose_padding_is_seen() -> None:
    log_mel = _rows(3)
    found, num_frames = mix_log_mels(log_mel, None, ROW, SHARE, "longer", torch.full((3, 1), 99.0))
    assert num_frames is None
    torch.testing.assert_close(found[3], 0.7 * log_mel[3] + 0.3 * log_mel[5])
    assert torch.equal(found[1], log_mel[1])


def test_targets_share_and_a_class_of_both_keeps_its_one() -> None:
    target = torch.tensor([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 1, 1], [1, 0, 0], [0, 1, 0], [1, 0, 0], [0, 0, 1.0]])
    found = mix_targets(target, ROW, SHARE)
    assert found is not None
    torch.testing.assert_close(found[3], torch.tensor([0, 1, 0.7]))
    assert torch.equal(found[[0, 1, 2, 4]], target[[0, 1, 2, 4]])  # clip 0 and its partner have the same class
    assert mix_targets(None, ROW, SHARE) is None


def test_nothing_to_mix() -> None:
    none = torch.zeros(0).long()
    waveform = _rows()
    found, num_samples = mix_waveforms(waveform, LENGTHS, none, torch.zeros(0), "longer")
    assert torch.equal(found, waveform)
    assert torch.equal(num_samples, LENGTHS)
    log_mel = _rows(2)
    assert torch.equal(mix_log_mels(log_mel, LENGTHS, none, torch.zeros(0), "first", torch.zeros(2, 1))[0], log_mel)


@pytest.mark.parametrize("length", ["longer", "first"])
def test_silence_and_one_sample(length: Any) -> None:
    waveform = torch.zeros(4, 6)
    waveform[1, 0] = 0.5
    found, num_samples = mix_waveforms(
        waveform, torch.tensor([6, 1, 1, 6]), torch.tensor([0, 1]), torch.tensor([0.4, 0.4]), length
    )
    assert not found.any()  # a lone sample is its own mean
    assert num_samples.tolist() == ([6, 6] if length == "longer" else [6, 1])


def test_a_mixed_single_label_clip_counts_with_both_labels() -> None:
    """Not by its argmax, as in released AST, nor with its shares cut to whole numbers."""
    logits = torch.randn(1, 5)
    one, two = F.one_hot(torch.tensor([4, 2]), 5).float()
    mixed = mix_targets(torch.stack([one, two]), torch.tensor([0]), torch.tensor([0.3]))
    assert mixed is not None
    log_share = logits.log_softmax(1)[0]
    assert float(cross_entropy(logits, mixed)) == pytest.approx(float(-0.3 * log_share[4] - 0.7 * log_share[2]))
    for function in (cross_entropy, binary_cross_entropy):
        parts = 0.3 * function(logits, one[None]) + 0.7 * function(logits, two[None])
        torch.testing.assert_close(function(logits, mixed), parts)
