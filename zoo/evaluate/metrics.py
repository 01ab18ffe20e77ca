"""How good a classifier's scores are, in float64 and over the whole set at once.

A class that has no clip in the set cannot be measured: it is left out of every mean and counted, never scored 0.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float64, Num
from scipy.special import ndtri
from torch import Tensor

from zoo.data.labels import Task
from zoo.errors import DataError, ShapeError, ZooError
from zoo.evaluate.answers import clip_losses
from zoo.evaluate.class_metrics import ClassMetrics, class_metrics, rank_and_predict

Metrics = dict[str, float | int]
COUNTS = ("classes_without_positives", "classes_without_negatives")
"""Of a set's metrics, those that say nothing of the model."""
_NAMES_SHOWN = 5


def classification_metrics(
    scores: Num[Tensor, "n cls"],
    targets: Num[Tensor, "m cls2"],
    task: Task,
    names: Sequence[str] = (),
) -> Metrics:
    """The metrics of a whole set.

    Keys: `loss`, the mean cross-entropy (of several labels the mean of the binary ones), without the smoothing and the
    weights of training; for single-label `accuracy` (over clips) and `balanced_accuracy` (mean recall); `mAP` average
    precision, `auc` area under the ROC curve, each a mean over classes; `dprime`; `precision`, `recall`, `f1` (macro:
    means over classes) and the same with `_weighted` (means weighted by the clips of a class); then two counts of
    classes, `classes_without_positives` and `classes_without_negatives`. Means are over the classes that have
    positives, of `auc` also negatives. A metric that no class defines is NaN; `dprime` is infinite where `auc` is 1 or
    0.

    Args:
        scores: logits. For single-label, clips are ranked by the softmax. A multi-label class is predicted above 0.
        targets: 0 or 1; exactly one 1 a row for single-label.
        names: of the clips, for error texts; their row numbers stand in.

    Raises:
        ZooError: scores that are not finite, naming the clips. DataError: no clips, or targets that do not fit the
            task. ShapeError: sizes that differ.
    """
    return measure(scores, targets, task, names)[0]


def measure(
    scores: Num[Tensor, "n cls"], targets: Num[Tensor, "m cls2"], task: Task, names: Sequence[str] = ()
) -> tuple[Metrics, ClassMetrics]:
    """`classification_metrics`, and what they are means of: ranking all clips for every class is the costly part."""
    check_scores(scores, targets, task, names)
    metrics: Metrics = {"loss": float(clip_losses(scores.double(), targets.double(), task).mean())}
    if task == "single-label":
        _, is_predicted = rank_and_predict(scores, task)
        metrics["accuracy"] = float(is_predicted[targets.cpu().numpy() > 0.5].mean())
    per_class = class_metrics(scores, targets, task)
    return metrics | summarise(per_class, task), per_class


def summarise(per_class: ClassMetrics, task: Task) -> Metrics:
    """The metrics of a set that are means over its classes, and the counts of classes."""
    support = per_class.support
    measured = support > 0
    metrics: Metrics = {"balanced_accuracy": _mean(per_class.recall)} if task == "single-label" else {}
    metrics |= {"mAP": _mean(per_class.average_precision), "auc": _mean(per_class.auc)}
    metrics["dprime"] = dprime(metrics["auc"])
    values = {"precision": per_class.precision, "recall": per_class.recall, "f1": per_class.f1}
    metrics |= {name: _mean(of_class) for name, of_class in values.items()}
    for name, of_class in values.items():
        weighted = of_class[measured] * support[measured] / max(support.sum(), 1)
        metrics[f"{name}_weighted"] = float(weighted.sum()) if measured.any() else math.nan
    metrics["classes_without_positives"] = int((~measured).sum())
    metrics["classes_without_negatives"] = int((support == per_class.num_clips).sum())
    return metrics


def dprime(auc: float) -> float:
    """√2 Φ⁻¹(AUC): how many deviations apart two normal distributions with this area lie.

    Taken of the mean AUC over classes, as in the released code of AST (`src/utilities/stats.py`, `src/traintest.py`).
    """
    return math.sqrt(2) * float(ndtri(auc))


def finite_or_none(metrics: Mapping[str, float | int]) -> dict[str, float | int | None]:
    """For JSON, which has no NaN and no infinity: null for a metric that no class defines, or for an endless d'."""
    return {name: value if math.isfinite(value) else None for name, value in metrics.items()}


def check_scores(
    scores: Num[Tensor, "n cls"], targets: Num[Tensor, "m cls2"], task: Task, names: Sequence[str] = ()
) -> None:
    """Raises what `classification_metrics` raises."""
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


def _mean(values: Float64[np.ndarray, "cls"]) -> float:
    """Over the classes that have a value; NaN where none has."""
    there = values[~np.isnan(values)]
    return float(there.mean()) if there.size else math.nan
