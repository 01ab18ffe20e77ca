"""Rows of a table held against each other: over the runs that both have, so that nothing but the rows differs."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from zoo.compare.paired import against_reference
from zoo.compare.statistics import over_folds
from zoo.proof.config import RowConfig
from zoo.proof.results import Difference, Role, Value

Pair = tuple[str, str]
"""(row, the row that it is held against)."""
_ALSO_AGAINST: tuple[Role, ...] = ("scratch", "scratch-compute", "scratch-converged")
"""What pretrained rows are held against, whatever the reference of their table is."""


@dataclass(frozen=True)
class Judged:
    """What the runs of a row came to."""

    values: tuple[Value, ...]
    summaries: tuple[dict[str, Any], ...] = ()
    """Of the same runs in the same order, with their folders and folds; none of a probe."""

    def only(self, is_kept: Callable[[Value], bool]) -> "Judged":
        """A part of the runs."""
        kept = [place for place, value in enumerate(self.values) if is_kept(value)]
        summaries = tuple(self.summaries[place] for place in kept) if self.summaries else ()
        return Judged(tuple(self.values[place] for place in kept), summaries)


def further_pairs(rows: Mapping[str, RowConfig], first: Sequence[Pair]) -> list[Pair]:
    """Frames against patches in the same role, and pretrained rows against those from scratch of the same form.

    Args:
        rows: by name.
        first: pairs that there are already; none of them is given again, from either side.
    """
    found: list[Pair] = []
    for name, row in rows.items():
        patches = [o for o, other in rows.items() if other.role == row.role and other.form == "patch"]
        wanted = patches[:1] if row.form == "frame" and row.role != "other" else []
        if row.role == "pretrained":
            wanted += [o for o, other in rows.items() if other.role in _ALSO_AGAINST and other.form == row.form]
        found += [(name, other) for other in wanted if (name, other) not in first and (other, name) not in first]
    return found


def differences_of(rows: Mapping[str, Judged], pairs: Sequence[Pair]) -> dict[Pair, Difference]:
    """Of all pairs that have a fold in common.

    Both rows are cut to the seeds and folds that both have. Rows without a common seed keep all their seeds: means of
    other seeds are then compared.
    """
    found: dict[Pair, Difference] = {}
    alike: dict[tuple[str, tuple[Value, ...]], dict[str, Judged]] = defaultdict(dict)
    for name, reference in pairs:
        ours, theirs = _cut(rows[name], rows[reference])
        if not ours.values:
            continue
        if ours.summaries and theirs.summaries:
            alike[reference, theirs.values] |= {name: ours, reference: theirs}
        else:
            num_folds = max(len(_by_fold(rows[one].values)) for one in (name, reference))
            found[name, reference] = _over_folds(ours, theirs, reference, num_folds)
    for (reference, _), several in alike.items():
        groups = {name: one.summaries for name, one in several.items()}
        metric = str(groups[reference][0]["metric"])
        for name, versus in against_reference(groups, reference, metric).versus.items():
            low, high = versus.interval or (None, None)
            paired_low, paired_high = versus.clips_interval or (None, None)
            found[name, reference] = Difference(reference, versus.difference, low, high, paired_low, paired_high)
    return found


def _cut(ours: Judged, theirs: Judged) -> tuple[Judged, Judged]:
    runs = {(value.seed, value.fold) for value in ours.values} & {(value.seed, value.fold) for value in theirs.values}
    if runs:
        parts = [one.only(lambda value: (value.seed, value.fold) in runs) for one in (ours, theirs)]
    else:
        folds = {value.fold for value in ours.values} & {value.fold for value in theirs.values}
        parts = [one.only(lambda value: value.fold in folds) for one in (ours, theirs)]
    return parts[0], parts[1]


def _over_folds(ours: Judged, theirs: Judged, reference: str, num_folds: int) -> Difference:
    """Of a probe, whose answers to single clips are not kept: over folds alone."""
    means = [_by_fold(one.values) for one in (ours, theirs)]
    values = np.array([means[0][fold] - means[1][fold] for fold in means[0]])
    if len(values) < 2:
        return Difference(reference, float(values.mean()))
    found = over_folds(values, 1 / (num_folds - 1))
    low, high = found.interval or (None, None)
    return Difference(reference, found.value, low, high)


def _by_fold(values: Sequence[Value]) -> dict[str | None, float]:
    groups: dict[str | None, list[float]] = defaultdict(list)
    for value in values:
        groups[value.fold].append(value.value)
    return {fold: float(np.mean(some)) for fold, some in groups.items()}
