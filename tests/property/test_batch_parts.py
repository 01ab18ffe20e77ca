"""Parts of a global batch: put together they are the batch, however many processes and micro-batches there are."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.data.batch_parts import BatchParts
from zoo.data.deal import deal
from zoo.data.item import Key
from zoo.data.loader import Sampler
from zoo.data.sampler import EpochSampler, WeightedDraws
from zoo.group import Group


@st.composite
def samplers(draw: st.DrawFn) -> EpochSampler:
    """Shuffled or drawn by weight, batches even or not."""
    num_clips, batch_size = draw(st.integers(1, 60)), draw(st.integers(1, 20))
    seed, drop_last = draw(st.integers(0, 3)), draw(st.booleans())
    draws = None
    if draw(st.booleans()):
        weights = np.array(draw(st.lists(st.integers(0, 5), min_size=num_clips, max_size=num_clips)), dtype=np.float64)
        weights[draw(st.integers(0, num_clips - 1))] = 1.0
        draws = WeightedDraws(weights, draw(st.integers(1, 60)), seed=seed)
    return EpochSampler(num_clips, batch_size, seed, drop_last=drop_last, draws=draws)


def parts(sampler: Sampler, accumulate: int, world: int, epoch: int) -> list[list[list[Key]]]:
    """[process][micro-batch]."""
    return [list(BatchParts(sampler, accumulate, Group(rank, world)).batches(epoch)) for rank in range(world)]


@settings(max_examples=200, deadline=None)
@given(samplers(), st.integers(1, 4), st.integers(1, 4), st.integers(0, 2))
def test_the_parts_are_the_batch(sampler: EpochSampler, accumulate: int, world: int, epoch: int) -> None:
    whole = list(sampler.batches(epoch))
    if min(map(len, whole)) < accumulate * world:
        with pytest.raises(AssertionError):
            parts(sampler, accumulate, world, epoch)
        return
    found = parts(sampler, accumulate, world, epoch)
    for rank in range(world):
        one = BatchParts(sampler, accumulate, Group(rank, world))
        assert one.num_clips == sampler.num_clips
        assert one.num_batches() == len(found[rank]) == accumulate * len(whole)
        # Any tail, also from within a batch.
        for start in range(one.num_batches() + 1):
            assert list(one.batches(epoch, start)) == found[rank][start:]
    for step, batch in enumerate(whole):
        of_step = [found[rank][step * accumulate : (step + 1) * accumulate] for rank in range(world)]
        rounds = [of_step[rank][turn] for turn in range(accumulate) for rank in range(world)]
        assert list(itertools.chain(*rounds)) == batch
        sizes = [len(part) for part in rounds]
        assert max(sizes) - min(sizes) <= 1
        of_process = [sum(map(len, micro)) for micro in of_step]
        assert max(of_process) - min(of_process) <= 1


@settings(deadline=None)
@given(samplers(), st.integers(0, 2))
def test_one_process_without_accumulation_gets_the_batches(sampler: EpochSampler, epoch: int) -> None:
    assert list(BatchParts(sampler).batches(epoch)) == list(sampler.batches(epoch))
    assert BatchParts(sampler).num_batches() == sampler.num_batches()


@given(st.lists(st.integers(1, 1000), max_size=50), st.integers(1, 8))
def test_every_batch_is_dealt_once_and_evenly(costs: list[int], world: int) -> None:
    dealt = deal(costs, world)
    assert sorted(itertools.chain(*dealt)) == list(range(len(costs)))
    assert all(mine == sorted(mine) for mine in dealt)
    loads = [sum(costs[number] for number in mine) for mine in dealt]
    assert max(loads) - min(loads) <= max(costs, default=0)
    if len(set(costs)) == 1:
        counts = [len(mine) for mine in dealt]
        assert max(counts) - min(counts) <= 1


def test_dealing() -> None:
    assert deal([5, 5, 5, 5, 5], 2) == [[0, 2, 4], [1, 3]]
    assert deal([9, 3, 3, 3], 2) == [[0], [1, 2, 3]]
    assert deal([1, 9], 3) == [[1], [0], []]
