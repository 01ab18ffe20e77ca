"""The report of a cross-validation as a table: a row a metric, a column a fold (or seed), then mean and chance."""

from collections.abc import Mapping
from typing import Any

_TITLES = {
    "accuracy": "accuracy",
    "mAP": "mAP",
    "auc": "AUC",
    "dprime": "d′",
    "precision": "precision, macro",
    "recall": "recall, macro",
    "f1": "F1, macro",
    "precision_weighted": "precision, weighted",
    "recall_weighted": "recall, weighted",
    "f1_weighted": "F1, weighted",
    "loss": "cross-entropy",
}
"""Balanced accuracy is the macro recall."""
_MOST_COLUMNS = 12
NONE = "–"


def crossval_table(report: Mapping[str, Any], shortened: bool = False) -> tuple[list[str], list[list[str]]]:
    """(Titles of the columns, a list of texts for every row; the last row counts clips).

    Args:
        shortened: without a column for each fold or seed where there are many.
    """
    several = len(report["seeds"]) > 1
    one = next(iter(report["by_seed"].values()))
    names = [name for name in _TITLES if name in report["metrics"]]
    columns = list(next(iter(report["metrics"].values()))["values"])
    shown = [] if shortened and len(columns) > _MOST_COLUMNS else columns
    header = ["metric", *(f"{'seed' if several else 'fold'} {column}" for column in shown), "mean ± deviation"]
    at_the_end = one.get("last", {}).get("metrics") if not several else None
    header += ["at the end"] if at_the_end else []
    header += [] if several else ["all clips"]
    header += ["chance"]
    auc = report["metrics"]["auc"]
    rows = []
    for name in names:
        values = report["metrics"][name]
        limit = auc if name == "dprime" else None
        row = [_TITLES[name]]
        row += [_number(values["values"][column], limit and limit["values"][column]) for column in shown]
        row.append(_with_deviation(values, limit))
        if at_the_end:
            row.append(_with_deviation(at_the_end[name], at_the_end["auc"] if limit else None))
        if not several:
            pooled = one["pooled"]["metrics"]
            row.append(_number(pooled[name], pooled["auc"] if limit else None))
        rows.append([*row, _number(report["chance"].get(name))])
    if not several:
        clips = one["num_clips"]
        counts = ["clips", *(f"{clips[column]:,}" for column in shown), NONE, *([NONE] if at_the_end else [])]
        rows.append([*counts, f"{one['pooled']['num_clips']:,}", NONE])
    return header, rows


def title(report: Mapping[str, Any]) -> str:
    """What was judged, over how many folds and seeds, and by which rule."""
    counts = f"{len(report['folds'])} folds" + (f" × {len(report['seeds'])} seeds" if len(report["seeds"]) > 1 else "")
    return f"{report['name']}: {counts}, rule '{report['rule']}'"


def as_markdown(report: Mapping[str, Any]) -> str:
    """The table and all remarks for a document."""
    header, rows = crossval_table(report)
    lines = [title(report), "", "| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    lines += ["| " + " | ".join(cells) + " |" for cells in rows]
    return "\n".join([*lines, "", *(f"- {remark}" for remark in remarks(report))]) + "\n"


def remarks(report: Mapping[str, Any]) -> list[str]:
    """The rule in words, what the deviation is of, and what else there is to say."""
    return [report["rule_in_words"], f"the deviation (n - 1) is {report['deviation_of']}", *report["remarks"]]


def _with_deviation(values: Mapping[str, Any], auc: Mapping[str, Any] | None) -> str:
    """`0.912 ± 0.013`. A mean that an endless d' is in is endless."""
    ends = set(auc["values"].values()) & {0.0, 1.0} if auc else set()
    mean = _number(values["mean"], ends.pop() if len(ends) == 1 else None)
    return mean if values["deviation"] is None else f"{mean} ± {values['deviation']:.4f}"


def _number(value: float | None, auc: float | None = None) -> str:
    """Four decimals; of an endless d' its sign, which the AUC tells."""
    if value is not None:
        return f"{value:.4f}"
    return "∞" if auc == 1 else "-∞" if auc == 0 else NONE
