"""Folds of a set of clips: equal in size and labels, and without a leak between them when made of groups.

A fold is a function of the clips' ids, labels, splits and groups, and of the seed: the order of the rows and the
machine play no part. The rule is the greedy one of iterative stratification (Sechidis, Tsoumakas and Vlahavas 2011) for
units that may be whole groups: what is hardest to place comes first, and goes where it raises the chi-square statistic
of labels and sizes over the folds least. scikit-learn has no such rule for clips with several labels; for one label a
clip the numbers are those of its `StratifiedKFold`, and for groups about as even as its `StratifiedGroupKFold`.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal

import torch
from pydantic import Field

from zoo.config import Config
from zoo.data.clip import Clip
from zoo.data.problems import listed
from zoo.draws import clip_keys, combine, stable_id
from zoo.errors import DataError

By = Literal["label", "group", "clip"]

_FOLDS = stable_id("folds")
Signature = tuple[tuple[str, int], ...]
"""What a unit weighs: how many clips it has of every label and split, and in all."""


class FoldsConfig(Config):
    """Folds that are made when the file is read."""

    num: Annotated[int, Field(ge=2, le=1000)]
    """How many."""
    by: By
    """`group`: a group (speaker, kit, recording) is in one fold only, labels and sizes are about equal. `label`: every
    fold has its share of every label. `clip`: drawn at random."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Another number gives other folds. It is not the recipe's: runs with other seeds have the same folds."""


@dataclass(slots=True)
class _Unit:
    """What goes into a fold as a whole: a clip, or all clips of a group."""

    name: str
    members: list[int] = field(default_factory=list)
    key: int = 0


def assign_folds(
    clips: Sequence[Clip], num_folds: int, by: By, seed: int = 0, source: str = "folds"
) -> tuple[int, ...]:
    """The fold of every clip, 1 to `num_folds`; every fold has a clip.

    Within each split the shares are as even as over all. `source` is what messages call the clips.

    Raises: `DataError` for fewer clips or groups than folds, clips without a group, and no labels to go by.
    """
    bins = _bins(clips, by, source)
    units = [unit for members in bins.values() for unit in members]
    if len(units) < num_folds:
        what = "groups" if by == "group" else "clips"
        raise DataError(
            f"{source}: {len(units)} {what} for {num_folds} folds - expected at least one a fold - make fewer folds"
        )
    keys = clip_keys(combine(seed, _FOLDS), 0, torch.tensor([stable_id(unit.name) for unit in units])).tolist()
    for unit, key in zip(units, keys, strict=True):
        unit.key = key
    folds = [0] * len(clips)

    def put(unit: _Unit, fold: int) -> None:
        for member in unit.members:
            folds[member] = fold + 1

    # Units that weigh the same are dealt out evenly; what is left of each kind is placed one by one.
    left: list[tuple[Signature, _Unit]] = []
    for signature, alike in bins.items():
        alike.sort(key=_order)
        even = len(alike) - len(alike) % num_folds
        for place, unit in enumerate(alike[:even]):
            put(unit, place % num_folds)
        left += [(signature, unit) for unit in alike[even:]]
    totals: Counter[str] = Counter()
    for signature, alike in bins.items():
        for stratum, count in signature:
            totals[stratum] += count * len(alike)
    hardness = {signature: sum(count * count / totals[one] for one, count in signature) for signature in bins}
    left.sort(key=lambda item: (-hardness[item[0]], _order(item[1])))
    loads: dict[str, list[int]] = {stratum: [0] * num_folds for stratum in totals}
    for signature, unit in left:
        costs = [0.0] * num_folds
        for stratum, count in signature:
            share = count / totals[stratum]
            costs = [cost + load * share for cost, load in zip(costs, loads[stratum], strict=True)]
        first = unit.key % num_folds  # of equally good folds, the first from a random one on
        least = min(costs)
        best = costs.index(least, first) if least in costs[first:] else costs.index(least)
        put(unit, best)
        for stratum, count in signature:
            loads[stratum][best] += count
    return tuple(folds)


def fold_notes(clips: Sequence[Clip], num_folds: int, by: By, source: str) -> tuple[str, ...]:
    """What folds made of these clips cannot have: labels that occur in fewer clips or groups than there are folds."""
    if by == "clip":
        return ()
    holders: dict[str, set[str | int | None]] = defaultdict(set)
    for number, clip in enumerate(clips):
        for label in clip.labels:
            if len(holders[label]) < num_folds:
                holders[label].add(clip.group if by == "group" else number)
    thin = sorted((len(held), label) for label, held in holders.items() if len(held) < num_folds)
    if not thin:
        return ()
    units = "groups" if by == "group" else "clips"
    named = listed([f"{label} ({count})" for count, label in thin])
    return (f"{source}: in fewer {units} than the {num_folds} folds, and so missing from some: {named}",)


def _order(unit: _Unit) -> tuple[int, str]:
    return unit.key, unit.name


def _bins(clips: Sequence[Clip], by: By, source: str) -> dict[Signature, list[_Unit]]:
    """The units that weigh the same, by what they weigh."""
    if by == "label" and not any(clip.labels for clip in clips):
        raise DataError(f"{source}: no clip has a label - expected labels for folds by label - choose by: clip")
    bins: dict[Signature, list[_Unit]] = defaultdict(list)
    if by != "group":
        known: dict[tuple[tuple[str, ...], str | None], Signature] = {}
        for number, clip in enumerate(clips):
            labels = clip.labels if by == "label" else ()
            if (labels, clip.split) not in known:
                known[labels, clip.split] = _signature(Counter(_strata(labels, clip.split)))
            bins[known[labels, clip.split]].append(_Unit(clip.id, [number]))
        return bins
    bare = [clip for clip in clips if clip.group is None]
    if bare:
        raise DataError(
            f"{bare[0].where}: no group ({len(bare):,} of {len(clips):,} clips have none) - expected the group of "
            "every clip for folds by group - fill the column, name it in data.columns, or choose by: label"
        )
    groups: dict[str, _Unit] = {}
    weights: dict[str, Counter[str]] = defaultdict(Counter)
    for number, clip in enumerate(clips):
        name = str(clip.group)
        groups.setdefault(name, _Unit(name)).members.append(number)
        weights[name].update(_strata(clip.labels, clip.split))
    for name, unit in groups.items():
        bins[_signature(weights[name])].append(unit)
    return bins


def _strata(labels: tuple[str, ...], split: str | None) -> list[str]:
    """What shall be even over the folds: the number of clips, every label, and every split."""
    strata = ["clips", *(f"label {name}" for name in labels)]
    return strata if split is None else [*strata, f"split {split}"]


def _signature(counts: Counter[str]) -> Signature:
    return tuple(sorted(counts.items()))
