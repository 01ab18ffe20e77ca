"""Draws depend on (seed, epoch, clip, purpose) alone; pinned, because changing them changes every recipe's result."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.draws import clip_keys, combine, random_keys, stable_id, uniform

MASK = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15


def _mix(value: int) -> int:
    """SplitMix64's finaliser in Python's own integers."""
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & MASK
    return value ^ (value >> 31)


def _key(seed: int, epoch: int, clip: int) -> int:
    return _mix(((clip ^ combine(seed, epoch)) + GOLDEN) & MASK)


def _numbers(key: int, purpose: str, count: int) -> list[float]:
    start = _mix(key ^ stable_id(purpose))
    return [(_mix((start + i * GOLDEN) & MASK) >> 40) / 2**24 for i in range(1, count + 1)]


def test_the_mix_is_splitmix64() -> None:
    """The first numbers of the published generator from seed 1234567."""
    assert [_mix((1234567 + i * GOLDEN) & MASK) for i in (1, 2)] == [6457827717110365317, 3203168211198807973]


def test_known_values() -> None:
    assert stable_id("ESC-50/1-100032-A-0.wav") == 5646529660369411379
    assert stable_id("crop") == 198935821518842651
    assert stable_id("é\udcff") == 6689446129260913139  # a file name that is not UTF-8
    assert (combine(0), combine(1, 2, 3), combine(-1)) == (
        8147104208329303767,
        7510213797696614745,
        8245168133484221968,
    )
    keys = clip_keys(7, 3, torch.tensor([0, 1, 2**62]))
    assert keys.tolist() == [-7567177324694992467, 3645281727412609342, -3551242667116598187]
    assert (uniform(keys, "crop", 3) * 2**24).long().tolist() == [
        [5884240, 6519926, 10141440],
        [4507545, 6791317, 7519241],
        [7489114, 5744257, 5316333],
    ]


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**63 - 1), st.integers(-1, 10**6), st.integers(0, 2**63 - 1), st.text(max_size=20))
def test_it_is_the_obvious_formula(seed: int, epoch: int, clip: int, purpose: str) -> None:
    keys = clip_keys(seed, epoch, torch.tensor([clip]))
    assert keys.item() & MASK == _key(seed, epoch, clip)
    assert uniform(keys, purpose, 4)[0].tolist() == _numbers(_key(seed, epoch, clip), purpose, 4)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(), min_size=1, max_size=4))
def test_combine_is_a_63_bit_number(numbers: list[int]) -> None:
    assert 0 <= combine(*numbers) < 2**63
    assert combine(*numbers) == combine(*numbers)


def test_combine_tells_order_and_count_apart() -> None:
    assert len({combine(1, 2), combine(2, 1), combine(1), combine(2), combine(1, 2, 0), combine(0, 1, 2)}) == 6


def test_a_clip_draws_the_same_whatever_is_around_it() -> None:
    ids = torch.arange(100)
    batch = uniform(clip_keys(0, 5, ids), "crop", 7)
    for clip in (0, 13, 99):
        torch.testing.assert_close(uniform(clip_keys(0, 5, ids[[clip]]), "crop", 7)[0], batch[clip], rtol=0, atol=0)
    torch.manual_seed(123)
    torch.testing.assert_close(uniform(clip_keys(0, 5, ids.flip(0)), "crop", 7).flip(0), batch, rtol=0, atol=0)


@settings(deadline=None)
@given(st.integers(0, 40), st.integers(0, 40))
def test_the_first_numbers_do_not_depend_on_how_many_follow(few: int, more: int) -> None:
    keys = clip_keys(1, 1, torch.arange(3))
    few, more = min(few, more), max(few, more)
    assert torch.equal(uniform(keys, "mask", few), uniform(keys, "mask", more)[:, :few])


def test_seed_epoch_clip_and_purpose_all_matter() -> None:
    ids = torch.arange(50)
    draws = [
        uniform(clip_keys(0, 0, ids), "crop", 4),
        uniform(clip_keys(1, 0, ids), "crop", 4),
        uniform(clip_keys(0, 1, ids), "crop", 4),
        uniform(clip_keys(0, 0, ids + 50), "crop", 4),
        uniform(clip_keys(0, 0, ids), "mask", 4),
    ]
    assert torch.stack(draws).unique().numel() > 990  # of 1000 in 2**24


def test_numbers_are_uniform() -> None:
    """Chi-square over 100 cells, over clips and over the numbers of a clip; beyond 160 is one in ten thousand."""
    over_clips = uniform(clip_keys(3, 1, torch.arange(100_000)), "crop", 1)
    within_clip = uniform(clip_keys(3, 1, torch.tensor([5])), "crop", 100_000)
    for numbers in (over_clips, within_clip):
        assert numbers.min() >= 0.0
        assert numbers.max() < 1.0
        counts = torch.histc(numbers.flatten(), bins=100, min=0.0, max=1.0)
        assert 50 < ((counts - 1_000) ** 2 / 1_000).sum() < 160


@pytest.mark.parametrize("other", ["another purpose", "next clip", "next epoch", "next number"])
def test_draws_are_independent(other: str) -> None:
    ids = torch.arange(40_000)
    first = uniform(clip_keys(0, 0, ids), "a", 1)
    second = {
        "another purpose": uniform(clip_keys(0, 0, ids), "b", 1),
        "next clip": uniform(clip_keys(0, 0, ids + 1), "a", 1),
        "next epoch": uniform(clip_keys(0, 1, ids), "a", 1),
        "next number": uniform(clip_keys(0, 0, ids), "a", 2)[:, 1:],
    }[other]
    correlation = torch.corrcoef(torch.cat([first, second], dim=1).double().T)[0, 1]
    assert abs(correlation) < 4 / math.sqrt(len(ids))
    cells = torch.bincount(((first * 8).long() * 8 + (second * 8).long()).flatten(), minlength=64)
    assert ((cells - 625.0) ** 2 / 625.0).sum() < 115  # 63 degrees of freedom: one in ten thousand


def test_random_keys_come_from_torchs_generator() -> None:
    torch.manual_seed(1)
    first = random_keys(4)
    torch.manual_seed(1)
    assert torch.equal(random_keys(4), first)
    assert first.dtype == torch.int64
    assert first.unique().numel() == 4
