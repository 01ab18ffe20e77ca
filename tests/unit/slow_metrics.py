"""The metrics by slow, obvious formulas in plain Python: a sweep over thresholds, pairs counted, hits counted."""

import math
from collections.abc import Sequence
from decimal import Context, Decimal, localcontext
from statistics import NormalDist

Scores = Sequence[Sequence[float]]
"""Of every clip, a score for every class."""
Answers = Sequence[Sequence[bool]]

_DIGITS = 60
_SAME = Context(prec=30)
"""Odds that agree so far are the same, written down in two ways."""


def odds(row: Sequence[float]) -> list[Decimal]:
    """p / (1 - p) of the softmax p, so exact that clips of equal probability tie and no others do."""
    with localcontext() as context:
        context.prec = _DIGITS
        powers = [(Decimal(score) - Decimal(max(row))).exp() for score in row]
        others = [sum(powers[:c] + powers[c + 1 :]) for c in range(len(row))]
        return [_SAME.plus(power / other) if other else Decimal(1) for power, other in zip(powers, others, strict=True)]


def average_precision(scores: Sequence[float | Decimal], positive: Sequence[bool]) -> float:
    """Sum over distinct thresholds of (recall gained) × precision."""
    total, before = 0.0, 0.0
    for threshold in sorted(set(scores), reverse=True):
        taken = [p for s, p in zip(scores, positive, strict=True) if s >= threshold]
        recall = sum(taken) / sum(positive)
        total += (recall - before) * sum(taken) / len(taken)
        before = recall
    return total


def area_under_roc(scores: Sequence[float | Decimal], positive: Sequence[bool]) -> float:
    """The share of (positive, negative) pairs in the right order; a tie is half right."""
    yes = [s for s, p in zip(scores, positive, strict=True) if p]
    no = [s for s, p in zip(scores, positive, strict=True) if not p]
    return sum(1.0 if a > b else 0.5 if a == b else 0.0 for a in yes for b in no) / (len(yes) * len(no))


def dprime(area: float) -> float:
    """√2 Φ⁻¹(AUC)."""
    if math.isnan(area):
        return math.nan
    if area in (0.0, 1.0):
        return math.inf if area else -math.inf
    return math.sqrt(2) * NormalDist().inv_cdf(area)


def mean(values: Sequence[float]) -> float:
    """NaN of nothing."""
    return sum(values) / len(values) if values else math.nan


def slow_class_metrics(scores: Scores, positive: Answers, task: str) -> list[dict[str, float]]:
    """A dict for every class; only what it defines."""
    num_classes = len(scores[0])
    ranks = [odds(row) for row in scores] if task == "single-label" else scores
    found: list[dict[str, float]] = []
    for c in range(num_classes):
        truth = [bool(row[c]) for row in positive]
        said = [row[c] > 0 if task == "multi-label" else list(row).index(max(row)) == c for row in scores]
        ranked = [row[c] for row in ranks]
        values: dict[str, float] = {"support": sum(truth)}
        if any(truth):
            true_positives = sum(a and b for a, b in zip(said, truth, strict=True))
            false_positives = sum(a and not b for a, b in zip(said, truth, strict=True))
            false_negatives = sum(b and not a for a, b in zip(said, truth, strict=True))
            precision = true_positives / (true_positives + false_positives) if any(said) else 0.0
            recall = true_positives / (true_positives + false_negatives)
            f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
            values |= {"precision": precision, "recall": recall, "f1": f1}
            values["average_precision"] = average_precision(ranked, truth)
            if not all(truth):
                values["auc"] = area_under_roc(ranked, truth)
        found.append(values)
    return found


def _cross_entropy(row: Sequence[float], truth: Sequence[bool], task: str) -> float:
    """-log p of what is true; of several labels the mean over the classes."""
    with localcontext() as context:
        context.prec = _DIGITS
        powers = [Decimal(score).exp() for score in row]
        if task == "single-label":
            return -float((powers[list(truth).index(True)] / sum(powers)).ln())
        shares = [
            power / (1 + power) if is_true else 1 / (1 + power) for power, is_true in zip(powers, truth, strict=True)
        ]
        return mean([-float(share.ln()) for share in shares])


def slow_metrics(scores: Scores, positive: Answers, task: str) -> dict[str, float]:
    """All that `zoo.evaluate.metrics.classification_metrics` gives."""
    per_class = slow_class_metrics(scores, positive, task)

    def macro(name: str) -> float:
        return mean([values[name] for values in per_class if name in values])

    def weighted(name: str) -> float:
        clips = sum(values["support"] for values in per_class)
        return sum(v[name] * v["support"] for v in per_class if name in v) / clips if clips else math.nan

    result: dict[str, float] = {
        "loss": mean([_cross_entropy(*pair, task) for pair in zip(scores, positive, strict=True)])
    }
    if task == "single-label":
        result["accuracy"] = mean(
            [float(truth[list(row).index(max(row))]) for row, truth in zip(scores, positive, strict=True)]
        )
        result["balanced_accuracy"] = macro("recall")
    result |= {"mAP": macro("average_precision"), "auc": macro("auc"), "dprime": dprime(macro("auc"))}
    result |= {name: macro(name) for name in ("precision", "recall", "f1")}
    result |= {f"{name}_weighted": weighted(name) for name in ("precision", "recall", "f1")}
    result["classes_without_positives"] = sum(values["support"] == 0 for values in per_class)
    result["classes_without_negatives"] = sum(values["support"] == len(scores) for values in per_class)
    return result
