"""Which clips are the hardest, by sums written out."""

import math

import pytest
import torch

from zoo.compare.report.hardest import hardest_clips
from zoo.evaluate.predictions import Predictions

LABELS = ("a", "b")


def predictions(scores: list[list[float]], truth: list[int], names: str) -> Predictions:
    return Predictions(tuple(names), torch.tensor(scores), torch.eye(2)[truth], LABELS, "single-label")


def test_most_models_wrong_first_then_the_loss() -> None:
    one = predictions([[3.0, 0.0], [0.0, 1.0], [0.0, 9.0]], [0, 0, 0], "xyz")  # right, wrong, very wrong
    two = predictions([[3.0, 0.0], [3.0, 0.0], [0.0, 1.0]], [0, 0, 0], "xyz")  # right, right, wrong
    found = hardest_clips([[one], [two]], 3)
    assert [clip.name for clip in found] == ["z", "y", "x"]
    assert [clip.share_wrong for clip in found] == [1.0, 0.5, 0.0]
    losses = [math.log1p(math.exp(9)), math.log1p(math.exp(1))]
    assert found[0].loss == pytest.approx(sum(losses) / 2, abs=1e-9)
    assert [clip.name for clip in hardest_clips([[one], [two]], 1)] == ["z"]


def test_each_model_counts_alike_however_many_runs_it_has() -> None:
    right, wrong = predictions([[2.0, 0.0]], [0], "x"), predictions([[0.0, 2.0]], [0], "x")
    (found,) = hardest_clips([[wrong, wrong, right], [right]], 5)
    assert found.share_wrong == pytest.approx((2 / 3 + 0) / 2)
    first, second = found.answers
    assert (first.num_right, first.num_runs, first.label) == (1, 3, "b")
    p = 1 / (1 + math.exp(-2))
    assert first.of_truth == pytest.approx((2 * (1 - p) + p) / 3)
    assert (second.num_right, second.num_runs, second.label, second.probability) == (1, 1, "a", pytest.approx(p))


def test_folds_and_models_without_predictions() -> None:
    folds = [predictions([[0.0, 1.0]], [0], "x"), predictions([[0.0, 1.0]], [1], "y")]
    found = hardest_clips([folds, [], [predictions([[0.0, 5.0]], [0], "x")]], 5)
    assert [clip.name for clip in found] == ["x", "y"]
    assert [clip.truth for clip in found] == [("a",), ("b",)]
    assert [answer is None for answer in found[1].answers] == [False, True, True]
    assert hardest_clips([[], []], 5) == []


def test_of_several_classes_the_likeliest_must_be_one_of_them() -> None:
    targets = torch.tensor([[1.0, 1.0], [0.0, 0.0]])
    model = Predictions(("x", "y"), torch.tensor([[2.0, -1.0], [1.0, 0.0]]), targets, LABELS, "multi-label")
    found = {clip.name: clip for clip in hardest_clips([[model]], 5)}
    assert (found["x"].share_wrong, found["y"].share_wrong) == (0.0, 1.0)
    assert found["x"].truth == ("a", "b")
    assert found["y"].truth == ()
    losses = [math.log1p(math.exp(-2)), math.log1p(math.exp(1))]
    assert found["x"].loss == pytest.approx(sum(losses) / 2)
    assert found["x"].answers[0].of_truth == pytest.approx(1 / (1 + math.exp(1)))
