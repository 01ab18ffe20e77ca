"""What a classifier's scores are worth for every class on its own, in float64."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int, Num
from sklearn.metrics import average_precision_score, roc_auc_score
from torch import Tensor

from zoo.data.labels import Task

PerClass = Float64[np.ndarray, "cls"]


@dataclass(frozen=True)
class ClassMetrics:
    """A value for every class; NaN where the clips do not define it.

    Without a positive clip nothing is defined, without a negative one `auc` is not.
    """

    num_clips: int
    support: Int[np.ndarray, "cls"]
    """Clips that have the class."""
    average_precision: PerClass
    """The sum over distinct scores, from the highest, of (recall gained) × precision: tied clips come together."""
    auc: PerClass
    """The share of (positive, negative) pairs of clips in the right order, ties counting half."""
    precision: PerClass
    """TP / (TP + FP); 0 for a class that is never predicted."""
    recall: PerClass
    """TP / (TP + FN)."""
    f1: PerClass
    """2 TP / (2 TP + FP + FN)."""

    def rows(self, names: Sequence[str]) -> list[dict[str, Any]]:
        """Plain values for JSON, one class a row; null where a value is not defined."""
        columns = {
            "average_precision": self.average_precision,
            "auc": self.auc,
            "precision": self.precision,
            "recall": self.recall,
            "f1": self.f1,
        }
        return [
            {"class": name, "clips": int(self.support[c])}
            | {key: None if np.isnan(values[c]) else float(values[c]) for key, values in columns.items()}
            for c, name in enumerate(names)
        ]


def class_metrics(scores: Num[Tensor, "n cls"], targets: Num[Tensor, "n cls"], task: Task) -> ClassMetrics:
    """The values of every class over a whole set of checked scores (`zoo.evaluate.metrics.check_scores`).

    Args:
        scores: logits. Of single-label, clips are ranked by the softmax and the greatest logit is predicted, the first
            of equals; a multi-label class is predicted above 0.
        targets: 0 or 1.
    """
    is_positive = targets.cpu().numpy() > 0.5
    ranking, is_predicted = rank_and_predict(scores, task)
    num_clips, num_classes = is_positive.shape
    support = is_positive.sum(axis=0)
    num_right = (is_predicted & is_positive).sum(axis=0)
    num_predicted = is_predicted.sum(axis=0)
    has_positives = support > 0
    average_precision, auc = np.full(num_classes, np.nan), np.full(num_classes, np.nan)
    for c in np.flatnonzero(has_positives):
        average_precision[c] = average_precision_score(is_positive[:, c], ranking[:, c])
    for c in np.flatnonzero(has_positives & (support < num_clips)):
        auc[c] = roc_auc_score(is_positive[:, c], ranking[:, c])
    return ClassMetrics(
        num_clips=num_clips,
        support=support,
        average_precision=average_precision,
        auc=auc,
        precision=np.where(has_positives, num_right / np.maximum(num_predicted, 1), np.nan),
        recall=np.where(has_positives, num_right / np.maximum(support, 1), np.nan),
        f1=np.where(has_positives, 2 * num_right / np.maximum(num_predicted + support, 1), np.nan),
    )


def rank_and_predict(
    scores: Num[Tensor, "n cls"], task: Task
) -> tuple[Float64[np.ndarray, "n cls"], Bool[np.ndarray, "n cls"]]:
    """(What clips are ranked by, which classes are predicted)."""
    logits = scores.detach().double().cpu()
    if task == "single-label":
        return log_odds(logits).numpy(), np.eye(logits.shape[1], dtype=bool)[logits.numpy().argmax(axis=1)]
    return logits.numpy(), logits.numpy() > 0


def log_odds(logits: Float64[Tensor, "n cls"]) -> Float64[Tensor, "n cls"]:
    """log(p / (1 - p)) of the softmax p: ranks clips as p does, but keeps apart sure answers, which tie at p = 1.

    Clips of equal p tie here too, whatever was added to all logits of a clip and in whatever order the others stand.
    """
    if logits.shape[1] == 1:
        return torch.zeros_like(logits)  # p is always 1
    logits = logits - logits.amax(dim=1, keepdim=True)
    in_order = logits.sort(dim=1).values  # sums do not depend on the order of the classes
    total = in_order.logsumexp(dim=1, keepdim=True)
    # Where p is near 1, 1 - p is lost to rounding; the greatest logits, now 0, are taken against the others instead.
    of_greatest = -in_order[:, :-1].logsumexp(dim=1, keepdim=True)
    return torch.where(logits == 0, of_greatest, logits - total - torch.log1p(-(logits - total).exp()))
