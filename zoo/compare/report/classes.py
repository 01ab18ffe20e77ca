"""Pictures of what models do at every class: differences of two models, and what each takes for what."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from zoo.compare.report.collect import Contender
from zoo.compare.report.drawing import ACCENT, INK, MUTED, colour, drawing
from zoo.compare.report.markup import Html, details, join, section, table, tag
from zoo.compare.report.per_class import ClassDifference, at_both_ends, class_differences, lay_out

_MOST_LABELS = 40
_MOST_NUMBERS = 16
_MOST_CLASSES = 120
_MOST_OPEN = 2
_CONFUSIONS = 12


def classes_section(contenders: Sequence[Contender], comparison: Mapping[str, Any] | None) -> Html:
    """The reference against each other model, class by class; empty where nobody kept predictions."""
    judged = [one for one in contenders if one.predictions]
    if len(judged) < 2:
        return Html("")
    named = (comparison or {}).get("reference")
    reference = next((one for one in judged if one.name == named), judged[0])
    parts = []
    for other in judged:
        if other is not reference:
            found = class_differences(reference.predictions, other.predictions)
            if found:
                parts.append((f"{other.name} against {reference.name}", _difference_part(found, reference, other)))
    if not parts:
        return Html("")
    measure = "recall" if judged[0].predictions[0].task == "single-label" else "average precision"
    how = f"Bars to the right: classes at which the other model's {measure} is higher than that of {reference.name}, "
    how += "in points of a hundred, mean over runs. A whisker is a 95 % bootstrap interval over clips (paired; it does "
    how += "not know the noise between seeds, and is not corrected for the number of classes): where it touches zero, "
    how += "these clips cannot tell the two apart."
    shown = join(tag("figure", tag("h3", title), part) for title, part in parts[:_MOST_OPEN])
    folded = join(details(title, part) for title, part in parts[_MOST_OPEN:])
    return section("classes", "Class by class", how, tag("div", shown, class_="grid wide"), folded)


def _difference_part(found: list[ClassDifference], reference: Contender, other: Contender) -> Html:
    """The picture, and all classes as a folded table."""
    shown = at_both_ends(found)
    with drawing(4.3, 0.7 + 0.19 * len(shown), f"{other.name} less {reference.name} at every class") as made:
        axes = made.axes()
        rows = np.arange(len(shown))[::-1]
        for row, one in zip(rows, shown, strict=True):
            ahead = other if one.difference > 0 else reference
            axes.barh(row, 100 * one.difference, height=0.68, color=colour(ahead.place), alpha=0.8)
            if one.low is not None and one.high is not None:
                axes.plot([100 * one.low, 100 * one.high], [row, row], color=INK, linewidth=0.9)
        axes.axvline(0, color=MUTED, linewidth=0.8)
        axes.set_yticks(rows, [f"{_cut(one.label)} ({one.num_clips})" for one in shown], color=INK)
        axes.grid(visible=False, axis="y")
        axes.set_ylim(-0.8, len(shown) - 0.2)
        axes.spines["left"].set_visible(False)
        left = len(found) - len(shown)
        axes.set_xlabel("points" + (f"; {left} classes between these ends are in the table" if left else ""))
    header = ["class", "clips", reference.name, other.name, "difference", "95 % interval"]
    cells = [
        [
            one.label,
            f"{one.num_clips:,}",
            f"{one.of_reference:.3f}",
            f"{one.of_other:.3f}",
            f"{one.difference:+.3f}",
            "–" if one.low is None or one.high is None else f"{one.low:+.3f} to {one.high:+.3f}",
        ]
        for one in found
    ]
    return join([made.svg, details("Numbers", table(header, cells, class_="numbers"))])


def confusion_section(contenders: Sequence[Contender]) -> Html:
    """What each model takes for what; single-label only."""
    judged = [one for one in contenders if one.predictions and one.predictions[0].task == "single-label"]
    if not judged:
        return Html("")
    pictures, rows = [], []
    for one in judged:
        labels = one.predictions[0].labels
        counts = confusion(one)
        if len(labels) <= _MOST_CLASSES:
            pictures.append(_confusion_picture(one, counts, labels))
        rows += _most_confused(one, counts, labels)
    rows.sort(key=lambda row: -row[1])
    cells = [row[0] for row in rows[:_CONFUSIONS]]
    how = "Rows are what a clip is, columns what the model says; each row in shares of its class, all runs together. "
    how += "All colour on the diagonal would be perfect."
    often = table(["it is", "it was taken for", "by", "share of its class", "times"], cells, class_="numbers")
    worst = details("The most frequent confusions", often, is_open=not pictures) if cells else Html("")
    grid = tag("div", *pictures, class_="grid") if pictures else Html("")
    return section("confusion", "What is taken for what", how, grid, worst)


def confusion(contender: Contender) -> Float[np.ndarray, "cls cls"]:
    """How often each class (row) was answered by each (column), over all runs."""
    model = lay_out(contender.predictions)
    counts = np.zeros((model.targets.shape[1],) * 2)
    truth = model.targets.argmax(axis=1)
    for run in model.scores:
        there = np.isfinite(run[:, 0])
        np.add.at(counts, (truth[there], run[there].argmax(axis=1)), 1)
    return counts


def _most_confused(
    contender: Contender, counts: Float[np.ndarray, "cls cls"], labels: Sequence[str]
) -> list[tuple[list[str], float]]:
    """The cells off the diagonal with the largest share of their class, as cells of a table and that share."""
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.where(totals > 0, counts / np.maximum(totals, 1), 0.0)
    np.fill_diagonal(shares, 0.0)
    found = []
    for place in np.argsort(-shares, axis=None)[:_CONFUSIONS]:
        row, column = divmod(int(place), len(labels))
        share = float(shares[row, column])
        if share > 0:
            times = f"{int(counts[row, column])} of {int(totals[row, 0])}"
            found.append(([labels[row], labels[column], contender.name, f"{share:.0%}", times], share))
    return found


def _confusion_picture(contender: Contender, counts: Float[np.ndarray, "cls cls"], labels: Sequence[str]) -> Html:
    """One matrix; the colour lies on the page as a veil, so that it is right on light and dark."""
    size = len(labels)
    shares = counts / counts.sum(axis=1, keepdims=True).clip(min=1)
    veil = np.empty((size, size, 4))
    veil[..., :3] = [int(ACCENT[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    veil[..., 3] = shares
    right = np.trace(counts) / max(counts.sum(), 1)
    with drawing(3.6, 3.5, f"Confusion matrix of {contender.name}; {right:.0%} on the diagonal") as made:
        axes = made.axes()
        axes.imshow(veil, interpolation="none")
        axes.grid(visible=False)
        if size <= _MOST_LABELS:
            small = 8 if size <= 12 else 8 * 12 / size
            axes.set_xticks(range(size), [_cut(name, 14) for name in labels], rotation=90, fontsize=small)
            axes.set_yticks(range(size), [_cut(name, 14) for name in labels], fontsize=small)
        else:
            axes.set_xticks([])
            axes.set_yticks([])
        if size <= _MOST_NUMBERS:
            for row, column in zip(*np.nonzero(counts), strict=True):
                ink = "white" if shares[row, column] > 0.55 else INK
                text = f"{100 * shares[row, column]:.0f}"
                axes.text(column, row, text, ha="center", va="center", color=ink, fontsize=7)
        for spine in axes.spines.values():
            spine.set_visible(True)
        axes.set_title(contender.name)
        axes.set_xlabel("said (% of the class)" if size <= _MOST_NUMBERS else "said")
        axes.set_ylabel("true")
    return tag("figure", made.svg)


def _cut(text: str, most: int = 26) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
