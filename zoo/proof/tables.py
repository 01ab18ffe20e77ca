"""What runs and probes came to -> the tables of the results, with differences and their intervals."""

import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.compare.found_runs import described
from zoo.compare.runs import Outcome
from zoo.proof.differences import Judged, differences_of, further_pairs
from zoo.proof.planned import Planner
from zoo.proof.probing import FAILED
from zoo.proof.results import Difference, ResultRow, ResultTable, Value
from zoo.proof.rows import PlannedRow, PlannedTable

METRIC = "accuracy"


@dataclass(frozen=True)
class Found:
    """What has come to an end."""

    runs: Mapping[Path, Outcome]
    """By folder."""
    probes: Mapping[tuple[str, str], dict[str, Any]]
    """By task and pretraining."""
    failed_pretrainings: Mapping[str, str]
    """Name -> what ended it."""


@dataclass(frozen=True)
class _Row:
    """A row before it is held against another."""

    planned: PlannedRow
    values: tuple[Value, ...]
    summaries: tuple[dict[str, Any], ...] = ()
    """Of its runs; none of a probe."""
    failed: tuple[str, ...] = ()
    clips: int | None = None
    flops: float | None = None
    seconds: float | None = None
    parameters: int = 0


def result_table(planned: PlannedTable, found: Found, planner: Planner) -> ResultTable | None:
    """The table with all rows of which every run has ended, well or not; None where there is no such row."""
    rows = {row.row.name: one for row in planned.rows if (one := _row(row, planned, found)) is not None}
    if not any(row.values for row in rows.values()):
        return None
    held = {name: _reference(row, planned) for name, row in rows.items()}
    first = [(name, reference) for name, reference in held.items() if reference != name and reference in rows]
    further = further_pairs({name: row.planned.row for name, row in rows.items()}, first)
    judged = {name: Judged(row.values, row.summaries) for name, row in rows.items()}
    differences = differences_of(judged, [*first, *further])
    metric, chance = _metric_and_chance(rows)
    results = tuple(
        _result(
            row,
            differences.get((name, held[name])),
            tuple(differences[pair] for pair in further if pair[0] == name and pair in differences),
            planner,
        )
        for name, row in rows.items()
    )
    seeds = sorted({value.seed for row in rows.values() for value in row.values})
    folds = dict.fromkeys(value.fold for row in rows.values() for value in row.values if value.fold is not None)
    table = planned.table
    return ResultTable(
        kind=table.kind,
        task=planned.task.name,
        title=table.title,
        share=float(table.share),
        budget=_budget(planned),
        metric=metric,
        chance=chance,
        seeds=tuple(seeds),
        folds=tuple(folds),
        rows=results,
    )


def _row(planned: PlannedRow, table: PlannedTable, found: Found) -> _Row | None:
    """None where something of it is still to be done."""
    start = planned.row.start
    if start is not None and start in found.failed_pretrainings and not planned.row.untrained:
        return _Row(planned, (), failed=(f"its pretraining failed: {found.failed_pretrainings[start]}",))
    if planned.row.probe is not None:
        return _probe(planned, found.probes.get((table.task.name, str(start))))
    if any(run.folder not in found.runs for run in planned.runs):
        return None
    outcomes = [(run, found.runs[run.folder]) for run in planned.runs]
    summaries = tuple(
        described(outcome.summary, run.recipe, run.fold) for run, outcome in outcomes if outcome.summary is not None
    )
    values = tuple(Value(int(one["seed"]), one["fold"], float(one["metrics"][one["metric"]])) for one in summaries)
    clips = round(statistics.fmean(one["clips"] for one in summaries)) if summaries else planned.clips
    return _Row(
        planned,
        values,
        summaries,
        tuple(str(outcome.failed) for _, outcome in outcomes if outcome.summary is None),
        clips=clips,
        flops=float(clips) * planned.flops_per_clip,
        seconds=statistics.fmean(one["seconds"] for one in summaries) if summaries else 0.0,
        parameters=summaries[0]["parameters"] if summaries else 0,
    )


def _probe(planned: PlannedRow, report: dict[str, Any] | None) -> _Row | None:
    if report is None:
        return None
    wanted = ("untrained" if planned.row.untrained else "trained", planned.row.probe)
    if FAILED in report:
        return _Row(planned, (), failed=(report[FAILED],))
    row = next((one for one in report["rows"] if (one["features"], one["kind"]) == wanted), None)
    if row is None:
        return None
    values = tuple(Value(0, fold, float(one[report["metric"]])) for fold, one in row["folds"].items())
    return _Row(planned, values, parameters=report["parameters"])


def _result(row: _Row, difference: Difference | None, also: tuple[Difference, ...], planner: Planner) -> ResultRow:
    config = row.planned.row
    before = 0.0
    if config.start is not None and not config.untrained:
        before = planner.flops_of_pretraining(config.start)
    by_seed, by_fold = _means(row.values, "seed"), _means(row.values, "fold")
    what = ", ".join(filter(None, (config.what, row.planned.note)))
    return ResultRow(
        name=config.name,
        what=what,
        values=row.values,
        mean=statistics.fmean(by_seed) if by_seed else None,
        deviation=statistics.stdev(by_seed) if len(by_seed) > 1 else None,
        fold_deviation=statistics.stdev(by_fold) if len(by_fold) > 1 else None,
        difference=difference,
        clips=row.clips,
        flops=row.flops,
        total_flops=None if row.flops is None else row.flops + before,
        seconds=row.seconds,
        parameters=row.parameters,
        pretraining=None if config.untrained else config.start,
        failed=row.failed,
        form=config.form,
        role=config.role,
        also=also,
    )


def _means(values: Sequence[Value], by: str) -> list[float]:
    groups: dict[Any, list[float]] = defaultdict(list)
    for value in values:
        groups[getattr(value, by)].append(value.value)
    return [statistics.fmean(some) for some in groups.values()]


def _reference(row: _Row, table: PlannedTable) -> str:
    return row.planned.row.against or table.table.reference


def _metric_and_chance(rows: Mapping[str, _Row]) -> tuple[str, float | None]:
    """The metric, and its level for a model that knows nothing, mean over the folds."""
    for row in rows.values():
        if row.summaries:
            metric = str(row.summaries[0]["metric"])
            levels = {one["fold"]: one["chance"].get(metric) for one in row.summaries}
            known = [level for level in levels.values() if level is not None]
            return metric, statistics.fmean(known) if known else None
    return METRIC, None


def _budget(planned: PlannedTable) -> str:
    table, task = planned.table, planned.task
    clips = round(task.clips * table.clips)
    if table.flops_like is None:
        return f"{clips:,} clips"
    like = next((row for row in planned.rows if row.row.name == table.flops_like), None)
    flops = "" if like is None else f"{like.clips * like.flops_per_clip:.2g} operations, "
    return f"{flops}as many as {clips:,} clips cost {table.flops_like}"
