"""A table of results with its caption: scale, clips, folds, seeds, budget and device; failed runs below."""

from zoo.proof.publish.markdown import NONE, one_line, table
from zoo.proof.publish.numbers import count, duration, interval, operations, parameters, percent, points
from zoo.proof.publish.words import folds_in_words, scale_name, seeds_in_words
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
    header, cells = _header(one, rows), [_cells(row, _references(rows)) for row in rows]
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


def _cells(row: ResultRow, references: set[str]) -> list[str]:
    known, runs = row.difference, str(len(row.values))
    if row.failed:
        runs += f", {len(row.failed)} failed"
    difference = ["reference" if row.name in references else NONE, NONE, NONE]
    if known is not None:
        told = points(known.mean) + ("" if len(references) == 1 else f" vs {known.reference}")
        difference = [told, interval(known.low, known.high), interval(known.paired_low, known.paired_high)]
    return [
        row.name,
        row.what,
        percent(row.mean) if row.mean is not None else "failed",
        percent(row.deviation),
        percent(row.fold_deviation),
        *difference,
        runs,
        count(row.clips),
        operations(row.flops / row.clips) if row.clips else NONE,
        operations(row.flops),
        operations(row.total_flops),
        duration(row.seconds),
        parameters(row.parameters),
        row.pretraining or NONE,
    ]


def _failed(rows: list[ResultRow]) -> list[str]:
    lines = [line for row in rows for line in failed_lines(row)]
    return ["Failed, and in no mean:\n\n" + "\n".join(f"- {line}" for line in lines)] if lines else []


def columns_in_words() -> str:
    """What the columns of every table mean."""
    return _COLUMNS


_COLUMNS = """\
- **±** is a standard deviation (n − 1): *seeds*, of the means over the folds of each seed (none with one seed);
  *folds*, of the means over the seeds of each fold.
- **95 %, over folds** is the corrected resampled t-test (Nadeau and Bengio), which knows the luck of the training clips
  of a fold. **95 %, paired, over clips** is the bootstrap of the same judged clips under both models: these very
  models on other clips. [comparing.md](../comparing.md) has both.
- **clips**, **a clip**, **compute** and **time** are of one fine-tuning run (a fold and a seed); compute counts forward
  and backward passes (*a clip*: of one clip), and *with pretraining* adds the whole of the pretraining run once.
- **helps**, **hurts** and **clearly** mean that 0 is outside of every interval that the row has."""
