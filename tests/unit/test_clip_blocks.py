"""Batches in blocks: every window once, units never cut, and done where it says so."""

import numpy as np
import pytest

from zoo.data.clip_blocks import BlockSampler


@pytest.mark.parametrize("seed", range(12))
def test_every_window_once_and_units_done_in_order(seed: int) -> None:
    rng = np.random.default_rng(seed)
    units = np.repeat(np.arange(20), rng.integers(1, 9, 20))
    lengths = rng.integers(1, 50, len(units))
    at_once = int(rng.integers(1, 30))
    sampler = BlockSampler(units, lengths, batch_size=3, usual=40, at_once=at_once)
    begun: set[int] = set()
    seen: list[int] = []
    in_block = 0
    batches = list(sampler.batches(0))
    assert len(batches) == sampler.num_batches()
    for number, keys in enumerate(batches):
        seen += [key.index for key in keys]
        begun |= {int(units[key.index]) for key in keys}
        in_block += len(keys)
        if sampler.ends_block(number):
            rows = [row for row in range(len(units)) if units[row] in begun]
            assert sorted(seen) == rows == list(range(len(rows)))  # all of what has begun, and none behind it
            assert in_block <= at_once or len({units[row] for row in seen[-in_block:]}) == 1
            in_block = 0
    assert sampler.ends_block(len(batches) - 1)
    assert sorted(seen) == list(range(len(units)))
    tail = list(sampler.batches(0, 4))
    assert [[key.index for key in keys] for keys in tail] == [[key.index for key in keys] for keys in batches[4:]]


def test_one_unit_of_many_windows_is_a_block() -> None:
    sampler = BlockSampler(np.array([0, 1, 1, 1, 1, 2]), np.ones(6, dtype=int), 1, 1, at_once=2)
    ends = [number for number in range(sampler.num_batches()) if sampler.ends_block(number)]
    sizes = np.diff([-1, *ends])
    assert sampler.num_clips == 6
    assert len(ends) == len(sizes) == 3
