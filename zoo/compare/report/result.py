"""The table of contenders, all final metrics, and the state of every run."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from zoo.compare.report.collect import Contender, Run, values_of
from zoo.compare.report.drawing import swatch
from zoo.compare.report.markup import Html, details, join, section, table, tag

_DASH = "–"
_COLUMNS = (
    *("runs", "difference", "95 % interval", "p", "parameters", "GFLOP/clip", "clips seen", "clips/s", "seconds"),
    *("inference clips/s", "memory", "pretraining"),
)
"""After the model and the metric."""


def result_section(
    contenders: Sequence[Contender], comparison: Mapping[str, Any] | None, metric: str | None, chance: float | None
) -> Html:
    """Who is how good at what cost, with the remarks that a reader needs before believing it."""
    rows = {str(row.get("name")): row for row in (comparison or {}).get("rows") or [] if isinstance(row, dict)}
    remarks = [str(remark) for remark in (comparison or {}).get("remarks") or []]
    for name, row in rows.items():
        remarks += [f"{name}: {told}" for key in ("flags", "failed") for told in row.get(key) or []]
    remarks += _own_remarks(contenders) if comparison is None else []
    told = [_cells(one, _completed(rows.get(one.name), one, metric), metric) for one in contenders]
    present = {column for cells in told for column in cells}
    columns = [column for column in ("model", metric or "", *_COLUMNS) if column in present]
    everything = [value for one in contenders for value in _values(one, rows.get(one.name), metric)]
    scale = _Scale(everything, chance)
    if everything:
        for one, cells in zip(contenders, told, strict=True):
            cells["runs"] = _strip(one, _values(one, rows.get(one.name), metric), scale, chance)
    body = [[cells.get(column, _DASH) for column in columns] for cells in told]
    if chance is not None:
        body.append([{"model": "chance", metric: f"{chance:.3f}"}.get(column, _DASH) for column in columns])
    parts = [table(columns, body, class_="result")]
    if remarks:
        parts.append(tag("ul", *(tag("li", remark) for remark in remarks), class_="remarks"))
    parts.append(_all_metrics(contenders))
    reference = (comparison or {}).get("reference")
    how = "Best first. ± is the standard deviation over runs (n − 1)"
    how += "; every dot is a run, the bar their mean, the dotted line chance" if everything else ""
    if reference and any("difference" in cells for cells in told):
        how += f"; differences are to {reference}, p is corrected for the number of comparisons"
    how += ". Read the remarks before the numbers." if remarks else "."
    return section("result", "Result", how, *parts)


def _completed(row: Mapping[str, Any] | None, contender: Contender, metric: str | None) -> dict[str, Any]:
    """A row of the comparison, with what it leaves out from the summaries; its numbers of the metric stay its own."""
    simple = _row(contender, metric)
    if row is None:
        return simple
    if "mean" in row:
        simple = {key: value for key, value in simple.items() if key not in ("mean", "deviation", "values")}
    return simple | {key: value for key, value in row.items() if value is not None or key not in simple}


def _row(contender: Contender, metric: str | None) -> dict[str, Any]:
    """As `zoo compare` would have it, simply from the summaries."""
    summaries = [run.summary for run in contender.finished if run.summary is not None]
    values = values_of(contender, metric) if metric else []
    row: dict[str, Any] = {"values": values}
    if values:
        row |= {"mean": statistics.fmean(values), "deviation": statistics.stdev(values) if len(values) > 1 else None}
    if summaries:
        first, init = summaries[0], summaries[0].get("init") or {}
        row |= {key: first.get(key) for key in ("parameters", "flops_per_clip", "clips")}
        for key in ("seconds", "clips_per_second"):
            found = [float(s[key]) for s in summaries if isinstance(s.get(key), int | float)]
            row[key] = statistics.fmean(found) if found else None
        row |= {"pretraining_clips": init.get("clips") or 0, "pretraining_seconds": init.get("seconds") or 0.0}
    return row


def _values(contender: Contender, row: Mapping[str, Any] | None, metric: str | None) -> list[float]:
    """The metric of every run: the comparison's, else the summaries'."""
    found = (row or {}).get("values")
    if isinstance(found, list):
        return [float(value) for value in found if isinstance(value, int | float)]
    return values_of(contender, metric) if metric else []


def _cells(contender: Contender, row: Mapping[str, Any], metric: str | None) -> dict[str, str]:
    """Title -> cell; a column that nobody has is not there."""
    name = tag("span", class_=f"dot {swatch(contender.place)}", aria_hidden="true")
    cells: dict[str, str] = {"model": join([name, contender.name])}
    mean, deviation = row.get("mean"), row.get("deviation")
    if metric:
        spread = f" ± {deviation:.3f}" if isinstance(deviation, int | float) else ""
        cells[metric] = f"{mean:.3f}{spread}" if isinstance(mean, int | float) else _DASH
    cells["runs"] = f"{len(row.get('values') or []):,}"
    cells |= _against_reference(row)
    if parameters := row.get("parameters"):
        cells["parameters"] = f"{parameters / 1e6:.2f} M" if parameters >= 1e5 else f"{parameters / 1e3:.1f} k"
    if flops := row.get("flops_per_clip"):
        cells["GFLOP/clip"] = f"{flops / 1e9:.2f}"
    if row.get("clips"):
        cells["clips seen"] = f"{row['clips']:,}"
        cells["clips/s"] = f"{row['clips_per_second']:.0f}" if row.get("clips_per_second") else _DASH
    if row.get("seconds"):
        cells["seconds"] = f"{row['seconds']:,.0f}"
    if row.get("inference_clips_per_second"):
        cells["inference clips/s"] = f"{row['inference_clips_per_second']:,.0f}"
    if row.get("peak_memory_gib"):
        about = "≈ " if row.get("memory_is_estimated") else ""
        cells["memory"] = f"{about}{row['peak_memory_gib']:.2f} GiB"
    if row.get("pretraining_clips"):
        cells["pretraining"] = f"{row['pretraining_clips']:,} clips, {row.get('pretraining_seconds') or 0:,.0f} s"
    return cells


def _against_reference(row: Mapping[str, Any]) -> dict[str, str]:
    """Columns of the statistics, where a comparison has them for this row."""
    versus = row.get("versus_reference")
    if not isinstance(versus, dict) or not isinstance(versus.get("difference"), int | float):
        return {}
    cells: dict[str, str] = {"difference": f"{versus['difference']:+.3f}"}
    interval, p_value = versus.get("interval"), versus.get("p_corrected", versus.get("p_value"))
    if isinstance(interval, list | tuple) and len(interval) == 2:
        cells["95 % interval"] = f"{interval[0]:+.3f} to {interval[1]:+.3f}"
    if isinstance(p_value, int | float):
        cells["p"] = "< 0.001" if p_value < 0.001 else f"{p_value:.3f}"
    return cells


def _own_remarks(contenders: Sequence[Contender]) -> list[str]:
    """What can be said without a comparison."""
    told = []
    summaries = [run.summary for one in contenders for run in one.finished if run.summary]
    judged = {str(s.get("judged_manifest") or s.get("eval_manifest")) for one in contenders for s in _firsts(one)}
    if len(judged) > 1 or len({s.get("metric") for s in summaries}) > 1:
        told.append(
            "These models were judged on different clips, or by different metrics: their numbers do not compare."
        )
    if all(len(one.finished) <= 1 for one in contenders) and len(contenders) > 1:
        told.append(
            "One run each: differences within a few points may be noise. zoo compare --seeds 3 shows the spread."
        )
    return told


def _firsts(contender: Contender) -> list[dict[str, Any]]:
    """The summary of its first finished run; of folds each has clips of its own, alike for all models."""
    return [run.summary for run in contender.finished[:1] if run.summary]


class _Scale:
    """From values to places of the strips, the same for all rows."""

    def __init__(self, values: Sequence[float], chance: float | None) -> None:
        everything = [*values, *([] if chance is None else [chance])]
        low, high = (min(everything), max(everything)) if everything else (0.0, 1.0)
        self._low, self._span = low, high - low or 1.0

    def __call__(self, value: float) -> float:
        return 6 + 108 * (value - self._low) / self._span


def _strip(contender: Contender, values: Sequence[float], scale: _Scale, chance: float | None) -> Html:
    """The runs of a row as dots on a line."""
    if not values:
        return Html(_DASH)
    dots = "".join(f'<circle cx="{scale(value):.1f}" cy="9" r="3.5"/>' for value in values)
    mean = scale(statistics.fmean(values))
    level = "" if chance is None else f'<path class="chance" d="M{scale(chance):.1f} 1v16"/>'
    told = f"{len(values)} run{'s' if len(values) > 1 else ''}: " + ", ".join(f"{value:.3f}" for value in values)
    rail, bar = '<path class="rail" d="M2 9h116"/>', f'<path class="mean" d="M{mean:.1f} 2v14"/>'
    head = f'<svg class="strip {swatch(contender.place)}" viewBox="0 0 120 18" role="img" aria-label="{told}">'
    return Html(f"{head}<title>{told}</title>{rail}{level}{dots}{bar}</svg>")


def _all_metrics(contenders: Sequence[Contender]) -> Html:
    """Every final metric, folded."""
    found = [(one, [run.summary.get("metrics") or {} for run in one.finished if run.summary]) for one in contenders]
    names = list(dict.fromkeys(name for _, several in found for metrics in several for name in metrics))
    if len(names) < 2:
        return Html("")
    rows = []
    for one, several in found:
        cells = []
        for name in names:
            values = [metrics[name] for metrics in several if isinstance(metrics.get(name), int | float)]
            spread = f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else ""
            cells.append(f"{statistics.fmean(values):.3f}{spread}" if values else _DASH)
        rows.append([one.name, *cells])
    titles = [name.replace("_", " ") for name in names]
    return details("All final metrics", table(["model", *titles], rows, class_="numbers"))


def runs_section(contenders: Sequence[Contender]) -> Html:
    """Every run with its folder; those that have not finished first, unfolded."""
    everything = [(one, run) for one in contenders for run in one.runs]
    broken = [(one, run) for one, run in everything if run.summary is None or run.bad_steps]
    header = ["model", "run", "seed", "state", "clips", "seconds", "device", "finished"]
    parts = []
    if broken:
        parts.append(table(header, [_run_cells(*pair) for pair in broken], class_="runs"))
    whole = table(header, [_run_cells(*pair) for pair in everything], class_="runs")
    parts.append(details(f"All {len(everything):,} runs", whole))
    warnings = dict.fromkeys(str(text) for _, run in everything for text in (run.summary or {}).get("warnings") or [])
    damaged = [f"{run.folder}: {run.state}, so parts lack it" for _, run in everything if run.has_damaged_predictions]
    warnings |= dict.fromkeys(damaged)
    if warnings:
        parts.append(tag("ul", *(tag("li", text) for text in warnings), class_="remarks"))
    how = "All runs have finished. The folder of a run has its recipe, log, checkpoints and predictions."
    if broken:
        how = f"{len(broken)} of {len(everything)} runs have not finished, and do not count in the table; "
        how += "zoo finetune RUN/recipe.yaml --out RUN --resume goes on with one."
    return section("runs", "Runs", how, *parts)


def _run_cells(contender: Contender, run: Run) -> list[str]:
    summary = run.summary or {}
    seed = summary.get("seed", run.recipe.seed if run.recipe is not None else None)
    return [
        contender.name,
        str(run.folder),
        _DASH if seed is None else str(seed),
        run.state,
        f"{run.clips:,}",
        f"{run.seconds:,.0f}",
        str(summary.get("device") or _DASH),
        str(summary.get("finished") or _DASH),
    ]
