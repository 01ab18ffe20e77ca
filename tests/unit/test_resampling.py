"""Metrics of many bootstrap samples at once: each is that of the clips repeated as often as they were drawn."""

import numpy as np
import pytest
import torch

from zoo.compare.resampling import is_resampled, resampled_metric
from zoo.data.labels import Task
from zoo.evaluate.metrics import COUNTS, classification_metrics
from zoo.evaluate.predictions import Predictions


def _predictions(task: Task, clips: int = 40, classes: int = 5) -> Predictions:
    """With ties, and with classes of few clips, so that some samples lack one."""
    random = torch.Generator().manual_seed(0)
    shares = torch.tensor([0.4, 0.3, 0.2, 0.06, 0.04])
    if task == "single-label":
        targets = torch.eye(classes)[torch.multinomial(shares, clips, replacement=True, generator=random)]
    else:
        targets = (torch.rand(clips, classes, generator=random) < shares).float()
    scores = torch.randn(clips, classes, generator=random) + targets
    scores[:, ::2] = scores[:, ::2].round()
    names = tuple(f"clip {i}" for i in range(clips))
    return Predictions(names, scores, targets, tuple("abcde"), task)


@pytest.mark.parametrize("task", ["single-label", "multi-label"])
def test_every_metric_is_that_of_the_repeated_clips(task: Task) -> None:
    found, random = _predictions(task), np.random.default_rng(0)
    size = len(found.names)
    counts = random.multinomial(size, np.ones(size) / size, size=50)
    oracle = []
    for row in counts:
        clips = torch.from_numpy(np.repeat(np.arange(size), row))
        oracle.append(classification_metrics(found.scores[clips], found.targets[clips], task))
    assert any(one["classes_without_positives"] for one in oracle), "no sample lacks a class: the case is not tried"
    metrics = [name for name in oracle[0] if name not in COUNTS]
    for metric in metrics:
        assert is_resampled(metric)
        ours = resampled_metric(metric, found, counts.astype(np.float32))
        np.testing.assert_allclose(ours, [one[metric] for one in oracle], atol=2e-6, err_msg=metric)
    assert not is_resampled("pretext_accuracy")


def test_many_clips_of_a_class_are_compared_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    found = _predictions("multi-label")
    counts = np.random.default_rng(0).multinomial(40, np.ones(40) / 40, size=20).astype(np.float32)
    whole = {metric: resampled_metric(metric, found, counts) for metric in ("mAP", "auc")}
    monkeypatch.setattr("zoo.compare.resampling._COLUMNS", 3)
    for metric, values in whole.items():
        np.testing.assert_allclose(resampled_metric(metric, found, counts), values, atol=1e-6)


def test_a_sample_on_which_nothing_can_be_measured_has_no_metric() -> None:
    found = _predictions("multi-label")
    empty = (found.targets.sum(dim=1) == 0).numpy().astype(np.float32)[None]
    assert empty.sum() > 0
    assert np.isnan(resampled_metric("mAP", found, empty)).all()
    assert np.isnan(resampled_metric("auc", found, empty)).all()
