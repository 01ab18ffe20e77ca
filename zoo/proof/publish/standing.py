"""Which rows are held against each other, and how far apart they are."""

import statistics
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from zoo.compare.statistics import over_folds
from zoo.proof.results import Difference, Form, ProofResults, ResultRow, ResultTable, Role

FORMS: tuple[Form, ...] = ("patch", "frame")
BAR = 0.08
"""What pretraining is asked to give above scratch."""


@dataclass(frozen=True)
class Gain:
    """How far a row is above another one, with the intervals at 95 % that are known."""

    mean: float
    over_folds: tuple[float, float] | None
    over_clips: tuple[float, float] | None

    @property
    def is_clear_gain(self) -> bool:
        """Above 0 in every interval that is known, of one or more."""
        known = [one for one in (self.over_folds, self.over_clips) if one is not None]
        return self.mean > 0 and bool(known) and all(low > 0 for low, _ in known)

    @property
    def is_clear_loss(self) -> bool:
        """Below 0 in every interval that is known, of one or more."""
        known = [one for one in (self.over_folds, self.over_clips) if one is not None]
        return self.mean < 0 and bool(known) and all(high < 0 for _, high in known)

    @property
    def meets_bar(self) -> bool:
        """At least 8 points, and 0 is outside the paired interval."""
        return self.mean >= BAR - 1e-9 and self.over_clips is not None and self.over_clips[0] > 0

    def negated(self) -> "Gain":
        """Seen from the other row."""
        turned = [None if one is None else (-one[1], -one[0]) for one in (self.over_folds, self.over_clips)]
        return Gain(-self.mean, turned[0], turned[1])


def main_tables(results: ProofResults, task: str | None = None) -> list[ResultTable]:
    """The tables on pretraining with all labels, of one task or of all."""
    return [
        table
        for table in results.tables
        if table.kind == "ssast" and table.share == 1.0 and (task is None or table.task == task)
    ]


def tasks_of(tables: list[ResultTable]) -> list[str]:
    """In the order in which they first come."""
    return list(dict.fromkeys(table.task for table in tables))


def rows_of(table: ResultTable, role: Role, form: Form | None = None) -> list[ResultRow]:
    """Rows of a role with results; of any form where none is asked for. A row without a form is of any."""
    done = [row for row in table.rows if row.role == role and row.mean is not None]
    return [row for row in done if form is None or row.form in (form, None)]


def pairs(
    results: ProofResults, task: str, role: Role, against: Role
) -> Iterator[tuple[ResultTable, ResultRow, ResultRow]]:
    """(table, row, the row of the same form that it is held against), where a table of a task has both."""
    for table in main_tables(results, task):
        for row in rows_of(table, role):
            for other in rows_of(table, against, row.form)[:1]:
                yield table, row, other


def gain(results: ProofResults, table: ResultTable, row: ResultRow, other: ResultRow) -> Gain | None:
    """How far `row` is above `other`; None where either has no result.

    As the results have it, from either side; else from the values of the runs, over the seeds and folds that both
    rows have, where the interval over folds follows from them and nothing is known of clips.
    """
    if row.mean is None or other.mean is None:
        return None
    for one, reference, is_turned in ((row, other, False), (other, row, True)):
        for known in (one.difference, *one.also):
            if known is not None and known.reference == reference.name:
                found = _from(known)
                return found.negated() if is_turned else found
    differences = list(_by_fold(row, other).values())
    mean = statistics.fmean(differences) if differences else row.mean - other.mean
    if len(differences) < 2:
        return Gain(mean, None, None)
    task = results.data.tasks.get(table.task)
    folds = max(task.folds if task else 0, len(differences))
    return Gain(mean, over_folds(np.array(differences), 1 / (folds - 1)).interval, None)


def _from(known: Difference) -> Gain:
    folds = None if known.low is None or known.high is None else (known.low, known.high)
    clips = None if known.paired_low is None or known.paired_high is None else (known.paired_low, known.paired_high)
    return Gain(known.mean, folds, clips)


def seeds_of(row: ResultRow) -> tuple[int, ...]:
    """Of its runs that have a result."""
    return tuple(sorted({value.seed for value in row.values}))


def later_folds(row: ResultRow, other: ResultRow) -> float | None:
    """The mean difference over the folds 3, 4 and so on, over the seeds that both have; None where there are none."""
    differences = [value for fold, value in _by_fold(row, other).items() if fold.isdecimal() and int(fold) > 2]
    return statistics.fmean(differences) if differences else None


def _by_fold(row: ResultRow, other: ResultRow) -> dict[str, float]:
    """The difference in each fold, over the seeds that both rows have there."""
    theirs = {(value.fold, value.seed): value.value for value in other.values}
    found: dict[str, list[float]] = {}
    for value in row.values:
        if value.fold is not None and (value.fold, value.seed) in theirs:
            found.setdefault(value.fold, []).append(value.value - theirs[value.fold, value.seed])
    return {fold: statistics.fmean(values) for fold, values in found.items()}
