"""How the clips of a recipe spread over classes and folds, and how they are balanced."""

from collections import Counter
from collections.abc import Sequence
from statistics import median
from typing import Any

import numpy as np

from zoo.data.labels import LabelTable
from zoo.data.manifest import Manifest
from zoo.recipe import Recipe
from zoo.run.balance import class_weights, sampling_weights
from zoo.run.data import FoundData

_FOLDS_SHOWN = 20


def describe_classes(recipe: Recipe, found: FoundData) -> dict[str, Any]:
    """Least, median and most clips of a class, clips by fold, and what balancing makes of them; keys that apply."""
    report: dict[str, Any] = {}
    train, labels = found.train, found.labels
    sides = {
        name: one for name, one in (("train", train), ("eval", found.eval), ("test", found.test)) if one is not None
    }
    if labels is not None:
        report |= {f"{name}_clips_per_class": _spread(labels, labels.counts(one)) for name, one in sides.items()}
    report |= {f"{name}_clips_per_fold": folds for name, one in sides.items() if (folds := _clips_by_fold(one))}
    if train is None:
        return report
    weights = sampling_weights(recipe, train, labels)
    if weights is not None:
        report["sampling"] = {
            "kind": recipe.data.sampling.kind,
            "clips_per_epoch": recipe.data.sampling.clips_in_epoch(len(train)),
            "clips_that_can_be_drawn": int(np.count_nonzero(weights)),
        }
        if labels is not None:
            shares = np.zeros(len(labels))
            for weight, places in zip((weights / weights.sum()).tolist(), labels.all_places(train), strict=True):
                shares[list(places)] += weight
            report["share_of_draws_per_class"] = _spread(labels, shares.tolist())
    weighed = class_weights(recipe, train, labels)
    if weighed is not None and labels is not None:
        report["class_weights"] = _spread(labels, weighed.positive.tolist())
    return report


def _spread(labels: LabelTable, values: Sequence[float | int]) -> dict[str, Any]:
    """The least, middle and greatest value, with the classes that have them."""
    least, most = int(np.argmin(values)), int(np.argmax(values))
    return {
        "least": f"{_number(values[least])} ({labels.names[least]})",
        "median": _number(median(values)),
        "most": f"{_number(values[most])} ({labels.names[most]})",
    }


def _number(value: float | int) -> str:
    return f"{value:,.4g}" if value % 1 else f"{value:,.0f}"


def _clips_by_fold(manifest: Manifest) -> dict[str, int]:
    """Clips of every fold, by fold; nothing where there are none, or too many to read."""
    counted = Counter(clip.fold for clip in manifest.clips if clip.fold is not None)
    if len(counted) > _FOLDS_SHOWN:
        return {}
    return {fold: counted[fold] for fold in sorted(counted, key=lambda fold: (len(fold), fold))}
