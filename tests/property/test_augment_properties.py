"""What no augmentation may do, whatever the settings, lengths and draws."""

from typing import Any

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from zoo.audio.augment import AugmentConfig
from zoo.audio.augment.mixup import mix_log_mels, mix_targets, mix_waveforms
from zoo.data.mixing import draw_share
from zoo.draws import clip_keys

lengths = st.lists(st.integers(0, 24), min_size=1, max_size=5)
shares = st.floats(0, 1, width=32)


def signal(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) + 3


def keys(batch: int, seed: int) -> Tensor:
    return clip_keys(seed, 0, torch.arange(batch))


@settings(max_examples=60, deadline=None)
@given(lengths, st.integers(0, 60), st.tuples(st.integers(-40, 40), st.integers(0, 20)), st.integers(0, 2**62))
def test_gain_and_roll_keep_every_sample_but_for_its_place_and_one_factor(
    real: list[int], reach: int, gain: tuple[int, int], seed: int
) -> None:
    low, high = gain[0], gain[0] + gain[1]
    waveform, num_samples = signal(len(real), 24, seed=0), torch.tensor(real)
    augment = AugmentConfig(gain_db=(low, high), waveform_roll=reach).build()
    found = augment.vary_waveforms(waveform, num_samples, keys(len(real), seed))
    for row, length in enumerate(real):
        factor = float(found[row].abs().sum() / waveform[row].abs().sum())
        assert 10 ** (low / 20) * 0.999 <= factor <= 10 ** (high / 20) * 1.001
        ours, theirs = (one[row, :length].sort().values for one in (found / factor, waveform))
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(found[row, length:] / factor, waveform[row, length:], rtol=1e-4, atol=1e-4)


@settings(max_examples=60, deadline=None)
@given(
    lengths,
    st.integers(0, 7),
    st.integers(0, 40),
    st.sampled_from(["mean", "as_source"]),
    st.integers(0, 2**62),
)
def test_masks_change_nothing_but_what_they_hide(
    real: list[int], freq_mask: int, time_mask: int, form: Any, seed: int
) -> None:
    log_mel, num_frames = signal(len(real), 8, 24, seed=0), torch.tensor(real)
    config = AugmentConfig(freq_mask=freq_mask, time_mask=time_mask, spec_augment=form)
    fill = 0.0 if form == "mean" else 99.0
    found = config.build(99.0)(log_mel, num_frames, keys(len(real), seed))
    hidden = found != log_mel
    assert (found[hidden] == fill).all()
    for row, length in enumerate(real):
        bands, frames = hidden[row].all(1) if length == 24 else hidden[row, :, :length].all(1), hidden[row].all(0)
        assert int(frames[length:].sum()) == 0
        assert length == 0 or int(bands.sum()) <= max(0, freq_mask - (form == "as_source"))
        assert int(frames.sum()) <= max(0, min(time_mask, length) - (form == "as_source"))
        assert length == 0 or int(frames.sum()) < length
        both = bands[:, None] | frames[None, :]
        both[:, length:] = False
        assert length == 0 or torch.equal(hidden[row], both)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 24), st.integers(0, 24), shares, st.sampled_from(["longer", "first"]))
def test_mixed_waveforms(first: int, second: int, share: float, length: Any) -> None:
    waveform, num_samples = signal(2, 24, seed=1), torch.tensor([first, second])
    waveform = waveform.where(torch.arange(24)[None] < num_samples[:, None], 0.0)
    row, shared = torch.tensor([0]), torch.tensor([share])
    mixed, num_mixed = mix_waveforms(waveform, num_samples, row, shared, length)
    assert int(num_mixed) == (first if length == "first" else max(first, second))
    assert not mixed[0, int(num_mixed) :].any()
    assert abs(float(mixed.sum())) < 1e-4
    assert float(mixed.abs().max()) <= 2 * float((waveform - waveform.mean(1, keepdim=True)).abs().max()) + 3.1
    if length == "longer":  # then neither of the two is first
        swapped, _ = mix_waveforms(waveform.flip(0), num_samples.flip(0), row, 1 - shared, length)
        torch.testing.assert_close(mixed, swapped, rtol=0, atol=1e-5)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 12), st.integers(0, 12), shares, st.sampled_from(["longer", "first"]), st.booleans())
def test_mixed_log_mels_lie_between_the_two(first: int, second: int, share: float, length: Any, seen: bool) -> None:
    log_mel, num_frames = signal(2, 3, 12, seed=2), None if seen else torch.tensor([first, second])
    silence = torch.full((3, 1), -1.5)
    mixed, _ = mix_log_mels(log_mel, num_frames, torch.tensor([0]), torch.tensor([share]), length, silence)
    ends = torch.cat((log_mel, silence.expand(1, 3, 12)))
    assert (mixed >= ends.amin(0) - 1e-5).all()
    assert (mixed <= ends.amax(0) + 1e-5).all()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 6), min_size=2, max_size=2), shares)
def test_single_label_targets_go_on_summing_to_one(classes: list[int], share: float) -> None:
    target = torch.eye(7)[classes]
    mixed = mix_targets(target, torch.tensor([0]), torch.tensor([share]))
    assert mixed is not None
    assert 0 <= float(mixed.min()) <= float(mixed.max()) <= 1
    assert abs(float(mixed.sum()) - 1) <= 2**-23
    assert abs(float(mixed[0, classes[0]]) - (1 if classes[0] == classes[1] else share)) <= 2**-23


@settings(max_examples=200, deadline=None)
@given(st.floats(0.01, 1_000), st.integers(0, 2**24 - 1))
def test_a_share_is_one_and_turns_with_its_number(alpha: float, step: int) -> None:
    share = draw_share(alpha, step * 2.0**-24)
    assert 0 <= share <= 1
    mirrored = draw_share(alpha, (2**24 - 1 - step) * 2.0**-24)
    assert abs(share + mirrored - 1) < 1e-6
