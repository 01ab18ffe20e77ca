"""The charts of the pages: pretraining over clips, few labels, and every family over compute."""

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter, NullLocator

from zoo.compare.report.drawing import short_number
from zoo.proof.publish.chart import COLOURS, MARKERS, MUTED, chart, dotted, legend_below
from zoo.proof.publish.few_labels import label_tables, names_of, share_in_words, tasks_with_few_labels
from zoo.proof.publish.pretraining import ACCURACY, BASELINE, CHANCE, ERROR, PROBE_CHANCE, PROBES, is_learned
from zoo.proof.publish.standing import tasks_of
from zoo.proof.results import Pretraining, ProofResults, ResultRow, ResultTable

_PANELS = (
    ("pretext accuracy, %", 100.0, ((ACCURACY, "-"),), CHANCE, "chance"),
    ("reconstruction error", 1.0, ((ERROR, "-"),), BASELINE, "mean patch"),
    ("online probe (dashed: kNN), %", 100.0, ((PROBES[0], "-"), (PROBES[1], (0, (4, 2)))), PROBE_CHANCE, "chance"),
)
_MOST_POINTS = 200
"""Of a line: more would not be seen, and make a large file."""


def draw_pretraining(results: ProofResults, path: Path) -> bool:
    """Pretext accuracy, reconstruction error and online probe of all runs over clips seen; False without curves."""
    runs = [one for one in results.pretraining if one.curve]
    panels = [panel for panel in _PANELS if any(_series(run, tag) for run in runs for tag, _ in panel[2])]
    if not panels:
        return False
    with chart(path, len(panels)) as axes:
        for one, (title, scale, lines, level, name) in zip(axes, panels, strict=True):
            one.set_title(title)
            levels = []
            for place, run in enumerate(runs):
                colour = COLOURS[place % len(COLOURS)]
                for tag, dash in lines:
                    points = _series(run, tag)
                    if points:
                        style: Any = {"color": colour, "linestyle": dash, "linewidth": 1.6}
                        style |= {"label": run.title} if dash == "-" else {}
                        one.plot([x for x, _ in points], [scale * y for _, y in points], **style)
                base = _series(run, level) if level else []
                if base:
                    levels.append(scale * base[-1][1])
                    xs, ys = [x for x, _ in base], [scale * y for _, y in base]
                    one.plot(xs, ys, color=colour, linewidth=1.0, linestyle=(0, (1, 2)))
            if levels:
                _named(one, max(levels), name)
            one.set_xlabel("clips seen")
            one.xaxis.set_major_formatter(short_number)
            one.locator_params(axis="x", nbins=5)
            one.set_ylim(bottom=0)
        legend_below(axes)
    return True


def draw_few_labels(results: ProofResults, path: Path) -> bool:
    """The result over the share of labels, a panel a task, a line a model; False where all labels were always used."""
    tasks = tasks_with_few_labels(results)
    if not tasks:
        return False
    names = list(dict.fromkeys(name for task in tasks for name in names_of(results, task)))
    with chart(path, len(tasks)) as axes:
        for one, task in zip(axes, tasks, strict=True):
            tables = label_tables(results, task)
            for place, name in enumerate(names):
                found = [(t.share, row) for t in tables for row in t.rows if row.name == name and row.mean is not None]
                if found:
                    _bars(one, [share for share, _ in found], [row for _, row in found], place, name, line="-")
            one.set_title(f"{task}, {tables[0].metric.replace('_', ' ')}, %")
            one.set_xscale("log")
            shares = sorted({t.share for t in tables})
            one.set_xticks(shares, [share_in_words(share) for share in shares])
            one.xaxis.set_minor_locator(NullLocator())
            one.set_xlabel("share of the training labels")
            _chance(one, tables)
        legend_below(axes)
    return True


def draw_comparison(results: ProofResults, path: Path) -> bool:
    """Every family: its result over all operations of training, pretraining among them, a panel a task."""
    tables = [one for one in results.tables if one.kind == "comparison"]
    tasks = tasks_of(tables)
    drawn = [row for one in tables for row in one.rows if row.mean is not None and row.total_flops]
    if not drawn:
        return False
    names = list(dict.fromkeys(row.name for row in drawn))
    budgets = list(dict.fromkeys(one.title for one in tables))
    with chart(path, len(tasks)) as axes:
        for one, task in zip(axes, tasks, strict=True):
            here = [t for t in tables if t.task == task]
            for t in here:
                for row in t.rows:
                    if row.mean is not None and row.total_flops:
                        hollow = budgets.index(t.title) > 0
                        _bars(one, [row.total_flops], [row], names.index(row.name), row.name, hollow=hollow)
            one.set_title(f"{task}, {here[0].metric.replace('_', ' ')}, %")
            one.set_xscale("log")
            one.xaxis.set_major_formatter(short_number)
            one.xaxis.set_minor_formatter(NullFormatter())
            one.set_xlabel("training, with pretraining, FLOP")
            _chance(one, here)
        legend_below(axes)
    return True


def _bars(
    axes: Axes, places: list[float], rows: list[ResultRow], place: int, name: str, line: str = "", hollow: bool = False
) -> None:
    """Means with their deviation over folds, or over seeds where there is one fold."""
    spread = [row.fold_deviation if row.fold_deviation is not None else row.deviation for row in rows]
    colour = COLOURS[place % len(COLOURS)]
    axes.errorbar(
        places,
        [100 * (row.mean or 0.0) for row in rows],
        yerr=[100 * (one or 0.0) for one in spread],
        color=colour,
        marker=MARKERS[place % len(MARKERS)],
        markerfacecolor="white" if hollow else colour,
        markersize=5,
        linestyle=line or "none",
        linewidth=1.5,
        elinewidth=1.0,
        capsize=2,
        label=name,
    )


def _chance(axes: Axes, tables: list[ResultTable]) -> None:
    if tables[0].chance is not None:
        dotted(axes, 100 * tables[0].chance, "chance")


def _named(axes: Axes, level: float, name: str) -> None:
    place = axes.get_yaxis_transform()
    axes.text(0.995, level, f"dotted: {name}", color=MUTED, fontsize=7.5, ha="right", va="bottom", transform=place)


def _series(run: Pretraining, tag: str) -> list[tuple[float, float]]:
    """(clips, value) of a run's points, thinned; none of what its pretraining did not learn."""
    points = [(point["clips"], point[tag]) for point in run.curve if "clips" in point and tag in point]
    points = points if is_learned(run, tag) else []
    step = -(-len(points) // _MOST_POINTS) or 1
    return points[::-step][::-1]
