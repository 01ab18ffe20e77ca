"""Augmentation: the whole stated range, uniformly; each clip from its own key; padding as it was."""

from typing import Any

import pytest
import torch
from torch import Tensor

from zoo.audio.augment import Augment, AugmentConfig
from zoo.draws import clip_keys
from zoo.errors import ShapeError


def _augment(**settings: int) -> Augment:
    return AugmentConfig(**settings).build()


def _numbered(batch: int, n_mels: int = 8, n_frames: int = 20) -> Tensor:
    """(B, M, T); every value tells its band and frame, and none is 0."""
    cell = torch.arange(n_mels)[:, None] * 100.0 + torch.arange(n_frames)[None] + 1.0
    return cell.expand(batch, n_mels, n_frames).clone()


def _keys(batch: int, epoch: int = 0) -> Tensor:
    return clip_keys(0, epoch, torch.arange(batch))


def _lengths(batch: int, n_frames: int = 20) -> Tensor:
    """0, 1, ... n_frames real frames, over and over."""
    return torch.arange(batch) % (n_frames + 1)


ALL = {"time_roll": 5, "freq_mask": 3, "time_mask": 6}


def test_off_by_default() -> None:
    log_mel = _numbered(4)
    assert AugmentConfig().is_off
    assert not AugmentConfig(time_mask=1).is_off
    assert torch.equal(_augment()(log_mel, None, _keys(4)), log_mel)


@pytest.mark.parametrize("settings", [ALL, {"time_roll": 5}, {"freq_mask": 3}, {"time_mask": 6}])
def test_padding_is_never_touched(settings: dict[str, int]) -> None:
    log_mel, num_frames = _numbered(210), _lengths(210)
    found = _augment(**settings)(log_mel, num_frames, _keys(210))
    is_padded = (torch.arange(20)[None] >= num_frames[:, None])[:, None].expand_as(log_mel)
    assert torch.equal(found[is_padded], log_mel[is_padded])
    assert not torch.equal(found, log_mel)


def test_padding_has_no_influence_on_a_clip() -> None:
    num_frames = _lengths(42)
    wide = torch.cat([_numbered(42), torch.full((42, 8, 9), torch.nan)], dim=2)
    found = _augment(**ALL)(wide, num_frames, _keys(42))
    assert torch.equal(found[:, :, :20], _augment(**ALL)(_numbered(42), num_frames, _keys(42)))


def test_every_clip_from_its_own_key() -> None:
    log_mel, num_frames, keys = _numbered(30), _lengths(30), _keys(30)
    together = _augment(**ALL)(log_mel, num_frames, keys)
    for clip in range(30):
        one = slice(clip, clip + 1)
        assert torch.equal(_augment(**ALL)(log_mel[one], num_frames[one], keys[one]), together[one])
    torch.manual_seed(99)
    assert torch.equal(_augment(**ALL)(log_mel, num_frames, keys), together)
    assert not torch.equal(_augment(**ALL)(log_mel, num_frames, _keys(30, epoch=1)), together)


def test_the_input_stays_as_it_was() -> None:
    log_mel = _numbered(5)
    _augment(**ALL)(log_mel, None, _keys(5))
    assert torch.equal(log_mel, _numbered(5))


def test_without_lengths_every_frame_is_real() -> None:
    everything = torch.full((30,), 20)
    found = _augment(**ALL)(_numbered(30), None, _keys(30))
    assert torch.equal(found, _augment(**ALL)(_numbered(30), everything, _keys(30)))


def test_rolls_are_circular_and_uniform_within_the_clip() -> None:
    clips, real = 7_000, 13
    found = _augment(time_roll=3)(_numbered(clips, n_mels=1), torch.full((clips,), real), _keys(clips))[:, 0]
    shift = (1 - found[:, 0]).long() % real
    for row, by in zip(found[:50], shift[:50].tolist(), strict=True):
        expected = torch.cat([torch.roll(torch.arange(1.0, real + 1), by), torch.arange(real + 1.0, 21)])
        assert torch.equal(row, expected)
    counts = torch.bincount((shift + 3) % real, minlength=7)
    assert counts.shape[0] == 7  # -3 to 3
    assert ((counts - 1_000.0) ** 2 / 1_000).sum() < 28  # chi-square, 6 degrees of freedom, one in ten thousand


def test_a_roll_longer_than_the_clip() -> None:
    found = _augment(time_roll=50)(_numbered(40, n_mels=1), torch.full((40,), 3), _keys(40))[:, 0]
    assert torch.equal(found[:, :3].sort(dim=1).values, torch.tensor([1.0, 2.0, 3.0]).expand(40, 3))
    assert len({tuple(row.tolist()) for row in found}) == 3


def _stretches(is_hidden: Tensor) -> tuple[Tensor, Tensor]:
    """(B, indices) to width and first index of the one stretch in every row."""
    width = is_hidden.sum(1)
    first = is_hidden.int().argmax(1)
    index = torch.arange(is_hidden.shape[1])[None]
    assert torch.equal(is_hidden, (index >= first[:, None]) & (index < (first + width)[:, None]))
    return width, first


@pytest.mark.parametrize(("setting", "axis", "size"), [("freq_mask", 1, 8), ("time_mask", 2, 20)])
def test_masks_have_every_width_and_place_alike(setting: str, axis: int, size: int) -> None:
    clips = 8_000
    found = _augment(**{setting: 3})(_numbered(clips), None, _keys(clips))
    is_hidden = found == 0
    assert torch.equal(is_hidden.any(3 - axis), is_hidden.all(3 - axis))  # the whole other axis
    width, first = _stretches(is_hidden.any(3 - axis))
    widths = torch.bincount(width, minlength=4)
    assert widths.shape[0] == 4  # 0 to 3
    assert ((widths - 2_000.0) ** 2 / 2_000).sum() < 21  # 3 degrees of freedom, one in ten thousand
    places = torch.bincount(first[width == 2])
    assert places.shape[0] == size - 1  # the last one ends on the edge
    expected = int((width == 2).sum()) / (size - 1)
    assert ((places - expected) ** 2 / expected).sum() < 2.7 * size + 15


def test_a_masked_value_is_the_mean_after_normalising() -> None:
    """Unlike the released code, which writes 0 before normalising."""
    found = _augment(freq_mask=3, time_mask=6)(_numbered(50), None, _keys(50))
    changed = found[found != _numbered(50)]
    assert changed.numel() > 0
    assert (changed == 0).all()


def test_a_time_mask_leaves_a_frame_of_every_clip() -> None:
    num_frames = _lengths(2_100)
    found = _augment(time_mask=100)(_numbered(2_100), num_frames, _keys(2_100))
    hidden = (found[:, 0] == 0).sum(1)
    assert (hidden <= (num_frames - 1).clamp(min=0)).all()
    for count in (2, 5, 20):
        assert hidden[num_frames == count].max() == count - 1


def test_a_frequency_mask_that_could_hide_everything() -> None:
    with pytest.raises(ShapeError, match=r"augment.freq_mask: 8 - expected less than the 8 mel bands"):
        _augment(freq_mask=8)(_numbered(2), None, _keys(2))


@pytest.mark.parametrize("wrong", [{"time_roll": -1}, {"freq_mask": 1.5}, {"time_mask": 10**6}, {"time_warp": 1}])
def test_a_wrong_config_says_so(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        AugmentConfig(**wrong)
