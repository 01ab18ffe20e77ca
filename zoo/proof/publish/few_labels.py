"""What pretraining is worth when few clips are labelled."""

from zoo.proof.publish.markdown import NONE, table
from zoo.proof.publish.numbers import count, interval, percent, points
from zoo.proof.publish.result_table import shared_mark
from zoo.proof.publish.standing import gain, main_tables, rows_of
from zoo.proof.publish.words import judgement
from zoo.proof.results import ProofResults, ResultTable


def label_tables(results: ProofResults, task: str) -> list[ResultTable]:
    """Tables of one task by their share of labels, fewest first; of all labels it may be the one on pretraining."""
    found = [one for one in results.tables if one.kind == "labels" and one.task == task]
    if not any(one.share == 1.0 for one in found):
        names = {row.name for one in found for row in one.rows}
        found += [one for one in main_tables(results, task) if any(row.name in names for row in one.rows)][:1]
    return sorted(found, key=lambda one: one.share)


def tasks_with_few_labels(results: ProofResults) -> list[str]:
    """Tasks that were trained with a part of their labels."""
    return list(dict.fromkeys(one.task for one in results.tables if one.kind == "labels"))


def names_of(results: ProofResults, task: str) -> list[str]:
    """Rows that stand in tables of a part of the labels."""
    tables = [one for one in results.tables if one.kind == "labels" and one.task == task]
    return list(dict.fromkeys(row.name for one in tables for row in one.rows))


def share_in_words(share: float) -> str:
    """`10 %`, `all`."""
    return "all" if share == 1.0 else f"{100 * share:.3g} %"


def labels_table(results: ProofResults) -> str:
    """A row for each task, share and model."""
    header = ["task", "labels", "model", "result, %", "± seeds", "± folds", "difference, points", "95 %, over folds"]
    header += ["95 %, paired, over clips", "runs", "clips", "budget", "failed"]
    rows = []
    for task in tasks_with_few_labels(results):
        names = names_of(results, task)
        for one in label_tables(results, task):
            for row in one.rows:
                if row.name not in names:
                    continue
                known = row.difference
                cells = [task, share_in_words(one.share), row.name]
                cells += [percent(row.mean) if row.mean is not None else "failed", percent(row.deviation)]
                cells.append(percent(row.fold_deviation))
                if known is None:
                    cells += [NONE, NONE, NONE]
                else:
                    told = f"{points(known.mean)} vs {known.reference}{shared_mark(one, row)}"
                    cells += [told, interval(known.low, known.high)]
                    cells.append(interval(known.paired_low, known.paired_high))
                cells += [str(len(row.values)), count(row.clips), one.budget, "; ".join(row.failed) or NONE]
                rows.append(cells)
    return table(header, rows) if rows else ""


def labels_told(results: ProofResults) -> str:
    """By task and share, what pretraining gave above scratch: a bullet each."""
    lines = []
    for task in tasks_with_few_labels(results):
        for one in label_tables(results, task):
            parts = []
            for row in rows_of(one, "pretrained"):
                for other in rows_of(one, "scratch", row.form)[:1]:
                    found = gain(results, one, row, other)
                    if found is not None:
                        form = f"{row.form} " if row.form else ""
                        parts.append(f"{form}pretraining {judgement(found)}, {points(found.mean)} points")
            if parts:
                lines.append(f"- {task}, {share_in_words(one.share)} of the labels: {'; '.join(parts)}.")
    return "\n".join(lines)
