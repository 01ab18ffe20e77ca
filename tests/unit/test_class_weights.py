"""Weights of classes in the loss, against the loss written out clip by clip."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from sklearn.utils.class_weight import compute_class_weight
from torch import Tensor

from zoo.errors import RecipeError
from zoo.objectives.class_weights import ClassWeights, weigh_classes
from zoo.objectives.classification import ClassificationConfig, binary_cross_entropy, cross_entropy

COUNTS = [50, 30, 15, 5]


def test_balanced_cross_entropy_is_that_of_scikit_learn() -> None:
    labels = np.repeat(np.arange(4), COUNTS)
    expected = compute_class_weight("balanced", classes=np.arange(4), y=labels)
    weights = weigh_classes("balanced", "ce", COUNTS, 100, 1e6)
    assert weights.negative is None
    np.testing.assert_allclose(weights.positive.numpy(), expected, rtol=1e-6)
    assert float(weights.positive[labels].mean()) == pytest.approx(1)


def test_balanced_binary_weighs_yes_and_no_alike() -> None:
    weights = weigh_classes("balanced", "bce", [60, 50, 10, 1], 100, 1e6)
    assert weights.negative is not None
    for count, yes, no in zip([60, 50, 10, 1], weights.positive.tolist(), weights.negative.tolist(), strict=True):
        assert yes / no == pytest.approx((100 - count) / count)  # torch's pos_weight
        assert count * yes == pytest.approx((100 - count) * no)
        assert (count * yes + (100 - count) * no) / 100 == pytest.approx(1)


@pytest.mark.parametrize("loss", ["ce", "bce"])
@pytest.mark.parametrize("choice", ["balanced", [1.0, 2.0, 4.0, 0.5]])
def test_the_mean_over_the_clips_is_1_and_a_class_without_clips_weighs_1(loss: Any, choice: Any) -> None:
    counts = [700, 290, 0, 10]
    weights = weigh_classes(choice, loss, counts, 1000, 20.0)
    n = torch.tensor(counts, dtype=torch.float32)
    if weights.negative is None:
        assert float((n * weights.positive).sum() / 1000) == pytest.approx(1)
    else:
        means = (n * weights.positive + (1000 - n) * weights.negative) / 1000
        assert means.tolist() == pytest.approx([1, 1, 1, 1])
        assert float(weights.negative[2]) == 1
    assert float(weights.positive[2]) == 1
    assert bool((weights.positive > 0).all())


def test_a_list_is_in_proportion() -> None:
    weights = weigh_classes([1.0, 2.0, 4.0, 0.5], "ce", COUNTS, 100, 2.0)
    assert (weights.positive / weights.positive[0]).tolist() == pytest.approx([1, 2, 4, 0.5])  # a list is not cut
    weights = weigh_classes([1.0, 2.0, 4.0, 0.5], "bce", COUNTS, 100, 2.0)
    assert weights.negative is not None
    assert (weights.positive / weights.negative).tolist() == pytest.approx([1, 2, 4, 0.5])


def test_balanced_weights_are_cut() -> None:
    """Before they are scaled: their ratios stay within the bounds."""
    weights = weigh_classes("balanced", "bce", [1, 500, 1000, 999], 1000, 10.0)
    assert weights.negative is not None
    assert (weights.positive / weights.negative).tolist() == pytest.approx([10, 1, 0.1, 0.1])
    cut = weigh_classes("balanced", "ce", [1, 10_000], 10_001, 10.0).positive
    assert float(cut[0] / cut[1]) == pytest.approx(10 / (10_001 / 20_000))


def softmax_loss(logits: Tensor, target: Tensor, smoothing: float, weights: list[float]) -> float:
    total, (batch, classes) = 0.0, logits.shape
    for clip in range(batch):
        scale = math.log(sum(math.exp(float(x)) for x in logits[clip]))
        for c in range(classes):
            wanted = float(target[clip, c]) * (1 - smoothing) + smoothing / classes
            total -= weights[c] * wanted * (float(logits[clip, c]) - scale)
    return total / batch


def sigmoid_loss(logits: Tensor, target: Tensor, smoothing: float, yes: list[float], no: list[float]) -> float:
    total, (batch, classes) = 0.0, logits.shape
    for clip in range(batch):
        for c in range(classes):
            wanted = float(target[clip, c]) * (1 - smoothing) + 0.5 * smoothing
            share = 1 / (1 + math.exp(-float(logits[clip, c])))
            total -= yes[c] * wanted * math.log(share) + no[c] * (1 - wanted) * math.log(1 - share)
    return total / batch / classes


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("mixed", [False, True])
def test_losses_with_weights(smoothing: float, mixed: bool) -> None:
    logits = torch.randn(6, 4) * 3
    target = torch.eye(4)[[0, 1, 2, 3, 0, 0]]
    if mixed:
        target = 0.3 * target + 0.7 * torch.eye(4)[[1, 1, 3, 0, 2, 0]]
    weights = weigh_classes("balanced", "ce", COUNTS, 100, 100.0)
    expected = softmax_loss(logits, target, smoothing, weights.positive.tolist())
    assert float(cross_entropy(logits, target, smoothing, weights)) == pytest.approx(expected, rel=1e-5)
    weights = weigh_classes("balanced", "bce", COUNTS, 100, 100.0)
    assert weights.negative is not None
    expected = sigmoid_loss(logits, target, smoothing, weights.positive.tolist(), weights.negative.tolist())
    assert float(binary_cross_entropy(logits, target, smoothing, weights)) == pytest.approx(expected, rel=1e-5)


def test_mixing_stays_linear() -> None:
    logits, one, two = torch.randn(4, 4), torch.eye(4), torch.eye(4).flip(0)
    for loss, function in (("ce", cross_entropy), ("bce", binary_cross_entropy)):
        weights = weigh_classes("balanced", loss, COUNTS, 100, 100.0)  # type: ignore[arg-type]
        mixed = function(logits, 0.3 * one + 0.7 * two, 0.1, weights)
        apart = 0.3 * function(logits, one, 0.1, weights) + 0.7 * function(logits, two, 0.1, weights)
        torch.testing.assert_close(mixed, apart)


def test_a_batch_of_one_class_keeps_its_weight() -> None:
    """A mean over weights would cancel it."""
    weights = weigh_classes("balanced", "ce", COUNTS, 100, 100.0)
    logits, target = torch.randn(3, 4), torch.eye(4)[[3, 3, 3]]
    ratio = cross_entropy(logits, target, 0.0, weights) / cross_entropy(logits, target)
    assert float(ratio) == pytest.approx(float(weights.positive[3]))


def test_the_config() -> None:
    assert ClassificationConfig().weigh("single-label", COUNTS, 100) is None
    by_task = ClassificationConfig(class_weights="balanced")
    single, multi = by_task.weigh("single-label", COUNTS, 100), by_task.weigh("multi-label", COUNTS, 100)
    assert single is not None
    assert multi is not None
    assert (single.negative is None, multi.negative is None) == (True, False)
    as_list = ClassificationConfig.model_validate({"class_weights": [1, 2.5]})
    assert ClassificationConfig.model_validate_json(as_list.model_dump_json()) == as_list
    with pytest.raises(
        RecipeError, match=r"objective\.class_weights: found 2 weights for 4 classes - expected one for"
    ):
        as_list.weigh("single-label", COUNTS, 100)
    for wrong in ("balance", [0.0, 1.0], [-1.0], [True], 3):
        with pytest.raises(ValidationError):
            ClassificationConfig.model_validate({"class_weights": wrong})


def test_what_a_summary_says() -> None:
    one = torch.tensor([1.0, 2 / 3])
    assert ClassWeights(one).as_report() == {"weights": [1.0, 0.666667]}
    assert ClassWeights(one, 1 / one).as_report() == {"positive": [1.0, 0.666667], "negative": [1.0, 1.5]}
