"""How good a classifier's scores are, in float64 and over the whole set at once.

A class that has no clip in the set cannot be measured: it is left out of every mean and counted, never scored 0.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Num
from sklearn.metrics import average_precision_score, roc_auc_score
from torch import Tensor

from zoo.data.labels import Task
from zoo.errors import DataError, ShapeError, ZooError

Metrics = dict[str, float | int]
_NAMES_SHOWN = 5


def classification_metrics(
    scores: Num[Tensor, "n cls"],
    targets: Num[Tensor, "m cls2"],
    task: Task,
    names: Sequence[str] = (),
) -> Metrics:
    """The metrics of a whole set.

    Keys, each a mean over the classes that have positives (for `auc` also negatives):
    `mAP` average precision, `auc` area under the ROC curve, `f1` (macro), and, for single-label only, `accuracy` (a
    mean over clips, not classes) and `balanced_accuracy` (mean recall); then `classes_without_positives`, a count.
    A metric that no class defines is NaN.

    Args:
        scores: logits. For single-label, clips are ranked by the softmax. A multi-label class is predicted above 0.
        targets: 0 or 1; exactly one 1 a row for single-label.
        names: of the clips, for error texts; their row numbers stand in.

    Raises:
        ZooError: scores that are not finite, naming the clips. DataError: no clips, or targets that do not fit the
            task. ShapeError: sizes that differ.
    """
    _check(scores, targets, task, names)
    is_positive = targets.cpu().numpy() > 0.5
    logits = scores.double().cpu()
    if task == "single-label":
        ranking = log_odds(logits).numpy()
        is_predicted = np.eye(logits.shape[1], dtype=bool)[logits.numpy().argmax(axis=1)]
    else:
        ranking = logits.numpy()
        is_predicted = ranking > 0
    metrics: Metrics = {}
    num_positives = is_positive.sum(axis=0)
    has_positives = num_positives > 0
    if task == "single-label":
        is_right = (is_predicted & is_positive).any(axis=1)
        recalls = (is_predicted & is_positive).sum(axis=0)[has_positives] / num_positives[has_positives]
        metrics["accuracy"] = float(is_right.mean())
        metrics["balanced_accuracy"] = float(recalls.mean())
    measured = np.flatnonzero(has_positives)
    both = np.flatnonzero(has_positives & (num_positives < len(ranking)))
    metrics["mAP"] = _mean([average_precision_score(is_positive[:, c], ranking[:, c]) for c in measured])
    metrics["auc"] = _mean([roc_auc_score(is_positive[:, c], ranking[:, c]) for c in both])
    metrics["f1"] = _mean(list(f1_scores(is_predicted, is_positive)[has_positives]))
    metrics["classes_without_positives"] = int((~has_positives).sum())
    return metrics


def finite_or_none(metrics: Mapping[str, float | int]) -> dict[str, float | int | None]:
    """For JSON, which has no NaN: a metric that no class defines is null."""
    return {name: value if math.isfinite(value) else None for name, value in metrics.items()}


def f1_scores(
    is_predicted: Bool[np.ndarray, "n cls"], is_positive: Bool[np.ndarray, "n cls"]
) -> Float[np.ndarray, "cls"]:
    """2 TP / (2 TP + FP + FN) of every class; 0 where a class is neither there nor predicted."""
    num_right = (is_predicted & is_positive).sum(axis=0)
    return 2.0 * num_right / np.maximum(is_predicted.sum(axis=0) + is_positive.sum(axis=0), 1)


def log_odds(logits: Float64[Tensor, "n cls"]) -> Float64[Tensor, "n cls"]:
    """log(p / (1 - p)) of the softmax p: ranks clips as p does, but keeps apart sure answers, which tie at p = 1."""
    if logits.shape[1] == 1:
        return torch.zeros_like(logits)  # p is always 1
    total = logits.logsumexp(dim=1, keepdim=True)
    odds = logits - total - torch.log1p(-(logits - total).exp())
    # Where p is near 1, 1 - p is lost to rounding; the one such class of a row is taken against the others instead.
    best, winner = logits.max(dim=1, keepdim=True)
    others = logits.scatter(1, winner, -torch.inf).logsumexp(dim=1, keepdim=True)
    return odds.scatter(1, winner, best - others)


def _check(scores: Tensor, targets: Tensor, task: Task, names: Sequence[str]) -> None:
    if scores.shape != targets.shape:
        raise ShapeError(
            f"evaluation: found scores {tuple(scores.shape)} against targets {tuple(targets.shape)} (clips, classes) - "
            "expected the same - is this the label table the model was trained with?"
        )
    if scores.numel() == 0:
        raise DataError("evaluation: found no clip with a score - expected at least one - check the evaluation data")
    bad = (~scores.isfinite().all(dim=1)).nonzero()[:, 0].tolist()
    if bad:
        raise ZooError(
            f"evaluation: found scores that are not finite for {len(bad)} of {len(scores)} clips "
            f"({_named(bad, names)}) - expected finite numbers - did training diverge? look at these clips"
        )
    is_wrong = ((targets != 0) & (targets != 1)).any(dim=1)
    if task == "single-label":
        is_wrong |= targets.sum(dim=1) != 1
    wrong = is_wrong.nonzero()[:, 0].tolist()
    if wrong:
        expected = "exactly one 1 and else 0" if task == "single-label" else "0 or 1 for every class"
        raise DataError(
            f"evaluation: found targets of another kind for {len(wrong)} clips ({_named(wrong, names)}) - "
            f"expected {expected} with data.task {task} - check the labels"
        )


def _named(rows: Sequence[int], names: Sequence[str]) -> str:
    shown = ", ".join(names[row] if row < len(names) else f"row {row}" for row in rows[:_NAMES_SHOWN])
    return shown + (f" and {len(rows) - _NAMES_SHOWN} more" if len(rows) > _NAMES_SHOWN else "")


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else float("nan")
