"""Summaries of runs -> one table, with what makes it fair or unfair said beside it."""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from zoo.compare.cells import flags_of, mark_of
from zoo.compare.costs import Costs
from zoo.compare.fairness import check_comparable, check_runs
from zoo.compare.finished import unusable_in_words
from zoo.compare.paired import against_reference
from zoo.compare.row import Comparison, Row, Versus
from zoo.errors import DataError

_NEEDED = ("metric", "metrics", "kind", "parameters", "flops_per_clip", "clips", "seconds", "clips_per_second")


def row_from_summaries(
    name: str,
    summaries: Sequence[Mapping[str, Any]],
    metric: str,
    *,
    costs: Costs | None = None,
    versus: Versus | None = None,
    flags: Sequence[str] = (),
    failed: Sequence[str] = (),
) -> Row:
    """One row from the `summary.json` of the runs of one recipe, which differ in their seed and their fold."""
    first = summaries[0]
    values = []
    for summary in summaries:
        value = summary["metrics"].get(metric)
        if value is None or not math.isfinite(value):
            known = ", ".join(sorted(summary["metrics"])) or "none"
            raise DataError(
                f"{summary.get('folder', name)}: its summary has no finite '{metric}' - it has {known} - "
                "compare runs of one task, evaluated on labelled clips"
            )
        values.append(float(value))
    pretraining = first.get("init") or {}
    return Row(
        name=name,
        kind=first["kind"],
        values=tuple(values),
        parameters=first["parameters"],
        flops_per_clip=first["flops_per_clip"],
        clips=first["clips"],
        seconds=statistics.fmean(s["seconds"] for s in summaries),
        clips_per_second=statistics.fmean(s["clips_per_second"] for s in summaries),
        pretraining_clips=pretraining.get("clips") or 0,
        pretraining_seconds=pretraining.get("seconds") or 0.0,
        runs=tuple(str(s.get("folder", "")) for s in summaries),
        seeds=tuple(int(s.get("seed") or 0) for s in summaries),
        folds=tuple(dict.fromkeys(str(s["fold"]) for s in summaries if s.get("fold") is not None)),
        costs=costs or Costs(starts_from=(pretraining.get("name") or pretraining.get("from"))),
        versus=versus,
        flags=tuple(flags),
        failed=tuple(failed),
    )


def compare_summaries(
    groups: Mapping[str, Sequence[Mapping[str, Any]]],
    metric: str | None = None,
    *,
    reference: str | None = None,
    costs: Mapping[str, Costs] | None = None,
    failed: Mapping[str, Sequence[str]] | None = None,
    allow_unfair: bool = False,
    clips_may_differ: bool = False,
) -> Comparison:
    """One table from named groups of summaries. Where these have their `folder`, its predictions give the statistics.

    Args:
        metric: None is the one that the runs were judged by.
        reference: the contender against which the others are tested; None is the first.
        costs: by contender.
        failed: by contender, what ended each run that failed; a contender may have no other runs.
        allow_unfair: flag rather than refuse, see `zoo.compare.fairness`.
        clips_may_differ: clips seen are unequal by intent, at an equal budget of something else.

    Raises:
        DataError: the runs were not evaluated on the same clips, task and labels, so that their numbers do not compare.
    """
    costs, failed = costs or {}, failed or {}
    done = {name: list(summaries) for name, summaries in groups.items() if summaries}
    flat = [(name, summary) for name, summaries in done.items() for summary in summaries]
    if not flat:
        raise DataError("compare: found no runs - expected at least one recipe or run folder")
    for name, summary in flat:
        missing = [key for key in _NEEDED if key not in summary]
        if missing:
            raise DataError(f"{name}: its summary.json lacks {', '.join(missing)} - expected the file that a run wrote")
    reference = reference or next(iter(groups))
    if reference not in groups:
        raise DataError(f"reference: '{reference}' - expected one of {', '.join(groups)} - choose one of them")
    if reference in done:
        done = {reference: done[reference], **done}
    check_runs(done, tuple(failed), allow_unfair)
    differing = check_comparable(done, allow_unfair, ("clips",) if clips_may_differ else ())
    metric = metric or str(flat[0][1]["metric"])
    plain = {name: row_from_summaries(name, summaries, metric) for name, summaries in done.items()}
    tests = against_reference(done, reference, metric) if reference in done and len(done) > 1 else None
    rows = [
        row_from_summaries(
            name,
            done[name],
            metric,
            costs=costs.get(name),
            versus=tests.versus.get(name) if tests else None,
            flags=differing[name],
            failed=failed.get(name, ()),
        )
        for name in plain
    ]
    rows.sort(key=lambda row: row.mean if metric == "loss" else -row.mean)
    rows += [_failed_row(name, failed.get(name, ())) for name in groups if name not in done]
    first = done[next(iter(done))]
    return _with_remarks(
        Comparison(
            metric=metric,
            chance=(first[0].get("chance") or {}).get(metric),
            num_eval_clips=sum({str(s.get("fold")): int(s["num_eval_clips"]) for s in first}.values()),
            rows=tuple(rows),
            reference=reference,
        ),
        done,
        tests.remarks if tests else [],
    )


def _failed_row(name: str, lines: Sequence[str]) -> Row:
    """A contender of which no run came to its end."""
    return Row(name, _NOTHING, (), 0, 0, 0, 0.0, 0.0, failed=tuple(lines))


_NOTHING = "–"


def _with_remarks(
    report: Comparison, done: Mapping[str, Sequence[Mapping[str, Any]]], tested: Sequence[str]
) -> Comparison:
    """With what is to be said beside the table."""
    flags = flags_of(report)
    remarks = []
    for flag in flags:
        names = ", ".join(row.name for row in report.rows if flag in row.flags)
        remarks.append(f"{mark_of(flag, flags)} differs from {report.reference} in {flag}: {names}.")
    seen_before = max(summary.get("overlap_clips", 0) for summaries in done.values() for summary in summaries)
    if seen_before:
        remarks.append(f"{seen_before:,} of the evaluated clips come from files that were trained on: they flatter.")
    if all(len(summaries) == 1 for summaries in done.values()):
        remarks.append(
            "One run each: differences within a few points may be noise. zoo compare --seeds 3 shows the spread."
        )
    for name, summaries in done.items():
        if any("optimistic" in str(summary.get("evaluation")) for summary in summaries):
            remarks.append(f"{name}: its weights, or its epoch, were chosen on the judged clips: optimistic.")
    remarks += unusable_in_words([summary for summaries in done.values() for summary in summaries])
    remarks += [f"Failed: {line}" for line in report.failures]
    if report.failures:
        remarks.append("Runs that failed are in no mean: what is left of their contenders may flatter.")
    remarks += tested
    return Comparison(**{**vars(report), "remarks": tuple(remarks)})
