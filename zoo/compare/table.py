"""Summaries of runs -> one table, with what makes it fair or unfair said beside it."""

import math
import statistics
from dataclasses import dataclass, field
from typing import Any

from zoo.errors import DataError


@dataclass(frozen=True)
class Row:
    """One contender: the final metric of each of its runs (one per seed), and what they cost."""

    name: str
    kind: str
    values: tuple[float, ...]
    parameters: int
    flops_per_clip: int
    clips: int
    """Clips seen in the compared training, by each run."""
    seconds: float
    """Wall-clock of that training, mean over runs."""
    clips_per_second: float
    pretraining_clips: int = 0
    pretraining_seconds: float = 0.0
    runs: tuple[str, ...] = ()

    @property
    def mean(self) -> float:
        return statistics.fmean(self.values)

    @property
    def deviation(self) -> float | None:
        """Standard deviation over runs (n - 1); None for a single run, whose noise is unknown."""
        return statistics.stdev(self.values) if len(self.values) > 1 else None

    def as_json(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "name": self.name,
            "kind": self.kind,
            "mean": self.mean,
            "deviation": self.deviation,
            "values": list(self.values),
            "parameters": self.parameters,
            "flops_per_clip": self.flops_per_clip,
            "clips": self.clips,
            "seconds": round(self.seconds, 2),
            "clips_per_second": round(self.clips_per_second, 2),
            "pretraining_clips": self.pretraining_clips,
            "pretraining_seconds": round(self.pretraining_seconds, 2),
            "runs": list(self.runs),
        }


@dataclass(frozen=True)
class Comparison:
    """The table, best first, and remarks a reader needs before believing it."""

    metric: str
    chance: float | None
    num_eval_clips: int
    rows: tuple[Row, ...]
    remarks: tuple[str, ...] = ()
    look: tuple[str, ...] = field(default=())
    """Where to look next: commands and folders."""

    def as_json(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "metric": self.metric,
            "chance": self.chance,
            "num_eval_clips": self.num_eval_clips,
            "rows": [row.as_json() for row in self.rows],
            "remarks": list(self.remarks),
            "look": list(self.look),
        }

    def header(self) -> list[str]:
        """Column titles of `cells`."""
        return [
            "model",
            self.metric,
            "runs",
            "parameters",
            "GFLOP/clip",
            "clips seen",
            "clips/s",
            "seconds",
            "pretraining",
        ]

    def cells(self) -> list[list[str]]:
        """One list of texts a row; the last row is the chance level."""
        rows = [
            [
                row.name,
                f"{row.mean:.3f}" + (f" ± {row.deviation:.3f}" if row.deviation is not None else ""),
                str(len(row.values)),
                f"{row.parameters / 1e6:.2f} M" if row.parameters >= 1e5 else f"{row.parameters / 1e3:.1f} k",
                f"{row.flops_per_clip / 1e9:.2f}",
                f"{row.clips:,}" if row.clips else "–",
                f"{row.clips_per_second:.0f}" if row.clips else "–",
                f"{row.seconds:.0f}",
                f"{row.pretraining_clips:,} clips, {row.pretraining_seconds:.0f} s" if row.pretraining_clips else "–",
            ]
            for row in self.rows
        ]
        if self.chance is not None:
            rows.append(["chance", f"{self.chance:.3f}"] + ["–"] * 7)
        return rows

    def shortened(self) -> tuple[list[str], list[list[str]]]:
        """`header` and `cells` without the columns that a narrow terminal has no room for."""
        header = self.header()
        kept = [
            header.index(title) for title in ("model", self.metric, "parameters", "clips seen", "clips/s", "seconds")
        ]
        return [header[i] for i in kept], [[cells[i] for i in kept] for cells in self.cells()]

    def as_markdown(self) -> str:
        """The same table for a document."""
        header = self.header()
        lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
        lines += ["| " + " | ".join(cells) + " |" for cells in self.cells()]
        return "\n".join([*lines, "", *(f"- {remark}" for remark in self.remarks)]) + "\n"


def row_from_summaries(name: str, summaries: list[dict[str, Any]], metric: str) -> Row:
    """One row from the `summary.json` of the runs of one recipe, which differ in their seed."""
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
    )


_NEEDED = ("metric", "metrics", "kind", "parameters", "flops_per_clip", "clips", "seconds", "clips_per_second")
_MUST_AGREE = {
    "eval_manifest": "the evaluation clips (manifest hash)",
    "num_eval_clips": "the number of evaluated clips",
    "task": "the task",
    "labels": "the label table",
    "evaluation": "the evaluation rule",
}
_SHOULD_AGREE = {
    "front_end": "the front end",
    "train_manifest": "the training clips (manifest hash)",
    "clips": "the clips seen in training",
    "device": "the device, so that times do not compare",
}


def compare_summaries(groups: dict[str, list[dict[str, Any]]], metric: str | None = None) -> Comparison:
    """One table from named groups of summaries.

    Raises:
        DataError: the runs were not evaluated on the same clips, task and labels, so that their numbers do not compare.
    """
    flat = [(name, summary) for name, summaries in groups.items() for summary in summaries]
    if not flat:
        raise DataError("compare: found no runs - expected at least one recipe or run folder")
    for name, summary in flat:
        missing = [key for key in _NEEDED if key not in summary]
        if missing:
            raise DataError(f"{name}: its summary.json lacks {', '.join(missing)} - expected the file that a run wrote")
    metrics = {summary["metric"] for _, summary in flat}
    if metric is None and len(metrics) > 1:
        raise DataError(f"compare: the runs were judged by {', '.join(sorted(metrics))} - expected one metric for all")
    metric = metric or flat[0][1]["metric"]
    for key, words in _MUST_AGREE.items():
        seen: dict[str, str] = {}
        for name, summary in flat:
            seen.setdefault(str(summary.get(key)), name)
        if len(seen) > 1:
            found = "; ".join(f"{name}: {value[:60]}" for value, name in list(seen.items())[:3])
            raise DataError(
                f"compare: the runs differ in {words} - {found} - expected one for all, else numbers mislead"
            )
    remarks = []
    for key, words in _SHOULD_AGREE.items():
        names: dict[str, list[str]] = {}
        for name, summary in flat:
            group = names.setdefault(str(summary.get(key)), [])
            if name not in group:
                group.append(name)
        if len(names) > 1:
            parts = "; ".join(f"{', '.join(group)}" for group in names.values())
            remarks.append(f"These runs differ in {words}: {parts}.")
    seen_before = max(summary.get("overlap_clips", 0) for _, summary in flat)
    if seen_before:
        remarks.append(f"{seen_before:,} of the evaluated clips come from files that were trained on: they flatter.")
    if all(len(summaries) == 1 for summaries in groups.values()):
        remarks.append(
            "One run each: differences within a few points may be noise. zoo compare --seeds 3 shows the spread."
        )
    rows = [row_from_summaries(name, summaries, metric) for name, summaries in groups.items()]
    first = flat[0][1]
    return Comparison(
        metric=metric,
        chance=(first.get("chance") or {}).get(metric),
        num_eval_clips=first["num_eval_clips"],
        rows=tuple(sorted(rows, key=lambda row: row.mean if metric == "loss" else -row.mean)),
        remarks=tuple(remarks),
    )
