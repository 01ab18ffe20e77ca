"""The metrics of a classifier on thousands of bootstrap samples at once.

A bootstrap sample is a weight for every clip: how often it was drawn. Each metric here takes a whole matrix of such
weights. What ranks the clips (average precision, the area under the ROC curve) needs, for every clip of a class, the
weight of all clips ranked as high; for all samples that is one matrix product, weights by comparisons, where sorting
each sample anew would take minutes. With weights of 1 they are those of `zoo.evaluate.metrics`, but for float32.
"""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Bool, Float

from zoo.data.labels import Task
from zoo.evaluate.metrics import log_odds
from zoo.evaluate.predictions import Predictions

_COLUMNS = 512
"""Clips of a class that are compared with all others at once: what bounds the memory."""

Weights = Float[np.ndarray, "resample clip"]
Scores = Float[np.ndarray, "clip cls"]
Positives = Bool[np.ndarray, "clip cls"]


def resampled_metric(metric: str, found: Predictions, counts: Weights) -> Float[np.ndarray, "resample"]:
    """The metric on every bootstrap sample; NaN where a sample has no class that it could be measured on.

    Args: `counts`: how often each clip was drawn, as float32.
    """
    logits = found.scores.double()
    is_positive = found.targets.numpy() > 0.5
    if metric in _BY_DECISION:
        is_predicted = _predicted(logits, found.task)
        return _BY_DECISION[metric](is_predicted, is_positive, counts)
    ranking = (log_odds(logits) if found.task == "single-label" else logits).numpy()
    return _BY_RANK[metric](ranking, is_positive, counts)


def is_resampled(metric: str) -> bool:
    """Whether `resampled_metric` knows it."""
    return metric in _BY_DECISION or metric in _BY_RANK


def _predicted(logits: torch.Tensor, task: Task) -> Positives:
    if task == "single-label":
        return np.eye(logits.shape[1], dtype=bool)[logits.numpy().argmax(axis=1)]
    return logits.numpy() > 0


def _accuracy(is_predicted: Positives, is_positive: Positives, counts: Weights) -> Float[np.ndarray, "resample"]:
    is_right = (is_predicted & is_positive).any(axis=1)
    return counts @ is_right.astype(np.float32) / counts.sum(axis=1)


def _balanced_accuracy(
    is_predicted: Positives, is_positive: Positives, counts: Weights
) -> Float[np.ndarray, "resample"]:
    right, positives = _sums(counts, is_predicted & is_positive), _sums(counts, is_positive)
    return _mean_over_classes(right, positives, positives > 0)


def _f1(is_predicted: Positives, is_positive: Positives, counts: Weights) -> Float[np.ndarray, "resample"]:
    right, positives = _sums(counts, is_predicted & is_positive), _sums(counts, is_positive)
    return _mean_over_classes(2 * right, _sums(counts, is_predicted) + positives, positives > 0)


def _average_precision(ranking: Scores, is_positive: Positives, counts: Weights) -> Float[np.ndarray, "resample"]:
    """Of a class: the mean, over its clips, of the precision among all that are ranked at least as high."""

    def of_class(c: int, rows: np.ndarray) -> np.ndarray:
        total = np.zeros(len(counts))
        for some in np.array_split(rows, -(-len(rows) // _COLUMNS)):
            as_high = (ranking[:, c, None] >= ranking[None, some, c]).astype(np.float32)
            right = counts[:, rows] @ as_high[rows]
            all_of_them = counts @ as_high
            drawn = counts[:, some]
            total += (drawn * right / np.maximum(all_of_them, 1)).sum(axis=1)  # where none is drawn, nor is the clip
        return total

    return _over_classes(of_class, is_positive, counts, needs_negatives=False)


def _auc(ranking: Scores, is_positive: Positives, counts: Weights) -> Float[np.ndarray, "resample"]:
    """Of a class: how often one of its clips is ranked above another, ties counting half."""

    def of_class(c: int, rows: np.ndarray) -> np.ndarray:
        others = np.flatnonzero(~is_positive[:, c])
        total = np.zeros(len(counts))
        for some in np.array_split(rows, -(-len(rows) // _COLUMNS)):
            theirs, ours = ranking[others, c][:, None], ranking[some, c][None]
            below = (theirs < ours).astype(np.float32) + 0.5 * (theirs == ours).astype(np.float32)
            total += (counts[:, some] * (counts[:, others] @ below)).sum(axis=1)
        num_others = counts[:, others].sum(axis=1)
        return np.divide(total, num_others, out=np.full(len(counts), np.nan), where=num_others > 0)

    return _over_classes(of_class, is_positive, counts, needs_negatives=True)


def _over_classes(
    of_class: Callable[[int, np.ndarray], np.ndarray], is_positive: Positives, counts: Weights, needs_negatives: bool
) -> Float[np.ndarray, "resample"]:
    """The mean over classes of a mean over the positives of each; in a sample, only over classes that it has."""
    sums = np.zeros((len(counts), is_positive.shape[1]))
    positives = _sums(counts, is_positive)
    is_measured = positives > 0
    for c in np.flatnonzero(is_positive.any(axis=0)):
        sums[:, c] = of_class(int(c), np.flatnonzero(is_positive[:, c]))
    if needs_negatives:
        is_measured &= _sums(counts, ~is_positive) > 0
    return _mean_over_classes(sums, positives, is_measured)


def _sums(counts: Weights, what: Positives) -> Float[np.ndarray, "resample cls"]:
    return (counts @ what.astype(np.float32)).astype(np.float64)


def _mean_over_classes(
    above: Float[np.ndarray, "resample cls"],
    below: Float[np.ndarray, "resample cls"],
    is_measured: Bool[np.ndarray, "resample cls"],
) -> Float[np.ndarray, "resample"]:
    """The mean of above / below over the classes that are measured; NaN where none is."""
    ratios = np.divide(above, below, out=np.zeros_like(above), where=is_measured)
    num = is_measured.sum(axis=1)
    return np.divide(ratios.sum(axis=1), num, out=np.full(len(num), np.nan), where=num > 0)


_BY_DECISION: dict[str, Callable[[Positives, Positives, Weights], np.ndarray]] = {
    "accuracy": _accuracy,
    "balanced_accuracy": _balanced_accuracy,
    "f1": _f1,
}
_BY_RANK: dict[str, Callable[[Scores, Positives, Weights], np.ndarray]] = {"mAP": _average_precision, "auc": _auc}
