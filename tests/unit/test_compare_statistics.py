"""The statistics of a comparison, on experiments whose truth is known: rates are as stated, by what 400 of them show.

Models answer each clip rightly or wrongly. What they share is how hard a clip is; their own are an effect of the model
on a clip, an effect of the seed on all clips, and noise. So a difference varies over clips and over seeds.
"""

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch

from zoo.compare.resampling import resampled_metric
from zoo.compare.statistics import (
    Difference,
    holm,
    over_folds,
    over_runs,
    over_seeds,
    percentile_interval,
    resampled_counts,
)
from zoo.evaluate.predictions import Predictions

EXPERIMENTS = 400
TOLERANCE = 3 * math.sqrt(0.05 * 0.95 / EXPERIMENTS)
"""Of a rate of 5 %: three standard errors of a binomial."""
CLIPS = 150


@cache
def _counts(size: int) -> np.ndarray:
    return resampled_counts(np.arange(size), num=500)  # fewer than in earnest: there are thousands of intervals here


def _answers(
    random: np.random.Generator, abilities: list[float], seeds: int, seed_noise: float, shared: np.ndarray | None = None
) -> np.ndarray:
    """(model, seed, clip) Whether each answer is right."""
    hardness = random.normal(size=CLIPS)
    models = []
    for ability in abilities:
        own = 0.5 * random.normal(size=CLIPS) if shared is None else random.normal(size=shared.max() + 1)[shared]
        effect = seed_noise * random.normal(size=(seeds, 1))
        models.append(ability + effect + hardness + own + random.normal(size=(seeds, CLIPS)) > 0)
    return np.array(models, dtype=np.float64)


def _truth(ability: float, other: float, seed_noise: float, own: float = 0.5) -> float:
    spread = math.sqrt(1 + 1 + own**2 + seed_noise**2)
    return float(scipy.stats.norm.cdf(ability / spread) - scipy.stats.norm.cdf(other / spread))


def _difference(ours: np.ndarray, theirs: np.ndarray, counts: np.ndarray, groups: int = CLIPS) -> Difference:
    """Of (seed, clip) answers of two models."""
    right = ours - theirs
    return over_seeds(right.mean(axis=1), counts @ right.T / counts.sum(axis=1, keepdims=True), groups)


def _holds(found: Difference, truth: float) -> bool:
    assert found.interval is not None
    return found.interval[0] <= truth <= found.interval[1]


@pytest.mark.parametrize(("seeds", "seed_noise"), [(1, 0.0), (2, 0.2), (3, 0.2), (5, 0.1)])
def test_intervals_hold_the_true_difference_at_the_stated_rate(seeds: int, seed_noise: float) -> None:
    random, truth = np.random.default_rng(seeds), _truth(0.8, 0.5, seed_noise)
    held = np.mean(
        [
            _holds(_difference(*_answers(random, [0.8, 0.5], seeds, seed_noise), _counts(CLIPS)), truth)
            for _ in range(EXPERIMENTS)
        ]
    )
    assert 0.95 - TOLERANCE <= held <= 0.995, held


@pytest.mark.slow
def test_the_table_of_rates(capsys: pytest.CaptureFixture[str]) -> None:
    """That of docs/comparing.md: pytest tests/unit/test_compare_statistics.py -m slow -s"""
    num = 2_000
    rows = []
    for seeds in (1, 2, 3, 5):
        for noise in (0.0, 0.1, 0.3):
            random, truth = np.random.default_rng(seeds), _truth(0.8, 0.5, noise)
            held, by_clips, declared = 0, 0, 0
            for _ in range(num):
                ours, theirs = _answers(random, [0.8, 0.5], seeds, noise)
                held += _holds(_difference(ours, theirs, _counts(CLIPS)), truth)
                clips = percentile_interval(_counts(CLIPS) @ (ours - theirs).mean(axis=0) / CLIPS)
                assert clips is not None
                by_clips += clips[0] <= truth <= clips[1]
                declared += _difference(*_answers(random, [0.5, 0.5], seeds, noise), _counts(CLIPS)).p_value < 0.05
            rows.append((seeds, noise, held / num, by_clips / num, declared / num))
    with capsys.disabled():
        print("\n| seeds | noise of a seed | interval holds the truth | the same, clips alone | declared when equal |")
        for seeds, noise, *rates in rows:
            print(f"| {seeds} | {noise or 'none'} | " + " | ".join(f"{rate:.3f}" for rate in rates) + " |")
    tolerance = 3 * math.sqrt(0.05 * 0.95 / num)
    for seeds, noise, held, _, declared in rows:
        if seeds > 1 or not noise:  # one seed cannot know the noise of seeds
            assert held >= 0.95 - tolerance, (seeds, noise)
            assert declared <= 0.05 + tolerance, (seeds, noise)


