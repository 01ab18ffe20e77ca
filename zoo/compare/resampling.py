"""The metrics of a classifier on thousands of bootstrap samples at once.

A bootstrap sample is a weight for every clip: how often it was drawn. Each metric here takes a whole matrix of such
weights. What ranks the clips (average precision, the area under the ROC curve) needs, for every clip of a class, the
weight of all clips ranked as high; for all samples that is one matrix product, weights by comparisons, where sorting
each sample anew would take minutes. With weights of 1 they are those of `zoo.evaluate.metrics`, but for float32.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float
from scipy.special import ndtri

from zoo.evaluate.answers import clip_losses
from zoo.evaluate.class_metrics import rank_and_predict
from zoo.evaluate.predictions import Predictions

_COLUMNS = 512
"""Clips of a class that are compared with all others at once: what bounds the memory."""

_LOSS = "loss"
Weights = Float[np.ndarray, "resample clip"]
Scores = Float[np.ndarray, "clip cls"]
Positives = Bool[np.ndarray, "clip cls"]
Resampled = Float[np.ndarray, "resample"]


def resampled_metric(metric: str, found: Predictions, counts: Weights) -> Resampled:
    """The metric on every bootstrap sample; NaN where a sample has no class that it could be measured on.

    Args: `counts`: how often each clip was drawn, as float32.
    """
    if metric == _LOSS:
        losses = clip_losses(found.scores, found.targets, found.task).numpy()
        return (counts @ losses) / counts.sum(axis=1)
    is_positive = found.targets.numpy() > 0.5
    ranking, is_predicted = rank_and_predict(found.scores, found.task)
    if metric in _BY_DECISION:
        return _BY_DECISION[metric](is_predicted, is_positive, counts)
    return _BY_RANK[metric](ranking, is_positive, counts)


def is_resampled(metric: str) -> bool:
    """Whether `resampled_metric` knows it."""
    return metric == _LOSS or metric in _BY_DECISION or metric in _BY_RANK


def _accuracy(is_predicted: Positives, is_positive: Positives, counts: Weights) -> Resampled:
    is_right = (is_predicted & is_positive).any(axis=1)
    return counts @ is_right.astype(np.float32) / counts.sum(axis=1)


def _by_class(part: str, is_weighted: bool = False) -> Callable[[Positives, Positives, Weights], Resampled]:
    """The mean over classes of precision, recall or f1, or their mean weighted by the clips of a class."""

    def metric(is_predicted: Positives, is_positive: Positives, counts: Weights) -> Resampled:
        right, positives = _sums(counts, is_predicted & is_positive), _sums(counts, is_positive)
        above, below = right, positives
        if part == "precision":
            below = _sums(counts, is_predicted)
        elif part == "f1":
            above, below = 2 * right, positives + _sums(counts, is_predicted)
        values = above / np.maximum(below, 1)
        weights = positives if is_weighted else (positives > 0).astype(np.float64)
        return _ratio((values * weights).sum(axis=1), weights.sum(axis=1))

    return metric


def _average_precision(ranking: Scores, is_positive: Positives, counts: Weights) -> Resampled:
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


def _auc(ranking: Scores, is_positive: Positives, counts: Weights) -> Resampled:
    """Of a class: how often one of its clips is ranked above another, ties counting half."""

    def of_class(c: int, rows: np.ndarray) -> np.ndarray:
        others = np.flatnonzero(~is_positive[:, c])
        total = np.zeros(len(counts))
        for some in np.array_split(rows, -(-len(rows) // _COLUMNS)):
            theirs, ours = ranking[others, c][:, None], ranking[some, c][None]
            below = (theirs < ours).astype(np.float32) + 0.5 * (theirs == ours).astype(np.float32)
            total += (counts[:, some] * (counts[:, others] @ below)).sum(axis=1)
        num_others = counts[:, others].sum(axis=1)
        return total / np.maximum(num_others, 1)  # a sample without others does not measure the class

    return _over_classes(of_class, is_positive, counts, needs_negatives=True)


def _over_classes(
    of_class: Callable[[int, np.ndarray], np.ndarray], is_positive: Positives, counts: Weights, needs_negatives: bool
) -> Resampled:
    """The mean over classes of a mean over the positives of each; in a sample, only over classes that it has."""
    sums = np.zeros((len(counts), is_positive.shape[1]))
    positives = _sums(counts, is_positive)
    is_measured = positives > 0
    for c in np.flatnonzero(is_positive.any(axis=0)):
        sums[:, c] = of_class(int(c), np.flatnonzero(is_positive[:, c]))
    if needs_negatives:
        is_measured &= _sums(counts, ~is_positive) > 0
    means = sums / np.maximum(positives, 1) * is_measured
    return _ratio(means.sum(axis=1), is_measured.sum(axis=1).astype(np.float64))


def _sums(counts: Weights, what: Positives) -> Float[np.ndarray, "resample cls"]:
    return (counts @ what.astype(np.float32)).astype(np.float64)


def _ratio(above: Resampled, below: Resampled) -> Resampled:
    """NaN where nothing is below."""
    return np.divide(above, below, out=np.full(len(above), np.nan), where=below > 0)


_BY_DECISION: dict[str, Callable[[Positives, Positives, Weights], Resampled]] = {
    "accuracy": _accuracy,
    "balanced_accuracy": _by_class("recall"),
    **{part: _by_class(part) for part in ("precision", "recall", "f1")},
    **{f"{part}_weighted": _by_class(part, is_weighted=True) for part in ("precision", "recall", "f1")},
}
_BY_RANK: dict[str, Callable[[Scores, Positives, Weights], Resampled]] = {
    "mAP": _average_precision,
    "auc": _auc,
    "dprime": lambda *given: np.sqrt(2) * ndtri(_auc(*given)),
}
