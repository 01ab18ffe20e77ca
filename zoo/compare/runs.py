"""One run of a comparison, here or in another process: read when it is done, else trained or resumed."""

import json
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from zoo import disk
from zoo.compare.finished import read_summary, written_recipe
from zoo.compare.planned import PlannedRun
from zoo.compare.workers import Display, Tell, Work, Workers
from zoo.errors import DataError, RecipeError, ZooError
from zoo.recipe import Recipe, recipe_differences
from zoo.run import find_data, plan_clips, train
from zoo.run.folder import with_absolute_paths
from zoo.train.plan import Report

TrainingDisplay = Callable[[str], AbstractContextManager[Any]]
"""Opens a progress display with a title; entering it gives the callback that training reports to."""
FAILED = "failed.json"


@runtime_checkable
class Bar(Protocol):
    """What one run tells the person who waits."""

    def say(self, text: str) -> None:
        """One line."""

    def training(self, title: str) -> AbstractContextManager[Any]:
        """A progress bar."""


@dataclass(frozen=True)
class Outcome:
    """What became of a run: its summary, or what ended it."""

    summary: dict[str, Any] | None
    failed: str | None = None


def run_once(recipe: Recipe, folder: Path, command: str, display: TrainingDisplay) -> dict[str, Any]:
    """The summary of this recipe in this folder: read when the run is done, else trained or resumed.

    Raises:
        RecipeError: the folder holds a run of another recipe; the first keys that differ are named.
    """
    if (folder / "recipe.yaml").exists():
        done = written_recipe(folder)
        differences = recipe_differences(done, with_absolute_paths(recipe))
        if differences:
            named = ", ".join(f"{key}: {old!r} there, {new!r} now" for key, old, new in differences[:4])
            raise RecipeError(f"{folder}: holds a run of another recipe ({named}) - choose another --out or remove it")
        if (folder / "summary.json").exists():
            summary, found = read_summary(folder), find_data(recipe)
            sides = {"train_manifest": found.train, "eval_manifest": found.eval, "judged_manifest": found.judged}
            for key, clips in sides.items():
                if key in summary and summary[key] != (clips.hash if clips else None):
                    raise DataError(
                        f"{folder}: holds a run on other clips ({key} {str(summary.get(key))[:12]} there) - expected "
                        "the same data - choose another --out or remove it"
                    )
            return summary
    with display(f"{command} {recipe.name} (seed {recipe.seed})") as report:
        summary = train(recipe, folder, command=command, resume=True, on_progress=report)
    return {**summary, "folder": str(folder)}


def run_or_note(run: PlannedRun, number: str, console: Bar) -> Outcome:
    """Runs it here. What makes it fail is written into its folder, and told; it is not tried again.

    Args: `number`: `run 3 of 8`.

    Raises: ZooError: what the user put wrong, or the disk: it would stop other runs too.
    """
    known = _known_failure(run)
    if known is not None:
        return known
    fold = "" if run.fold is None else f", fold {run.fold}"
    try:
        summary = run_once(
            run.recipe, run.folder, run.command, lambda title: console.training(f"{number}: {title}{fold}")
        )
        return Outcome(summary)
    except ZooError as error:
        outcome = _noted(run, error)
        console.say(f"{number} failed: {where(run)}: {' '.join(str(error).split())}")
        return outcome


def run_side_by_side(
    runs: Sequence[PlannedRun], workers: Workers, console: Display, title: str, names: Sequence[str] = ()
) -> list[Outcome]:
    """The outcome of each run; those that are not done are trained in other processes.

    Args: `names`: of the runs, in the lines that tell of them; default: contender, fold and seed.

    Raises: as `run_or_note`. Interrupted: SIGINT or SIGTERM, after checkpoints were written.
    """
    works = [as_work(run, name) for run, name in zip(runs, names or map(where, runs), strict=True)]
    return workers.results(works, console, title, told=in_words)


def as_work(run: PlannedRun, name: str | None = None) -> Work:
    """The run as work for another process."""
    train_clips = run.recipe.train
    size = train_clips.clips or plan_clips(run.recipe, find_data(run.recipe).num_train)
    return Work(name or where(run), run_in_a_process, (run,), size)


def run_in_a_process(run: PlannedRun, tell: Tell) -> Outcome:
    """As `run_or_note`, without a display."""
    known = _known_failure(run)
    if known is not None:
        return known

    def report(news: Report) -> None:
        tell(news.clips / max(news.total_clips, 1))

    class _Bar(AbstractContextManager[Any]):
        def __enter__(self) -> Any:
            return report

        def __exit__(self, *error: object) -> None:
            return None

    try:
        return Outcome(run_once(run.recipe, run.folder, run.command, lambda title: _Bar()))
    except ZooError as error:
        return _noted(run, error)


def in_words(outcome: Outcome) -> str:
    """`accuracy 0.8125, 24 s`, or why there is none."""
    if outcome.summary is None:
        return f"failed: {outcome.failed}"
    summary = outcome.summary
    value = summary["metrics"].get(summary["metric"])
    return f"{summary['metric']} {'–' if value is None else format(value, '.4f')}, {summary['seconds']:.0f} s"


def where(run: PlannedRun) -> str:
    """`AST, fold 3, seed 0`."""
    return f"{run.contender}, {'' if run.fold is None else f'fold {run.fold}, '}seed {run.seed}"


def _known_failure(run: PlannedRun) -> Outcome | None:
    known = run.folder / FAILED
    if known.is_file():
        error = json.loads(known.read_text(encoding="utf-8"))["error"]
        return Outcome(None, f"{where(run)}: {error} (again: remove {known})")
    _clear_stillborn(run.folder)
    return None


def _noted(run: PlannedRun, error: ZooError) -> Outcome:
    """Raises the error again where it is none of this run alone."""
    if type(error) is not ZooError:
        raise error
    text, known = " ".join(str(error).split()), run.folder / FAILED
    with disk.written_whole(known) as beside:
        disk.write_json(beside, {"error": text})
    return Outcome(None, f"{where(run)}: {text} (again: remove {known})")


def _clear_stillborn(folder: Path) -> None:
    """Removes a folder that a kill left behind before the run had written anything but a file half."""
    if folder.is_dir() and all(path.name.endswith(".writing") for path in folder.iterdir()):
        disk.remove(folder)
