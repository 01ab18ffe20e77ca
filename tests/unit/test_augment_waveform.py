"""Gain, roll and noise: each against a slow obvious version, uniform over what is stated, padding as it was."""

import math
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from zoo.audio.augment import Augment, AugmentConfig
from zoo.draws import clip_keys, uniform


def _augment(**settings: Any) -> Augment:
    return AugmentConfig(**settings).build()


def _keys(batch: int, epoch: int = 0) -> Tensor:
    return clip_keys(0, epoch, torch.arange(batch))


def _waveforms(batch: int, width: int = 40) -> tuple[Tensor, Tensor]:
    """(batch, width) of noise and 0 behind the real samples: 0, 1, ... width of them, over and over."""
    num_samples = torch.arange(batch) % (width + 1)
    waveform = torch.randn(batch, width, generator=torch.Generator().manual_seed(1))
    return waveform.where(torch.arange(width)[None] < num_samples[:, None], 0.0), num_samples


def _chi_square(counts: Tensor) -> float:
    expected = counts.sum() / counts.shape[0]
    return float(((counts - expected) ** 2 / expected).sum())


def test_gain_is_in_whole_decibels_all_alike() -> None:
    """PaSST's: randint(14) - 7."""
    clips = 7_000
    found = _augment(gain_db=(-7, 6)).vary_waveforms(torch.ones(clips, 3), torch.full((clips,), 3), _keys(clips))
    gain_db = 20 * found.double().log10()
    assert torch.equal(found, found[:, :1].expand(clips, 3))
    assert torch.allclose(gain_db, gain_db.round(), atol=1e-5)
    counts = torch.bincount((gain_db[:, 0].round() + 7).long())
    assert counts.shape[0] == 14
    assert _chi_square(counts) < 41  # 13 degrees of freedom, one in ten thousand
    assert float(_augment(gain_db=(6, 6)).vary_waveforms(torch.ones(1, 1), torch.ones(1).long(), _keys(1))) == (
        pytest.approx(10**0.3)
    )


def test_a_waveform_rolls_within_its_own_length() -> None:
    waveform, num_samples = _waveforms(410)
    found = _augment(waveform_roll=7).vary_waveforms(waveform, num_samples, _keys(410))
    shifts = uniform(_keys(410), "waveform-roll", 1)[:, 0]
    for row in range(410):
        length, shift = int(num_samples[row]), math.floor(float(shifts[row]) * 15) - 7
        for sample in range(40):
            source = (sample - shift) % length if sample < length else sample
            assert found[row, sample] == waveform[row, source]


def test_rolls_are_uniform() -> None:
    clips = 11_000
    waveform = torch.arange(100.0).expand(clips, 100)
    found = _augment(waveform_roll=5).vary_waveforms(waveform, torch.full((clips,), 100), _keys(clips))
    counts = torch.bincount((5 - found[:, 0]).long() % 100, minlength=11)
    assert counts.shape[0] == 11
    assert _chi_square(counts) < 36  # 10 degrees of freedom


def test_noise_has_the_stated_power_and_is_white() -> None:
    clips, width = 300, 4_000
    waveform = 0.1 * torch.randn(clips, width) * torch.logspace(-4, 0, clips)[:, None]
    augment, num_samples = _augment(noise_snr_db=(5.0, 25.0)), torch.full((clips,), width)
    noise = (augment.add_noise(waveform, num_samples, _keys(clips)) - waveform).double()
    snr_db = 10 * (waveform.double().square().mean(1) / noise.square().mean(1)).log10()
    wanted = 5 + 20 * uniform(_keys(clips), "white-noise-level", 1)[:, 0]
    assert (snr_db - wanted).abs().max() < 0.5  # of 4,000 samples: 0.1 dB is one deviation
    assert _chi_square(torch.histc(snr_db, 5, 5, 25)) < 24
    scaled = (noise / noise.square().mean(1, keepdim=True).sqrt()).flatten()
    assert abs(float(scaled.mean())) < 0.005
    for lag in (1, 2, 3):
        assert abs(float((scaled[lag:] * scaled[:-lag]).mean())) < 0.005
    assert float(scaled.pow(4).mean()) == pytest.approx(3, abs=0.03)  # as of a Gaussian
    assert (scaled[0::2] * scaled[1::2]).mean().abs() < 0.006  # the two of one pair


