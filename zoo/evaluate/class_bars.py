"""How well each class is recognised, as bars."""

import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.figure import Figure
from torch import Tensor

from zoo.audio.picture import rendered
from zoo.data.labels import Task
from zoo.evaluate.class_metrics import ClassMetrics

MOST_BARS = 40


def class_scores(found: ClassMetrics, task: Task) -> tuple[str, Float[np.ndarray, "cls"]]:
    """(what is measured, its value for every class): F1 where a clip has one class, else the average precision, as the
    field reports them. NaN for a class without positives."""
    return ("F1", found.f1) if task == "single-label" else ("average precision", found.average_precision)


def shown_classes(values: Float[np.ndarray, "cls"]) -> list[int]:
    """The places of the classes to draw, the worst first: all that have a value, or the worst and the best."""
    order = [int(place) for place in np.argsort(values, kind="stable") if not np.isnan(values[place])]
    half = MOST_BARS // 2
    return order if len(order) <= MOST_BARS else order[:half] + order[-half:]


def class_bars(
    what: str, values: Float[np.ndarray, "cls"], targets: Float[Tensor, "clip cls"], labels: tuple[str, ...]
) -> UInt8[np.ndarray, "height width 3"]:
    """A bar a class, the worst at the top, with the number of its clips beside its name; a line marks the mean of all.

    Of more than 40 classes the 20 worst and the 20 best are drawn.
    """
    places = shown_classes(values)
    counts = (targets > 0.5).sum(dim=0).tolist()
    names = [f"{labels[place][:28]} ({counts[place]:,})" for place in places]
    width, height = 6.0, 0.9 + 0.17 * max(len(places), 3)
    figure = Figure(figsize=(width, height), dpi=80)
    left = 0.2 + 0.062 * max(map(len, names), default=1)
    axes = figure.add_axes((left / width, 0.45 / height, (width - left - 0.2) / width, (height - 0.8) / height))
    axes.barh(range(len(places)), [values[place] for place in places], height=0.8, color="#3b6ea8")
    measured = values[~np.isnan(values)]
    if measured.size:
        axes.axvline(float(measured.mean()), color="#c0392b", linewidth=1)
        axes.set_title(f"{what} by class, mean {measured.mean():.3f}", fontsize=9, loc="left")
    if len(measured) > len(places):
        half = len(places) // 2
        axes.axhline(half - 0.5, color="black", linewidth=0.8, linestyle="--")
        axes.set_xlabel(f"the {half} worst and the {half} best of {len(measured):,} classes", fontsize=8)
    axes.set_yticks(range(len(places)), names, fontsize=7, parse_math=False)
    axes.tick_params(axis="x", labelsize=7)
    axes.set_xlim(0, 1)
    axes.set_ylim(len(places) - 0.4, -0.6)
    return rendered(figure)
