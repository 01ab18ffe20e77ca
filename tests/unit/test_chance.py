"""Chance levels against what guessing really scores."""

import pytest
import torch

from zoo.evaluate.chance import chance_levels
from zoo.evaluate.metrics import classification_metrics


def test_single_label() -> None:
    targets = torch.eye(4)[torch.tensor([0] * 5 + [1] * 3 + [2] * 2)]
    levels = chance_levels(targets, "single-label")
    assert levels["accuracy"] == 0.5  # always the most frequent class
    assert levels["balanced_accuracy"] == pytest.approx(1 / 3)  # the fourth class does not occur
    by_shares = torch.tensor([[0.5, 0.3, 0.2, 1e-30]]).log().expand(10, 4)
    assert classification_metrics(by_shares, targets, "single-label")["loss"] == pytest.approx(levels.pop("loss"))
    constant = torch.zeros(10, 4)
    constant[:, 0] = 1
    measured = classification_metrics(constant, targets, "single-label")
    counts = {"classes_without_positives", "classes_without_negatives"}
    assert {name: measured[name] for name in levels} == pytest.approx(levels)
    assert measured.keys() - levels.keys() == counts | {"loss"}  # every metric has its level


def test_multi_label_is_what_random_scores_give() -> None:
    generator = torch.Generator().manual_seed(0)
    targets = (torch.rand(4000, 3, generator=generator) < torch.tensor([0.1, 0.3, 0.6])).float()
    levels = chance_levels(targets, "multi-label")
    measured = classification_metrics(torch.randn(4000, 3, generator=generator), targets, "multi-label")
    assert measured["mAP"] == pytest.approx(levels["mAP"], abs=0.02)
    assert measured["auc"] == pytest.approx(levels["auc"], abs=0.02)
    shares = targets.mean(dim=0)
    by_shares = classification_metrics((shares / (1 - shares)).log().expand(4000, 3), targets, "multi-label")
    assert by_shares["loss"] == pytest.approx(levels["loss"])
    always_yes = classification_metrics(torch.ones(4000, 3), targets, "multi-label")
    by_prediction = {"precision", "f1", "precision_weighted", "f1_weighted"}
    assert {name: always_yes[name] for name in by_prediction} == pytest.approx({n: levels[n] for n in by_prediction})
    assert set(levels) == {"loss", "mAP", "auc", "dprime"} | by_prediction


def test_clips_without_any_class_have_no_level() -> None:
    assert chance_levels(torch.zeros(3, 2), "multi-label") == {}
