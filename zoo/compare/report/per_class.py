"""How much better one model is than another at every class, from what both said of the same clips."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from zoo.data.labels import Task
from zoo.draws import stable_id
from zoo.evaluate.predictions import Predictions

MOST_CLASSES = 24
"""So many get an interval: those at both ends of the list."""
_MOST_DRAWS, _FEWEST_DRAWS = 400, 100
_COUNTS_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class ClassDifference:
    """Of one class: recall (single-label) or average precision (multi-label), a mean over runs."""

    label: str
    num_clips: int
    """Positives among the clips that both judged."""
    of_other: float
    of_reference: float
    low: float | None = None
    high: float | None = None
    """A 95 % bootstrap interval of the difference over clips; None where it was left out."""

    @property
    def difference(self) -> float:
        """Other less reference: above 0 the other is better."""
        return self.of_other - self.of_reference


@dataclass(frozen=True)
class Judged:
    """Runs of one model laid on the same clips."""

    names: tuple[str, ...]
    targets: Float[np.ndarray, "clip cls"]
    scores: Float[np.ndarray, "run clip cls"]
    """NaN where a run did not judge a clip."""


def class_differences(reference: Sequence[Predictions], other: Sequence[Predictions]) -> list[ClassDifference]:
    """Every class that has a clip, the other's greatest advantage first.

    Only clips that both judged count. The runs of a model may have judged the same clips (seeds) or clips of their own
    (folds). Empty where the two have no clip, or not the same labels, in common.
    """
    if not reference or not other:
        return []
    labels, task = reference[0].labels, reference[0].task
    if any(one.labels != labels or one.task != task for one in (*reference, *other)):
        return []
    one, two = lay_out(reference), lay_out(other)
    common = [name for name in one.names if name in set(two.names)]
    if not common:
        return []
    one, two = _only(one, common), _only(two, common)
    positives = one.targets.sum(axis=0)
    whole = np.ones((1, len(common)))
    values = [_values(model, task, whole, range(len(labels)))[0] for model in (one, two)]
    order = sorted(np.flatnonzero(positives), key=lambda c: values[0][c] - values[1][c])
    lows, highs = _intervals(one, two, task, [int(c) for c in at_both_ends(order)])
    return [
        ClassDifference(
            labels[c], int(positives[c]), float(values[1][c]), float(values[0][c]), lows.get(int(c)), highs.get(int(c))
        )
        for c in order
    ]


def at_both_ends(several: Sequence[Any], most: int = MOST_CLASSES) -> list[Any]:
    """The first and the last of many."""
    half = most // 2
    return list(several) if len(several) <= most else [*several[:half], *several[-half:]]


def lay_out(several: Sequence[Predictions]) -> Judged:
    """The scores of some runs, clip by clip."""
    names = tuple(dict.fromkeys(name for one in several for name in one.names))
    place = {name: i for i, name in enumerate(names)}
    num_classes = len(several[0].labels)
    scores = np.full((len(several), len(names), num_classes), np.nan, dtype=np.float32)
    targets = np.zeros((len(names), num_classes))
    for row, one in enumerate(several):
        at = [place[name] for name in one.names]
        scores[row, at] = one.scores.numpy()
        targets[at] = one.targets.numpy()
    return Judged(names, targets, scores)


def _only(model: Judged, names: Sequence[str]) -> Judged:
    """The clips of these names, in this order."""
    place = {name: i for i, name in enumerate(model.names)}
    at = [place[name] for name in names]
    return Judged(tuple(names), model.targets[at], model.scores[:, at])


def _values(
    model: Judged, task: Task, weights: Float[np.ndarray, "draw clip"], classes: Sequence[int] | range
) -> Float[np.ndarray, "draw cls"]:
    """The measure of every class where clip i counts `weights[:, i]` times; a mean over the runs. Classes that are not
    asked for, or have no positive, are NaN."""
    found = np.full((len(weights), model.targets.shape[1]), np.nan)
    is_judged = np.isfinite(model.scores[:, :, 0])
    if task == "single-label":
        truth = model.targets.argmax(axis=1)
        answers = np.where(np.isfinite(model.scores), model.scores, -np.inf).argmax(axis=2)
        right, count = ((answers == truth) & is_judged).sum(axis=0), is_judged.sum(axis=0)
        for c in classes:
            of_class = truth == c
            total = weights[:, of_class] @ count[of_class]
            found[:, c] = _divided(weights[:, of_class] @ right[of_class].astype(float), total)
        return found
    for c in classes:
        rows = [
            weighted_average_precision(run[there, c], model.targets[there, c] > 0.5, weights[:, there])
            for run, there in zip(model.scores, is_judged, strict=True)
        ]
        stacked = np.stack(rows)
        is_known = np.isfinite(stacked)
        found[:, c] = _divided(np.where(is_known, stacked, 0.0).sum(axis=0), is_known.sum(axis=0).astype(float))
    return found


def weighted_average_precision(
    scores: Float[np.ndarray, "clip"], is_positive: Bool[np.ndarray, "clip"], weights: Float[np.ndarray, "draw clip"]
) -> Float[np.ndarray, "draw"]:
    """Average precision where clip i counts `weights[:, i]` times, as if it stood so often in the list; clips of equal
    score stand together. NaN where no positive counts."""
    order = np.argsort(-scores, kind="stable")
    ends: Int[np.ndarray, "step"] = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)
    ordered = weights[:, order]
    hits = np.cumsum(ordered * is_positive[order], axis=1)[:, ends]
    seen = np.cumsum(ordered, axis=1)[:, ends]
    precision = np.where(seen > 0, hits / np.maximum(seen, 1e-12), 0.0)
    steps = np.diff(hits, axis=1, prepend=0.0)
    return _divided((steps * precision).sum(axis=1), hits[:, -1])


def _intervals(
    one: Judged, two: Judged, task: Task, classes: Sequence[int]
) -> tuple[dict[int, float], dict[int, float]]:
    """Class -> the 2.5th and the 97.5th percentile of the difference, over clips drawn with repetition. Both models
    get the same draws."""
    generator = np.random.default_rng(stable_id("report: clips drawn for the differences of classes"))
    num_clips = len(one.names)
    draws = min(_MOST_DRAWS, max(_FEWEST_DRAWS, _COUNTS_AT_ONCE // num_clips))
    weights = generator.multinomial(num_clips, np.full(num_clips, 1 / num_clips), size=draws).astype(float)
    drawn = _values(two, task, weights, classes) - _values(one, task, weights, classes)
    lows, highs = {}, {}
    for c in classes:
        known = drawn[np.isfinite(drawn[:, c]), c]
        if len(known) > draws // 2:
            lows[c], highs[c] = (float(value) for value in np.percentile(known, (2.5, 97.5)))
    return lows, highs


def _divided(above: Float[np.ndarray, "n"], below: Float[np.ndarray, "n"]) -> Float[np.ndarray, "n"]:
    """NaN where it is nothing that is divided by."""
    return np.where(below > 0, above / np.maximum(below, 1e-12), np.nan)
