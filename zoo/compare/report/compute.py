"""What a result has cost: operations and seconds of training, and of the pretraining that it started from."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from zoo.compare.report.collect import Contender, Run, read_run
from zoo.compare.report.drawing import MUTED, colour, drawing, short_number
from zoo.compare.report.legend import legend
from zoo.compare.report.markup import Html, section, tag

_TRAINING_FACTOR = 3
"""Forward and backward against forward alone, where a run did not log its own."""
_LONGEST_CHAIN = 8
"""Runs, each started from the one before."""
_LEAST_SIZE, _MOST_SIZE = 24.0, 220.0


@dataclass(frozen=True)
class Cost:
    """Of one run. None: not known."""

    flops: float | None
    """Operations of training, forward and backward."""
    seconds: float
    pretraining_flops: float | None = None
    pretraining_seconds: float | None = None


def cost_of(run: Run, row: Mapping[str, Any] | None = None) -> Cost:
    """What a finished run has cost, by its summary and its log, and by its row of a comparison, which may know more."""
    row, init = row or {}, (run.summary or {}).get("init")
    flops = training_flops(run, row.get("training_flops_per_clip"))
    if not isinstance(init, dict) or not init.get("clips"):
        return Cost(flops, run.seconds)
    before = _pretraining_flops(init) or row.get("pretraining_flops")
    return Cost(flops, run.seconds, before and float(before), float(init.get("seconds") or 0.0) or None)


def training_flops(run: Run, per_clip: int | float | None = None) -> float | None:
    """Clips seen times the operations of one; where nobody counted those, they follow from the speed that the run
    logged, else from its forward pass."""
    for line in run.lines if per_clip is None else ():
        rate, speed = line.get("perf/tflops"), line.get("perf/clips_per_second")
        if isinstance(rate, int | float) and isinstance(speed, int | float) and speed > 0:
            per_clip = rate * 1e12 / speed
            break
    if per_clip is None and (run.summary or {}).get("flops_per_clip"):
        per_clip = _TRAINING_FACTOR * run.summary["flops_per_clip"]  # type: ignore[index]
    return None if per_clip is None else float(per_clip) * run.clips


def _pretraining_flops(init: dict[str, Any]) -> float | None:
    """Of the run that was started from, and of what that was started from; None where a folder is not there."""
    total = 0.0
    for _ in range(_LONGEST_CHAIN):
        run = read_run(Path(str(init.get("from"))))
        flops = None if run.summary is None else training_flops(run)
        if flops is None or run.summary is None:
            return None
        total += flops
        init = run.summary.get("init") or {}
        if not init:
            return total
    return None


def compute_section(
    contenders: Sequence[Contender], metric: str | None, comparison: Mapping[str, Any] | None = None
) -> Html:
    """The metric against operations, and against seconds. A comparison may know what pretraining took."""
    rows = {str(row.get("name")): row for row in (comparison or {}).get("rows") or [] if isinstance(row, dict)}
    points = [
        (one, cost_of(run, rows.get(one.name)), float(value), int((run.summary or {}).get("parameters") or 0))
        for one in contenders
        for run in one.finished
        if isinstance(value := (run.summary or {}).get("metrics", {}).get(metric), int | float)
    ]
    if metric is None or not points:
        return Html("")
    pictures = []
    for title, of_training, of_pretraining in (
        ("operations of training (FLOP)", lambda cost: cost.flops, lambda cost: cost.pretraining_flops),
        ("seconds of training", lambda cost: cost.seconds, lambda cost: cost.pretraining_seconds),
    ):
        pictures.append(_picture(points, metric, title, of_training, of_pretraining))
    is_pretrained = any(cost.pretraining_seconds or cost.pretraining_flops for _, cost, _, _ in points)
    how = f"Up and to the left is better{', down for a loss' if metric == 'loss' else ''}. A point is a run, its size "
    how += "grows with the parameters; operations count forward and backward, seconds are those of its own machine. "
    if is_pretrained:
        how += "A hollow point is the same run with its pretraining, where that is known. "
    title = f"{metric[0].upper()}{metric[1:]} against compute"
    return section("compute", title, how.strip(), legend(contenders), tag("div", *pictures, class_="grid wide"))


def _picture(
    points: list[tuple[Contender, Cost, float, int]],
    metric: str,
    title: str,
    of_training: Callable[[Cost], float | None],
    of_pretraining: Callable[[Cost], float | None],
) -> Html:
    """One scatter with a logarithmic axis of costs."""
    most = math.sqrt(max(parameters for *_, parameters in points) or 1)
    with drawing(4.3, 2.9, f"{metric} against {title}, a point a run") as made:
        axes = made.axes()
        axes.set_xscale("log")
        places: list[float] = []
        for contender, cost, value, parameters in points:
            x, more = of_training(cost), of_pretraining(cost)
            if not x:
                continue
            size = _LEAST_SIZE + (_MOST_SIZE - _LEAST_SIZE) * math.sqrt(parameters) / most
            own = colour(contender.place)
            places.append(x)
            if more:
                places.append(x + more)
                axes.plot([x, x + more], [value, value], color=own, linewidth=1.0, linestyle=(0, (1, 2)))
                axes.scatter([x + more], [value], s=size, facecolors="none", edgecolors=own, linewidths=1.2)
            axes.scatter([x], [value], s=size, color=own, alpha=0.75, linewidths=0)
        if not places:
            return Html("")
        _ticks(axes, np.array(places))
        axes.margins(y=0.12)
        axes.yaxis.set_major_formatter(short_number)
        axes.set_xlabel(title)
        axes.set_title(metric)
    return tag("figure", made.svg)


def _ticks(axes: Axes, places: np.ndarray) -> None:
    """Ticks in plain numbers, some on every axis however short it is."""
    low, high = places.min() / 1.5, places.max() * 1.5
    axes.set_xlim(low, high)
    steps = (1, 2, 5) if high / low < 150 else (1,)
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    inside = [s * 10.0**e for e in exponents for s in steps if low <= s * 10.0**e <= high]
    axes.set_xticks(inside[:: max(1, len(inside) // 6)])
    axes.minorticks_off()
    axes.xaxis.set_major_formatter(short_number)
    axes.tick_params(axis="x", colors=MUTED)
