"""Clips drawn by weight: the official numbers, chances that match the weights, and repeats that are counted."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from zoo.data.item import Key
from zoo.data.sampler import EpochSampler, WeightedDraws, count_repeats
from zoo.data.sampling import BalancedConfig, SamplingConfig, balanced_weights, check_weights, read_weights
from zoo.errors import DataError

PLACES = [(0,), (0, 1), (1, 2), (), (0, 2), (0,)]


@pytest.mark.parametrize("offset", [0.01, 100.0, 0.0])
def test_balanced_weights_are_those_of_released_code(offset: float) -> None:
    """AST: 1000 / (count + 0.01), summed over the labels of a clip. PaSST: + 100."""
    counts = Counter(place for places in PLACES for place in places)
    expected = [sum(1000 / (counts[place] + offset) for place in places) for places in PLACES]
    assert balanced_weights(PLACES, 5, offset).tolist() == expected


def test_no_clips_and_no_labels() -> None:
    assert balanced_weights([(), ()], 3).tolist() == [0, 0]
    with pytest.raises(DataError, match=r"meta\.csv: every clip weighs 0 - expected some to draw"):
        check_weights(np.zeros(2), 2, True, "meta.csv")
    check_weights(np.array([0.0, 1.0]), 5, True, "meta.csv")
    with pytest.raises(DataError, match=r"clips_per_epoch: 2 of 1 clips that can be drawn, without replacement"):
        check_weights(np.array([0.0, 1.0]), 2, False, "meta.csv")


def chi_square(found: np.ndarray, expected: np.ndarray) -> float:
    return float(((found - expected) ** 2 / expected).sum())


def test_the_chances_are_the_weights() -> None:
    weights = np.array([0.0, 1.0, 2.0, 0.0, 0.5, 96.5, 0.0])
    found = np.zeros(7)
    for seed in range(5):
        draws = WeightedDraws(weights, 1000, seed=seed)
        for epoch in range(40):
            found += np.bincount(draws.indices(epoch), minlength=7)
    assert found[[0, 3, 6]].tolist() == [0, 0, 0]
    used = weights > 0
    assert chi_square(found[used], weights[used] / 100 * 200_000) < 16.3  # 3 degrees of freedom: 1 in 1000


def test_draws_are_independent_of_one_another() -> None:
    """Pairs of neighbours come as often as their chances say."""
    draws = WeightedDraws(np.array([1.0, 2.0, 1.0]), 40_000)
    order = draws.indices(0)
    pairs = np.bincount(order[:-1] * 3 + order[1:], minlength=9)
    share = np.array([0.25, 0.5, 0.25])
    assert chi_square(pairs, np.outer(share, share).ravel() * 39_999) < 26.1  # 8 degrees of freedom


def slow_without_replacement(weights: list[float], num_draws: int, rng: np.random.Generator) -> list[int]:
    left = dict(enumerate(weights))
    chosen = []
    for _ in range(num_draws):
        total = sum(left.values())
        one = int(rng.choice(list(left), p=[weight / total for weight in left.values()]))
        chosen.append(one)
        del left[one]
    return chosen


def test_without_replacement() -> None:
    """No clip twice; each is in as often as when they are drawn one after the other; at every place alike."""
    weights, rng = [1.0, 2.0, 0.0, 4.0, 8.0], np.random.default_rng(0)
    draws, found, first = WeightedDraws(np.array(weights), 2, replacement=False), np.zeros(5), np.zeros(5)
    for epoch in range(3000):
        order = draws.indices(epoch)
        assert len(set(order.tolist())) == 2
        found[order] += 1
        first[order[0]] += 1
    expected = np.zeros(5)
    for _ in range(3000):
        expected[slow_without_replacement(weights, 2, rng)] += 1
    used = [0, 1, 3, 4]
    assert found[2] == 0
    assert np.abs(found[used] - expected[used]).max() < 4 * (2 * 3000 * 0.25) ** 0.5
    assert np.abs(first[used] - found[used] / 2).max() < 4 * (3000 * 0.25) ** 0.5  # heavy clips do not come first


def test_all_clips_without_replacement() -> None:
    order = WeightedDraws(np.array([1.0, 1e-9, 1e9]), 3, replacement=False).indices(5)
    assert sorted(order.tolist()) == [0, 1, 2]


def test_seed_and_epoch_are_all_it_depends_on() -> None:
    weights = np.random.default_rng(0).random(100)
    for replacement in (True, False):
        orders = [WeightedDraws(weights, 50, replacement, s).indices(e).tolist() for s in range(3) for e in range(3)]
        assert len({tuple(order) for order in orders}) == 9
        assert WeightedDraws(weights, 50, replacement, 1).indices(2).tolist() == orders[5]
    # Pinned: another machine, another version of numpy, the same clips.
    weights = np.array([1.0, 2.0, 3.0, 4.0])
    assert WeightedDraws(weights, 8).indices(0).tolist() == DRAWN
    assert WeightedDraws(weights, 3, replacement=False).indices(0).tolist() == DRAWN_ONCE


DRAWN = [3, 3, 2, 3, 3, 2, 3, 3]
DRAWN_ONCE = [3, 1, 2]


def test_repeats() -> None:
    assert count_repeats(np.array([5, 2, 5, 5, 2, 0])).tolist() == [0, 0, 1, 2, 1, 0]
    assert count_repeats(np.array([3])).tolist() == [0]


def test_batches_of_drawn_clips() -> None:
    """As long as stated; the key of a clip that comes again counts, also across batches and from any start."""
    draws = WeightedDraws(np.array([1.0, 2.0, 0.0]), 11)
    sampler = EpochSampler(3, 4, draws=draws)
    whole = list(sampler.batches(3))
    assert [len(batch) for batch in whole] == [4, 4, 3]
    seen: Counter[int] = Counter()
    for key in (key for batch in whole for key in batch):
        assert key == Key(3, key.index, seen[key.index])
        seen[key.index] += 1
    assert seen.keys() == {0, 1}
    for start in range(4):
        assert list(sampler.batches(3, start)) == whole[start:]
    dropped = EpochSampler(3, 4, drop_last=True, draws=draws)
    assert list(dropped.batches(3)) == whole[:2]
    assert EpochSampler(3, 20, drop_last=True, draws=draws).num_batches() == 1


def test_weights_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "m_weight.csv"
    np.savetxt(path, np.array([0.25, 1e3, 0.0]), delimiter=",")  # as the released script writes them
    assert read_weights(str(path), 3).tolist() == [0.25, 1000.0, 0.0]
    with pytest.raises(DataError, match=r"3 weights - expected 4, one for each clip of data\.train in its order"):
        read_weights(str(path), 4)
    path.write_text("1\n-1\n\nx\nnan\ninf\n")
    with pytest.raises(DataError) as caught:
        read_weights(str(path), 4)
    lines = str(caught.value).split("\n")
    assert [line.removeprefix(f"{path}:")[:8] for line in lines] == ["2: '-1' ", "4: 'x' -", "5: 'nan'", "6: 'inf'"]
    with pytest.raises(DataError, match=r"No such file or directory - expected a weight a line"):
        read_weights(str(tmp_path / "none.csv"), 4)
    path.write_bytes(b"\xff\n")
    with pytest.raises(DataError, match="not UTF-8"):
        read_weights(str(path), 1)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("balanced", BalancedConfig()),
        ({"kind": "balanced", "offset": 100}, BalancedConfig(offset=100.0)),
        ({"kind": "balanced", "clips_per_epoch": 5, "replacement": False}, None),
    ],
)
def test_forms(value: Any, expected: Any) -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(SamplingConfig)
    found = adapter.validate_python(value)
    assert expected is None or found == expected
    assert adapter.validate_json(found.model_dump_json()) == found
    assert found.clips_in_epoch(7) == (found.clips_per_epoch or 7)


@pytest.mark.parametrize("value", ["random", {"kind": "weighted"}, {"kind": "shuffle", "offset": 1}, 3, {"offset": 1}])
def test_refused(value: Any) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(SamplingConfig).validate_python(value)
