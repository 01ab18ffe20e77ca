"""Metrics against slow, obvious formulas: sorting, counting pairs, counting hits."""

import json
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.unit.slow_metrics import slow_metrics
from zoo.errors import DataError, ShapeError, ZooError
from zoo.evaluate.metrics import classification_metrics, finite_or_none


def one_hot(classes: list[int], num_classes: int) -> Tensor:
    return torch.eye(num_classes)[classes]


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize(("clips", "classes"), [(1, 2), (2, 2), (10, 3), (40, 7), (25, 30)])
def test_single_label_equals_the_slow_formulas(clips: int, classes: int, ties: bool) -> None:
    scores = torch.randn(clips, classes) * 2
    scores = scores.round() if ties else scores
    targets = one_hot(torch.randint(classes, (clips,)).tolist(), classes)
    got = classification_metrics(scores, targets, "single-label")
    assert got == pytest.approx(
        slow_metrics(scores.tolist(), targets.bool().tolist(), "single-label"), abs=1e-9, rel=0, nan_ok=True
    )


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize(("clips", "classes", "share"), [(1, 1, 1.0), (6, 2, 0.5), (40, 7, 0.1), (40, 7, 0.95)])
def test_multi_label_equals_the_slow_formulas(clips: int, classes: int, share: float, ties: bool) -> None:
    scores = torch.randn(clips, classes) * 2
    scores = scores.round() if ties else scores
    targets = (torch.rand(clips, classes) < share).float()
    got = classification_metrics(scores, targets, "multi-label")
    assert got == pytest.approx(
        slow_metrics(scores.tolist(), targets.bool().tolist(), "multi-label"), abs=1e-9, rel=0, nan_ok=True
    )
    assert "accuracy" not in got


def test_a_known_case_by_hand() -> None:
    scores = torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4]])
    targets = one_hot([0, 1, 1, 0], 2)
    got = classification_metrics(scores, targets, "single-label")
    # Class 0 ranks clips 0, 1, 3, 2 with positives at 1 and 3: (1/1 + 2/3) / 2. Class 1 ranks 2, 3, 1, 0: the same.
    assert got["mAP"] == pytest.approx(5 / 6)
    assert got["auc"] == pytest.approx(3 / 4)
    assert (got["accuracy"], got["balanced_accuracy"]) == (0.75, 0.75)
    assert got["f1"] == pytest.approx((4 / 5 + 2 / 3) / 2)


def test_perfect_and_worst_scores() -> None:
    targets = one_hot([0, 1, 2, 0, 1, 2], 3)
    best = classification_metrics(targets * 5, targets, "single-label")
    assert {best[key] for key in ("accuracy", "balanced_accuracy", "mAP", "auc", "f1")} == {1.0}
    worst = classification_metrics(targets * -5, targets, "single-label")
    assert (worst["accuracy"], worst["f1"], worst["auc"]) == (0.0, 0.0, 0.0)


def test_accuracy_counts_clips_and_balanced_accuracy_classes() -> None:
    scores = one_hot([0] * 10, 2)
    got = classification_metrics(scores, one_hot([0] * 9 + [1], 2), "single-label")
    assert (got["accuracy"], got["balanced_accuracy"]) == (0.9, 0.5)


def test_classes_without_positives_are_left_out_and_counted() -> None:
    scores, targets = torch.randn(12, 3), one_hot([0, 1, 2] * 4, 3)
    multi = (torch.rand(12, 3) < 0.5).float()
    multi[0], multi[1] = 1, 0
    for task, labels in (("single-label", targets), ("multi-label", multi)):
        wide_scores = torch.cat([scores, torch.full((12, 2), -30.0)], dim=1)
        wide_labels = torch.cat([labels, torch.zeros(12, 2)], dim=1)
        narrow: Any = classification_metrics(scores, labels, task)
        wide: Any = classification_metrics(wide_scores, wide_labels, task)
        assert wide.pop("classes_without_positives") == 2
        assert narrow.pop("classes_without_positives") == 0
        assert (wide.pop("loss") < narrow.pop("loss")) == (task == "multi-label")  # sure, and right, of two more
        assert wide == pytest.approx(narrow, abs=1e-9)


def test_what_no_class_defines_is_nan() -> None:
    only_one = classification_metrics(torch.randn(4, 3), one_hot([1] * 4, 3), "single-label")
    assert math.isnan(only_one["auc"])
    assert (only_one["mAP"], only_one["classes_without_positives"]) == (1.0, 2)
    nothing = classification_metrics(torch.randn(4, 3), torch.zeros(4, 3), "multi-label")
    assert all(math.isnan(nothing[key]) for key in ("mAP", "auc", "f1"))
    assert nothing["classes_without_positives"] == 3


def test_sure_answers_are_still_told_apart() -> None:
    """In float32 the probabilities of all of these are 1."""
    scores = torch.tensor([[40.0, 0.0], [60.0, 0.0], [50.0, 0.0], [70.0, 0.0]])
    got = classification_metrics(scores, one_hot([1, 0, 1, 0], 2), "single-label")
    assert (got["auc"], got["mAP"]) == (1.0, 1.0)


def test_types_and_devices_do_not_matter() -> None:
    scores, targets = torch.randn(9, 3).bfloat16(), one_hot([0, 1, 2] * 3, 3)
    expected = classification_metrics(scores.double(), targets, "single-label")
    assert classification_metrics(scores.requires_grad_().detach(), targets.long(), "single-label") == expected


def test_scores_that_are_not_finite_name_the_clips() -> None:
    scores = torch.randn(9, 2)
    scores[3, 1], scores[5, 0] = math.nan, math.inf
    names = [f"{i}.wav" for i in range(9)]
    expected = r"not finite for 2 of 9 clips \(3\.wav, 5\.wav\) - expected finite numbers"
    with pytest.raises(ZooError, match=expected):
        classification_metrics(scores, one_hot([0] * 9, 2), "single-label", names)
    scores[:] = math.nan
    with pytest.raises(ZooError, match=r"for 9 of 9 clips \(row 0, row 1, row 2, row 3, row 4 and 4 more\)"):
        classification_metrics(scores, one_hot([0] * 9, 2), "single-label")


def test_empty_and_mismatched_sets() -> None:
    with pytest.raises(DataError, match="found no clip with a score - expected at least one"):
        classification_metrics(torch.zeros(0, 3), torch.zeros(0, 3), "single-label")
    with pytest.raises(ShapeError, match=r"found scores \(4, 3\) against targets \(4, 2\)"):
        classification_metrics(torch.zeros(4, 3), torch.zeros(4, 2), "multi-label")


def test_targets_of_the_wrong_kind() -> None:
    scores = torch.randn(3, 2)
    with pytest.raises(DataError, match=r"2 clips \(row 0, row 2\) - expected exactly one 1"):
        classification_metrics(scores, torch.tensor([[1.0, 1], [0, 1], [0, 0]]), "single-label")
    with pytest.raises(DataError, match=r"1 clips \(row 1\) - expected 0 or 1 for every class"):
        classification_metrics(scores, torch.tensor([[1.0, 1], [0, 0.5], [0, 0]]), "multi-label")


def test_undefined_metrics_are_null_in_json() -> None:
    """One class only: the area under the curve has no negatives to rank against."""
    metrics = classification_metrics(torch.randn(3, 2), torch.tensor([[1.0, 0.0]] * 3), "single-label")
    assert math.isnan(metrics["auc"])
    readable = finite_or_none(metrics)
    assert readable["auc"] is None
    assert readable["mAP"] == metrics["mAP"]
    json.dumps(readable, allow_nan=False)
