"""Contenders × seeds × folds -> runs: trains what is missing, resumes what was cut, never repeats what is done."""

import contextlib
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from zoo.compare.cells import as_markdown
from zoo.compare.config import ComparisonConfig
from zoo.compare.costs import Costs, costs_of
from zoo.compare.folds import Rule, fold_results
from zoo.compare.found_runs import described
from zoo.compare.planned import Planned, plan
from zoo.compare.report import write_report
from zoo.compare.row import Comparison
from zoo.compare.runs import Outcome, run_or_note, run_side_by_side
from zoo.compare.table import compare_summaries
from zoo.compare.workers import Display as SideBySideDisplay
from zoo.compare.workers import Workers, cores
from zoo.errors import DataError

if sys.platform != "win32":
    import fcntl

TABLE, REPORT = "comparison.json", "report.html"
_LOCK = ".compare.lock"
Groups = dict[str, list[dict[str, Any]]]


@runtime_checkable
class Display(Protocol):
    """What a comparison tells the person who waits."""

    def say(self, text: str) -> None:
        """One line."""

    def training(self, title: str) -> AbstractContextManager[Any]:
        """A progress bar."""


def compare(
    config: ComparisonConfig,
    overrides: Sequence[str] = (),
    *,
    out: Path,
    console: Display,
    allow_unfair: bool = False,
    jobs: int = 1,
) -> Comparison:
    """Runs what is missing under `out`, and puts all runs in one table, which is written there too, with a page.

    Killed and started again, it goes on where it was. A run that diverges, or for which the memory does not suffice, is
    written down as failed, and the others go on; it is not tried again.

    Args:
        overrides: KEY=VALUE of every recipe, such as `data.train=train.csv`.
        allow_unfair: show what would be refused, with flags.
        jobs: runs side by side, each in a process with its share of the cores.

    Raises:
        ZooError: what the user can put right, found before any time is spent where possible.
        Interrupted: SIGINT or SIGTERM, after a checkpoint was written.
    """
    with alone_in(out, "zoo compare"):
        planned = plan(config, overrides, out, console.say, allow_unfair)
        groups: Groups = {name: list(planned.finished.get(name, ())) for name in planned.names}
        failed: dict[str, list[str]] = {}
        for run, outcome in zip(planned.runs, _outcomes(planned, console, jobs), strict=True):
            if outcome.summary is not None:
                groups[run.contender].append(described(outcome.summary, run.recipe, run.fold))
            else:
                failed.setdefault(run.contender, []).append(str(outcome.failed))
        if config.folds is not None:
            _judge_by_rule(groups, planned, config.rule)
        comparison = compare_summaries(
            groups,
            reference=planned.reference,
            costs=costs_by_contender(groups, out),
            failed=failed,
            allow_unfair=allow_unfair,
            clips_may_differ=config.budget is not None and config.budget.clips is None,
        )
        comparison = replace(
            comparison,
            remarks=(*planned.remarks, *comparison.remarks),
            look=(
                f"tables: {out / 'comparison.md'} and comparison.json; runs in {out}",
                f"everything on one page, with curves and the hardest clips to listen to: {out / REPORT}",
                f"curves over clips seen, all runs in one plot: tensorboard --logdir {out}",
            ),
        )
        write_comparison(comparison, out)
        folders = {name: [Path(str(run["folder"])) for run in runs] for name, runs in groups.items()}
        write_report(folders, comparison.as_json(), out / REPORT, title=config.name)
    return comparison


def _outcomes(planned: Planned, console: Display, jobs: int) -> list[Outcome]:
    """One for each run."""
    runs = planned.runs
    if jobs > 1 and len(runs) > 1:
        assert isinstance(console, SideBySideDisplay)
        with Workers(min(jobs, len(runs)), max(1, cores() // jobs)) as workers:
            return run_side_by_side(runs, workers, console, "runs")
    return [run_or_note(run, f"run {n} of {len(runs)}", console) for n, run in enumerate(runs, 1)]


def costs_by_contender(groups: Groups, out: Path) -> dict[str, Costs]:
    """What the first run of each contender took. Its rate at inference is measured, unless the table in `out` has it.

    Without that, the same comparison of the same runs would be another each time.
    """
    measured = _measured_before(out)
    first = {name: summaries[0] for name, summaries in groups.items() if summaries}
    return {
        name: costs_of(Path(str(summary["folder"])), summary, measured.get(str(summary["folder"])))
        for name, summary in first.items()
    }


def _measured_before(out: Path) -> dict[str, float]:
    """Folder of a run -> clips a second at inference, from the last table; nothing where it cannot be read."""
    try:
        rows = json.loads((out / TABLE).read_text(encoding="utf-8"))["rows"]
        found = {str(row["runs"][0]): row["inference_clips_per_second"] for row in rows if row["runs"]}
        return {folder: float(rate) for folder, rate in found.items() if rate is not None}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def write_comparison(comparison: Comparison, out: Path) -> None:
    """Writes `comparison.json` and `comparison.md` into a folder."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / TABLE).write_text(json.dumps(comparison.as_json(), indent=2) + "\n", encoding="utf-8")
        (out / "comparison.md").write_text(as_markdown(comparison), encoding="utf-8")
    except OSError as error:
        raise DataError(
            f"{out}: cannot be written ({error.strerror}) - expected a folder - choose another --out"
        ) from None


def _judge_by_rule(groups: Groups, planned: Planned, rule: Rule) -> None:
    """Puts the metrics of the rule in the place of those of each run, for contenders of which folds were run."""
    for name in {run.contender for run in planned.runs}:
        for seed in {int(summary["seed"]) for summary in groups[name]}:
            ours = [i for i, summary in enumerate(groups[name]) if summary["seed"] == seed]
            folders = {str(groups[name][i]["fold"]): Path(str(groups[name][i]["folder"])) for i in ours}
            result = fold_results(folders, rule)
            for i in ours:
                fold = str(groups[name][i]["fold"])
                metrics = {key: one["values"][fold] for key, one in result["metrics"].items()}
                changed = {
                    "metrics": metrics,
                    "of_shared_epoch": rule == "official",
                    "evaluation": f"{groups[name][i]['evaluation']}; {result['rule_in_words']}",
                }
                groups[name][i] = {**groups[name][i], **changed}


@contextlib.contextmanager
def alone_in(out: Path, command: str) -> Iterator[None]:
    """Raises DataError where another `command` works in this folder; a kill ends the claim."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        file = (out / _LOCK).open("w")
    except OSError as error:
        raise DataError(
            f"{out}: cannot be written ({error.strerror}) - expected a folder - choose another --out"
        ) from None
    with file:
        if sys.platform != "win32":
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise DataError(
                    f"{out}: another {command} is at work there - expected one at a time - wait for it, or choose "
                    "another --out"
                ) from None
            except OSError:
                pass  # a file system without locks
        yield
