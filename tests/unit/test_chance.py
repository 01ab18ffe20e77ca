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
    constant = torch.zeros(10, 4)
    constant[:, 0] = 1
    measured = classification_metrics(constant, targets, "single-label")
    assert measured["accuracy"] == levels["accuracy"]
    assert measured["balanced_accuracy"] == pytest.approx(levels["balanced_accuracy"])


def test_multi_label_is_what_random_scores_give() -> None:
    generator = torch.Generator().manual_seed(0)
    targets = (torch.rand(4000, 3, generator=generator) < torch.tensor([0.1, 0.3, 0.6])).float()
    levels = chance_levels(targets, "multi-label")
    measured = classification_metrics(torch.randn(4000, 3, generator=generator), targets, "multi-label")
    assert measured["mAP"] == pytest.approx(levels["mAP"], abs=0.02)
    assert measured["auc"] == pytest.approx(levels["auc"], abs=0.02)
    assert set(levels) == {"mAP", "auc"}
