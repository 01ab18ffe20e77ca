"""Batches of like lengths: every window once, memory bounded, little padding."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.data.buckets import BucketSampler
from zoo.data.loader import Sampler
from zoo.data.sampler import EpochSampler


def rows(sampler: Sampler, epoch: int = 0, start: int = 0) -> list[list[int]]:
    batches = list(sampler.batches(epoch, start))
    assert all(key.epoch == epoch and key.repeat == 0 for batch in batches for key in batch)
    return [[key.index for key in batch] for batch in batches]


@settings(max_examples=100, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 300), min_size=1, max_size=80),
    batch_size=st.integers(1, 9),
    usual=st.integers(1, 300),
)
def test_any_lengths(lengths: list[int], batch_size: int, usual: int) -> None:
    sampler = BucketSampler(lengths, batch_size, usual)
    batches = rows(sampler)
    assert sorted(row for batch in batches for row in batch) == list(range(len(lengths)))
    assert len(batches) == sampler.num_batches()
    assert sampler.num_clips == len(lengths)
    flat = [lengths[row] for batch in batches for row in batch]
    assert flat == sorted(lengths, reverse=True)
    for batch in batches:
        longest = max(lengths[row] for row in batch)
        assert longest * len(batch) <= batch_size * usual or len(batch) == 1
        assert len(batch) <= 16 * batch_size
    for one in batches[:-1]:  # none could have taken one more
        longest = max(lengths[row] for row in one)
        assert longest * (len(one) + 1) > batch_size * usual or len(one) == 16 * batch_size
    for start in range(len(batches) + 1):
        assert rows(sampler, 7, start) == batches[start:]


def test_equal_clips_stay_in_order() -> None:
    """What evaluation always did with clips of one length."""
    assert rows(BucketSampler([50] * 10, 4, 50)) == rows(EpochSampler(10, 4, shuffle=False))


def test_there_is_less_padding_than_in_the_order_of_the_manifest() -> None:
    lengths = (np.random.default_rng(0).lognormal(0, 0.8, 2_000) * 16_000).astype(int) + 1
    in_order = [lengths[begin : begin + 32] for begin in range(0, 2_000, 32)]
    before = 1 - lengths.sum() / sum(batch.max() * len(batch) for batch in in_order)
    batches = rows(BucketSampler(lengths, 32, 32_000))
    after = 1 - lengths.sum() / sum(lengths[batch].max() * len(batch) for batch in batches)
    assert before > 0.5
    assert after < 0.05