def test_no_difference_is_declared_where_there_is_none_but_the_luck_of_seeds() -> None:
    random = np.random.default_rng(0)
    declared, by_clips_alone = 0, 0
    for _ in range(EXPERIMENTS):
        ours, theirs = _answers(random, [0.5, 0.5], 3, 0.3)
        declared += _difference(ours, theirs, _counts(CLIPS)).p_value < 0.05
        clips = percentile_interval(_counts(CLIPS) @ (ours - theirs).mean(axis=0) / CLIPS)
        assert clips is not None
        by_clips_alone += not clips[0] <= 0 <= clips[1]
    assert declared / EXPERIMENTS <= 0.05 + TOLERANCE
    assert by_clips_alone / EXPERIMENTS > 0.2, "the luck of seeds is what a test over clips takes for a difference"


def test_of_five_equal_models_hardly_any_is_declared_different() -> None:
    random = np.random.default_rng(1)
    declared, uncorrected = 0, 0
    for _ in range(EXPERIMENTS):
        reference, *others = _answers(random, [0.5] * 5, 3, 0.15)
        p_values = [_difference(other, reference, _counts(CLIPS)).p_value for other in others]
        declared += min(holm(p_values)) < 0.05
        uncorrected += min(p_values) < 0.05
    assert declared / EXPERIMENTS <= 0.05 + TOLERANCE
    assert uncorrected > declared


def test_a_true_difference_is_found_with_enough_clips_and_seeds() -> None:
    random = np.random.default_rng(2)
    found = [_difference(*_answers(random, [1.2, 0.5], 5, 0.1), _counts(CLIPS)).p_value < 0.05 for _ in range(100)]
    assert np.mean(found) > 0.8