def test_noise_against_a_slow_version() -> None:
    waveform, num_samples = _waveforms(82)
    keys = _keys(82)
    found = _augment(noise_snr_db=(-3.0, 12.0)).add_noise(waveform, num_samples, keys)
    for row in range(82):
        length = int(num_samples[row])
        level = float(uniform(keys[[row]], "white-noise-level", 1))
        power = sum(float(x) ** 2 for x in waveform[row, :length]) / max(length, 1)
        amplitude = math.sqrt(power) * 10 ** (-(-3 + 15 * level) / 20)
        numbers = uniform(keys[[row]], "white-noise", 40)[0].tolist()
        for sample in range(40):
            u, v = numbers[sample // 2 * 2 : sample // 2 * 2 + 2]
            turn = math.sin if sample % 2 else math.cos
            noise = amplitude * math.sqrt(-2 * math.log(1 - u)) * turn(2 * math.pi * v) if sample < length else 0
            assert float(found[row, sample]) == pytest.approx(float(waveform[row, sample]) + noise, abs=1e-5)


@pytest.mark.parametrize("settings", [{"gain_db": (-7, 6)}, {"waveform_roll": 9}, {"noise_snr_db": (0.0, 9.0)}])
def test_silence_one_sample_and_nothing(settings: dict[str, Any]) -> None:
    augment = _augment(**settings)

    def all_of_it(waveform: Tensor, num_samples: Tensor) -> Tensor:
        keys = _keys(waveform.shape[0])
        return augment.add_noise(augment.vary_waveforms(waveform, num_samples, keys), num_samples, keys)

    for width in (1, 2, 5):
        silent = torch.zeros(3, width)
        assert torch.equal(all_of_it(silent, torch.tensor([width, 1, 0])), silent)
    loud = all_of_it(torch.ones(50, 1), torch.ones(50).long())
    assert loud.isfinite().all()
    assert all_of_it(torch.zeros(0, 4), torch.zeros(0).long()).shape == (0, 4)


def test_padding_stays_and_has_no_influence() -> None:
    waveform, num_samples = _waveforms(82)
    keys, augment = _keys(82), _augment(gain_db=(-3, 3), waveform_roll=4, noise_snr_db=(3.0, 9.0))
    varied = augment.vary_waveforms(waveform, num_samples, keys)
    found = augment.add_noise(varied, num_samples, keys)
    assert not found[torch.arange(40)[None] >= num_samples[:, None]].any()
    wide = torch.cat((waveform, torch.zeros(82, 7)), 1)
    again = augment.add_noise(augment.vary_waveforms(wide, num_samples, keys), num_samples, keys)
    torch.testing.assert_close(again[:, :40], found, rtol=0, atol=1e-6)


def test_every_clip_from_its_own_key() -> None:
    waveform, num_samples = _waveforms(41)
    keys, augment = _keys(41), _augment(gain_db=(-3, 3), waveform_roll=4)
    together = augment.vary_waveforms(waveform, num_samples, keys)
    for clip in range(41):
        one = slice(clip, clip + 1)
        assert torch.equal(augment.vary_waveforms(waveform[one], num_samples[one], keys[one]), together[one])
    assert not torch.equal(augment.vary_waveforms(waveform, num_samples, _keys(41, 1)), together)


# AST's noise on log-mels


def test_log_mel_noise_only_adds_and_is_uniform() -> None:
    clips = 2_000
    found = _augment(log_mel_noise=0.1)(torch.zeros(clips, 4, 25), None, _keys(clips))
    level = 0.1 * uniform(_keys(clips), "log-mel-noise-level", 1)[:, :, None]
    share = (found / level).flatten()
    assert 0 <= float(share.min()) <= float(share.max()) < 1 + 1e-6
    assert _chi_square(torch.histc(share, 20, 0, 1)) < 50  # 19 degrees of freedom
    assert _chi_square(torch.histc(level, 20, 0, 0.1)) < 50


def test_log_mel_noise_does_not_depend_on_the_width_and_stays_off_padding() -> None:
    num_frames = torch.tensor([0, 3, 12, 20])
    narrow = _augment(log_mel_noise=0.5)(torch.ones(4, 6, 20), num_frames, _keys(4))
    wide = _augment(log_mel_noise=0.5)(torch.ones(4, 6, 33), num_frames, _keys(4))
    assert torch.equal(wide[:, :, :20], narrow)
    is_real = (torch.arange(33)[None] < num_frames[:, None])[:, None].expand(4, 6, 33)
    assert (wide[~is_real] == 1).all()
    assert (wide[is_real] > 1).float().mean() > 0.99


def test_masks_come_after_noise_and_hold_the_mean() -> None:
    found = _augment(log_mel_noise=0.5, freq_mask=5)(torch.ones(40, 8, 20), None, _keys(40))
    assert (found == 0).any()
    assert (found[found != 0] >= 1).all()


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"gain_db": (3, -3)}, "gain_db: found .3, -3. - expected .lowest, highest."),
        ({"noise_snr_db": (30.0, 10.0)}, "noise_snr_db: found"),
        ({"gain_db": (0.5, 1)}, "gain_db"),
        ({"gain_db": (-101, 1)}, "gain_db"),
        ({"waveform_roll": -1}, "waveform_roll"),
        ({"log_mel_noise": -0.1}, "log_mel_noise"),
        ({"waveform_mixup": {"probability": 0.0, "alpha": 1.0}}, "probability"),
        ({"waveform_mixup": {"probability": 1.5, "alpha": 1.0}}, "probability"),
        ({"waveform_mixup": {"probability": 1.0}}, "alpha"),
        ({"log_mel_mixup": {"probability": 1.0, "alpha": 0.0}}, "alpha"),
        ({"spec_augment": "released"}, "spec_augment"),
    ],
)
def test_a_wrong_config_says_so(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        AugmentConfig.model_validate(wrong)


def test_what_is_on_and_what_needs_a_waveform() -> None:
    assert AugmentConfig().is_off
    mixup = {"probability": 0.5, "alpha": 1.0}
    for name, value in {
        "gain_db": [-1, 1], "waveform_roll": 1, "noise_snr_db": [0.0, 9.0], "waveform_mixup": mixup,
        "time_roll": 1, "log_mel_noise": 0.1, "freq_mask": 1, "time_mask": 1, "log_mel_mixup": mixup,
    }.items():  # fmt: skip
        config = AugmentConfig.model_validate({name: value})
        assert not config.is_off, name
        assert config.needs_waveform == (name in ("gain_db", "waveform_roll", "noise_snr_db", "waveform_mixup")), name
        assert config.mixes == name.endswith("mixup"), name
