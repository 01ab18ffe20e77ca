"""A table of results with its caption: scale, clips, folds, seeds, budget and device; failed runs below."""

from zoo.proof.publish.markdown import NONE, one_line, table
from zoo.proof.publish.numbers import count, duration, interval, operations, parameters, percent, points
from zoo.proof.publish.words import folds_in_words, scale_name, seeds_in_words, shared_in_words
from zoo.proof.results import ProofResults, ResultRow, ResultTable, Role

_ORDER: tuple[Role, ...] = (
    *("pretrained", "scratch", "scratch-compute", "scratch-converged", "reconstruct", "classify", "masked-out"),
    *("probe-pretrained", "probe-random", "cnn", "other"),
)


def captioned(results: ProofResults, one: ResultTable, by_result: bool = False) -> str:
    """Caption, table, and what failed.

    Args:
        by_result: the best first; else in the order of the argument, pretrained before scratch.
    """
    key = (lambda row: -(row.mean if row.mean is not None else -1.0)) if by_result else _place
    rows = sorted(one.rows, key=key)
    header, cells = _header(one, rows), [_cells(one, row, _references(rows)) for row in rows]
    if one.chance is not None:
        cells.append(["chance", "", percent(one.chance)] + [NONE] * (len(header) - 3))
    return "\n\n".join([_caption(results, one), table(header, cells), *_failed(rows)])


def failed_lines(row: ResultRow) -> list[str]:
    """`scratch: seed 1, fold 2: …`, a line for each run that failed."""
    return [f"{row.name}: {one_line(text)}" for text in row.failed]


def _place(row: ResultRow) -> int:
    return _ORDER.index(row.role)


def _caption(results: ProofResults, one: ResultTable) -> str:
    task = results.data.tasks.get(one.task)
    said = [f"{one.metric.replace('_', ' ')} in %"]
    if task is not None:
        said.append(
            f"{count(task.clips)} clips of {task.classes} classes, each judged by the run that did not train on it"
        )
    said += [folds_in_words(results, one), seeds_in_words(one)]
    said.append("all training labels" if one.share == 1.0 else f"{100 * one.share:.3g} % of the training labels")
    said.append(f"fine-tuning budget {one.budget}{_budget_flops(one)}")
    said.append(f"{results.device}, {results.cores} cores")
    return f"**{one.task}, {scale_name(results.scale)}: {one_line(one.title)}** ({'; '.join(said)})"


def _budget_flops(one: ResultTable) -> str:
    """FLOPs of a run at the table's budget: those of the row that the others are held against."""
    spent = [row.flops for row in one.rows if row.role == "scratch" and row.flops]
    return f" ({operations(max(spent))} a run)" if spent else ""


def _header(one: ResultTable, rows: list[ResultRow]) -> list[str]:
    references = _references(rows)
    against = f"vs {next(iter(references))}, points" if len(references) == 1 else "difference, points"
    header = ["model", "what", f"{one.metric.replace('_', ' ')}, %", "± seeds", "± folds"]
    header += [against, "95 %, over folds", "95 %, paired, over clips"]
    header += ["runs", "clips", "a clip", "compute", "compute with pretraining", "time"]
    return [*header, "parameters", "pretraining"]


def _references(rows: list[ResultRow]) -> set[str]:
    """Names of the rows that others are held against."""
    return {row.difference.reference for row in rows if row.difference is not None}


def _cells(one: ResultTable, row: ResultRow, references: set[str]) -> list[str]:
    known = row.difference
    difference = ["reference" if row.name in references else NONE, NONE, NONE]
    if known is not None:
        told = points(known.mean) + ("" if len(references) == 1 else f" vs {known.reference}") + shared_mark(one, row)
        difference = [told, interval(known.low, known.high), interval(known.paired_low, known.paired_high)]
    return [
        row.name,
        row.what,
        percent(row.mean) if row.mean is not None else "failed",
        percent(row.deviation),
        percent(row.fold_deviation),
        *difference,
        _runs(one, row),
        count(row.clips),
        operations(row.flops / row.clips) if row.clips and row.flops else NONE,
        operations(row.flops),
        operations(row.total_flops),
        duration(row.seconds),
        parameters(row.parameters),
        row.pretraining or NONE,
    ]


def shared_mark(one: ResultTable, row: ResultRow) -> str:
    """` (seed 0)` behind a difference that is of these runs alone, and so not that of the printed means."""
    reference = row.difference.reference if row.difference is not None else None
    other = next((found for found in one.rows if found.name == reference), None)
    shared = "" if other is None else shared_in_words(row, other)
    return f" ({shared})" if shared else ""


def _runs(one: ResultTable, row: ResultRow) -> str:
    """`15`, `5 (seed 0)` where it has fewer seeds than the table, `4, 1 failed`."""
    seeds = tuple(dict.fromkeys(value.seed for value in row.values))
    text = str(len(row.values))
    if seeds and len(seeds) < len(one.seeds):
        text += f" (seed {', '.join(map(str, seeds))})"
    return text + (f", {len(row.failed)} failed" if row.failed else "")


def _failed(rows: list[ResultRow]) -> list[str]:
    lines = [line for row in rows for line in failed_lines(row)]
    return ["Failed, and in no mean:\n\n" + "\n".join(f"- {line}" for line in lines)] if lines else []


def columns_in_words() -> str:
    """What the columns of every table mean."""
    return _COLUMNS


_COLUMNS = """\
- **±** is a standard deviation (n − 1): *seeds*, of the means over the folds of each seed (none with one seed);
  *folds*, of the means over the seeds of each fold.
- **A difference** is that of the runs (seeds and folds) that both rows have. Where one row has more, those that count
  stand behind it, as *(seed 0)*; it then is not the difference of the printed means, which are of all runs of each row.
- **95 %, over folds** is the corrected resampled t-test (Nadeau and Bengio), which knows the luck of the training clips
  of a fold. **95 %, paired, over clips** is the bootstrap of the same judged clips under both models: these very
  models on other clips. [comparing.md](../comparing.md) has both. No interval is corrected for the number of
  comparisons on the page: of twenty without any difference, one is expected to be away from 0.
- **clips**, **a clip**, **compute** and **time** are of one fine-tuning run (a fold and a seed); compute counts forward
  and backward passes (*a clip*: of one clip), and *with pretraining* adds the whole of the pretraining run once. Probes
  train no model: features of frozen weights are computed once (forward only) for all folds, and what a probe costs is
  not measured row by row, hence the dashes.
- **helps**, **hurts** and **clearly** mean that 0 is outside of every interval that the row has."""
