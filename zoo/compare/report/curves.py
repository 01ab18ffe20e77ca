"""Learning curves of all contenders, and small pictures of everything else that runs log."""

import math
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes

from zoo.compare.report.bands import band_of
from zoo.compare.report.collect import Contender
from zoo.compare.report.drawing import MUTED, colour, dash, drawing, short_number
from zoo.compare.report.legend import legend
from zoo.compare.report.markup import Html, details, section, tag

_LOSSES = ("loss/total", "loss/reconstruct", "loss/classify")
_TITLES = {"loss/total": "training loss", "loss/reconstruct": "training loss, reconstruction"}
_TITLES |= {
    "loss/classify": "training loss, classification",
    "pretext/accuracy": "pretext accuracy in training",
    "train/accuracy": "training accuracy",
    "eval/loss_reconstruct": "reconstruction loss",
    "eval/probe_knn": "kNN probe of the features",
    "eval/probe_linear": "linear probe of the features",
}
_LEVELS = {
    "eval/pretext_accuracy": ("eval/pretext_chance", "chance"),
    "pretext/accuracy": ("pretext/chance", "chance"),
    "eval/loss_reconstruct": ("eval/mean_patch_loss", "the mean patch"),
    "loss/reconstruct": ("eval/mean_patch_loss", "the mean patch"),
    "eval/probe_knn": ("eval/probe_chance", "chance"),
    "eval/probe_linear": ("eval/probe_chance", "chance"),
}
"""Tag -> what was logged of guessing, and its name."""
_LEFT_OUT = ("eval/classes_without_positives", "test/classes_without_positives", *(tag for tag, _ in _LEVELS.values()))
_MOST_OTHERS = 36


def curves_section(contenders: Sequence[Contender], metric: str | None, chance: dict[str, float]) -> Html:
    """Metrics and losses over clips seen.

    Args:
        chance: metric -> the level of a model that knows nothing.
    """
    tags = _main_tags(contenders, metric)
    if not tags:
        return Html("")
    pictures = [_picture(tag_, contenders, chance.get(tag_.removeprefix("eval/"))) for tag_ in tags]
    shown = sum(len(one.runs) for one in contenders)
    how = "Over the clips seen in training. A line is the mean over the runs of a model"
    how += ", its band goes from the lowest to the highest of them" if shown > len(contenders) else ""
    how += "; the dotted line is guessing. Evaluations on the way are of the watched clips."
    grid = tag("div", *pictures[:2], class_="grid wide")
    return section("curves", "Learning curves", how, legend(contenders), grid, _more(pictures[2:]))


def health_section(contenders: Sequence[Contender]) -> Html:
    """Rates, gradients, speed and health over clips seen; what never moved from zero is told in words."""
    main = set(_main_tags(contenders, None))
    tags = dict.fromkeys(t for one in contenders for run in one.runs for t in run.tags)
    left = [t for t in tags if t not in main and t not in _LEFT_OUT and not t.startswith(("eval/", "test/"))]
    silent = [t for t in left if not any(run.series(t)[1].any() for one in contenders for run in one.runs)]
    moving = [t for t in left if t not in silent]
    if not left:
        return Html("")
    pictures = [_picture(t, contenders, None, small=True) for t in moving[:_MOST_OTHERS]]
    notes = []
    if silent:
        notes.append(tag("p", "Zero all the way: " + ", ".join(silent) + ".", class_="note"))
    if len(moving) > _MOST_OTHERS:
        more = ", ".join(moving[_MOST_OTHERS:])
        notes.append(tag("p", f"Not drawn, see TensorBoard or metrics.jsonl: {more}.", class_="note"))
    how = "What training looked like from inside: speed should be level, gradients should not drift away, waiting for "
    how += "data should stay near zero."
    grid = tag("div", *pictures, class_="grid small")
    return section("health", "Speed and health", how, legend(contenders), grid, *notes)


def _main_tags(contenders: Sequence[Contender], metric: str | None) -> list[str]:
    """The metric first, then the training loss, other metrics and other losses."""
    tags = dict.fromkeys(t for one in contenders for run in one.runs for t in run.tags)
    metrics = [t for t in tags if t.startswith("eval/") and t not in _LEFT_OUT]
    metrics.sort(key=lambda t: t != f"eval/{metric}")
    losses = [t for t in _LOSSES if t in tags]
    if losses[1:] == ["loss/classify"]:  # the whole of it, told twice
        losses = losses[:1]
    pretext = [t for t in ("pretext/accuracy",) if t in tags]
    accuracy = [t for t in tags if t == "train/accuracy"]
    return [*metrics[:1], *losses[:1], *metrics[1:], *losses[1:], *pretext, *accuracy]


def _more(pictures: list[Html]) -> Html:
    """Further curves: some at once, many folded."""
    grid = tag("div", *pictures, class_="grid")
    return grid if len(pictures) <= 6 else details(f"{len(pictures)} more curves", grid)


def _picture(tag_: str, contenders: Sequence[Contender], chance: float | None, small: bool = False) -> Html:
    """One tag of all contenders."""
    title = _TITLES.get(tag_, tag_.removeprefix("eval/").replace("_", " "))
    told = f"{title} over clips seen, a line a model: {', '.join(one.name for one in contenders)}"
    with drawing(2.9, 1.8, told) if small else drawing(4.3, 2.7, told) as made:
        axes = made.axes()
        axes.set_title(title)
        drawn = [_line(axes, one, tag_) for one in contenders]
        for level, told_level, own in _levels(tag_, contenders, chance):
            axes.axhline(level, color=own, linewidth=1.0, linestyle=(0, (1, 2)))
            at = axes.get_yaxis_transform()
            axes.text(0.995, level, told_level, color=own, fontsize=7.5, ha="right", va="bottom", transform=at)
        axes.xaxis.set_major_formatter(short_number)
        axes.yaxis.set_major_formatter(short_number)
        axes.locator_params(axis="x", nbins=5)
        axes.locator_params(axis="y", nbins=4 if small else 6)
        axes.set_xlabel("clips seen")
    return tag("figure", made.svg) if any(drawn) else Html("")


def _levels(tag_: str, contenders: Sequence[Contender], chance: float | None) -> list[tuple[float, str, str]]:
    """(level, name, colour) of guessing: one line for all, or one of each model where theirs are not the same."""
    if tag_ not in _LEVELS:
        return [] if chance is None else [(chance, "chance", MUTED)]
    logged, name = _LEVELS[tag_]
    bands = [(one.place, band_of([run.series(logged) for run in one.runs])) for one in contenders]
    found = [(place, float(band.mean[-1])) for place, band in bands if band is not None]
    found = [(place, level) for place, level in found if math.isfinite(level)]
    values = [level for _, level in found]
    if values and max(values) - min(values) <= 0.01 * max(values):
        return [(sum(values) / len(values), name, MUTED)]
    return [(level, name, colour(place)) for place, level in found]


def _line(axes: Axes, contender: Contender, tag_: str) -> bool:
    """The mean and the band of a contender; False where it logged no such number."""
    band = band_of([run.series(tag_) for run in contender.runs])
    if band is None:
        return False
    own = colour(contender.place)
    style: dict[str, Any] = {"color": own, "linestyle": dash(contender.place), "linewidth": 1.7}
    if len(band.places) <= 12:
        style |= {"marker": "o", "markersize": 3}
    if len(contender.runs) > 1:
        axes.fill_between(band.places, band.low, band.high, color=own, alpha=0.16, linewidth=0)
    axes.plot(band.places, band.mean, **style)
    return True