def test_clips_of_a_group_are_drawn_together() -> None:
    """Where a model is good at a whole speaker or not, ten clips of one are not ten answers."""
    random, groups = np.random.default_rng(3), np.repeat(np.arange(30), CLIPS // 30)
    truth = _truth(0.9, 0.5, 0.0, own=1.0)
    together, apart = 0, 0
    counts = resampled_counts(groups, num=500)
    for _ in range(EXPERIMENTS):
        ours, theirs = _answers(random, [0.9, 0.5], 1, 0.0, shared=groups)
        together += _holds(_difference(ours, theirs, counts, 30), truth)
        apart += _holds(_difference(ours, theirs, _counts(CLIPS)), truth)
    assert together / EXPERIMENTS >= 0.95 - TOLERANCE
    assert apart / EXPERIMENTS < 0.95 - TOLERANCE


def test_runs_of_other_seeds_are_compared_too() -> None:
    random, truth = np.random.default_rng(4), _truth(0.8, 0.5, 0.3)
    held = 0
    for _ in range(EXPERIMENTS):
        ours, theirs = _answers(random, [0.8, 0.5], 5, 0.3)
        theirs = theirs[:3]
        counts = _counts(CLIPS)
        parts = [(runs.mean(axis=1), counts @ runs.T / CLIPS) for runs in (ours, theirs)]
        held += _holds(over_runs(parts[0], parts[1], CLIPS), truth)
    assert held / EXPERIMENTS >= 0.95 - TOLERANCE


def _fold_experiment(random: np.random.Generator, mean: np.ndarray, size: int, parts: list[slice]) -> np.ndarray:
    """(fold,) The difference in accuracy of two nearest-mean classifiers, which see other dimensions of the clips."""
    labels = np.arange(size) % 2
    clips = random.normal(size=(size, len(mean))) + np.where(labels[:, None] == 1, mean, -mean)
    fold = random.permutation(size) % 5
    found = []
    for k in range(5):
        train, test = fold != k, fold == k
        right = []
        for part in parts:
            one, other = (clips[train & (labels == label)][:, part].mean(axis=0) for label in (1, 0))
            said = (clips[test][:, part] - (one + other) / 2) @ (one - other) > 0
            right.append((said == (labels[test] == 1)).mean())
        found.append(right[0] - right[1])
    return np.array(found)


def test_over_folds_intervals_hold_the_true_difference() -> None:
    """Folds share training clips: taken as independent, they would promise too much."""
    random, mean = np.random.default_rng(5), np.array([0.5, 0.5, 0.1, 0.1, 0.1, 0.1, 0.4, 0.1])
    parts = [slice(0, 5), slice(3, 8)]
    truth = float(np.mean([_fold_experiment(random, mean, 60, parts).mean() for _ in range(2_000)]))
    held, as_if_independent = 0, 0
    for _ in range(EXPERIMENTS):
        values = _fold_experiment(random, mean, 60, parts)
        held += _holds(over_folds(values, 1 / 4), truth)
        as_if_independent += _holds(over_folds(values, 0.0), truth)
    assert held / EXPERIMENTS >= 0.95 - TOLERANCE
    assert as_if_independent < held


def test_intervals_of_map_hold_the_true_difference() -> None:
    """A metric that is no mean over clips; the truth is what it is on as many clips, in the mean."""
    random, clips = np.random.default_rng(9), 100
    counts = resampled_counts(np.arange(clips), num=200)

    def metrics(skill: float, targets: np.ndarray, hardness: np.ndarray, draws: np.ndarray) -> np.ndarray:
        scores = targets * (skill + hardness[:, None]) + random.normal(size=targets.shape)
        found = Predictions(
            tuple(map(str, range(clips))), torch.tensor(scores), torch.tensor(targets), ("a", "b", "c"), "multi-label"
        )
        return resampled_metric("mAP", found, draws)

    def experiment(draws: np.ndarray) -> np.ndarray:
        targets = (random.random((clips, 3)) < 0.3).astype(np.float32)
        hardness = random.normal(size=clips)
        return metrics(1.6, targets, hardness, draws) - metrics(1.2, targets, hardness, draws)

    truth = np.mean([experiment(np.ones((1, clips), np.float32))[0] for _ in range(1_000)])
    held = 0
    for _ in range(200):
        found = experiment(np.concatenate([np.ones((1, clips), np.float32), counts]))
        held += _holds(over_seeds(found[:1], found[1:, None], clips), float(truth))
    assert held / 200 >= 0.95 - TOLERANCE * math.sqrt(EXPERIMENTS / 200)


def test_one_seed_is_the_paired_t_test_over_clips() -> None:
    random = np.random.default_rng(6)
    ours, theirs = random.random((2, 1, CLIPS))
    found = _difference(ours, theirs, _counts(CLIPS))
    expected = scipy.stats.ttest_rel(ours[0], theirs[0])
    low, high = expected.confidence_interval()
    assert found.value == pytest.approx((ours - theirs).mean())
    assert found.interval == pytest.approx((low, high), abs=0.06 * (high - low))
    assert found.p_value == pytest.approx(expected.pvalue, abs=0.03)


def test_p_is_the_level_at_which_the_interval_reaches_zero() -> None:
    parts = [(0.0004, 2), (0.0009, 99)]
    at_zero = Difference.of(0.0, parts)
    assert at_zero.interval is not None
    half = at_zero.interval[1]
    assert Difference.of(half, parts).p_value == pytest.approx(0.05, rel=1e-6)
    assert Difference.of(-half, parts).p_value == pytest.approx(0.05, rel=1e-6)
    assert at_zero.p_value == pytest.approx(1.0)
    one = Difference.of(0.03, [(0.0001, 4)])
    assert one.p_value == pytest.approx(2 * scipy.stats.t.sf(3.0, 4))


def test_without_any_variance_nothing_is_claimed() -> None:
    same = Difference.of(0.0, [(0.0, 3)])
    assert (same.interval, same.p_value) == (None, 1.0)
    apart = Difference.of(0.1, [(0.0, 3)])
    assert apart.interval is None
    assert math.isnan(apart.p_value)


def _slow_holm(p_values: list[float]) -> list[float]:
    """The definition: of sorted p, the largest of (m - j + 1) p_j up to its place."""
    m, order = len(p_values), sorted(range(len(p_values)), key=lambda i: p_values[i])
    found = [0.0] * m
    for place, i in enumerate(order):
        found[i] = min(1.0, max((m - j) * p_values[order[j]] for j in range(place + 1)))
    return found


def test_holm_equals_its_definition() -> None:
    random = np.random.default_rng(7)
    for size in range(1, 8):
        values = random.random(size).tolist()
        assert holm(values) == pytest.approx(_slow_holm(values))
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    with_gap = holm([0.01, math.nan, 0.02])
    assert with_gap[0] == pytest.approx(0.02)
    assert math.isnan(with_gap[1])


def test_as_many_groups_are_drawn_as_there_are_within_every_stratum() -> None:
    groups, strata = np.array([0, 0, 1, 2, 3, 3, 3]), np.array([0, 0, 0, 0, 1, 1, 1])
    counts = resampled_counts(groups, strata, num=500)
    assert counts.shape == (500, 7)
    assert (counts[:, 0] == counts[:, 1]).all()
    assert (counts[:, [0, 2, 3]].sum(axis=1) == 3).all()  # of the first stratum, by group
    assert (counts[:, 4:] == 1).all()  # of the second, its only group
    assert counts[:, 2].mean() == pytest.approx(1.0, abs=0.15)
    assert (resampled_counts(groups, strata, num=500) == counts).all()


@pytest.mark.parametrize("values", [np.array([np.nan, 0.1, 0.2, 0.3]), np.array([np.inf, 0.1, 0.2, 0.3])])
def test_undefined_resamples_are_left_out_of_the_interval(values: Any) -> None:
    found = percentile_interval(values)
    assert found is not None
    assert 0.1 <= found[0] < found[1] <= 0.3
    assert percentile_interval(values[:1]) is None


def test_all_of_these_rates_could_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """Intervals of half their width hold the truth less often than the tolerance allows."""
    random, truth = np.random.default_rng(8), _truth(0.8, 0.5, 0.2)

    def narrow(found: Difference) -> bool:
        assert found.interval is not None
        return abs(found.value - truth) <= (found.interval[1] - found.interval[0]) / 4

    check: Callable[[], bool] = lambda: narrow(  # noqa: E731
        _difference(*_answers(random, [0.8, 0.5], 3, 0.2), _counts(CLIPS))
    )
    assert np.mean([check() for _ in range(EXPERIMENTS)]) < 0.95 - TOLERANCE
