"""k-fold cross-validation of a recipe: a run for every fold and seed, of which only what is missing is done."""

import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from zoo import disk
from zoo.compare.crossval_table import as_markdown
from zoo.compare.finished import read_summary, unusable_in_words
from zoo.compare.folds import RULES, Rule, fold_recipes, fold_results, spread
from zoo.compare.runs import TrainingDisplay, run_once
from zoo.data.problems import listed
from zoo.errors import ZooError
from zoo.recipe import Recipe, find_recipe, read_recipe

Folders = dict[int, dict[str, Path]]
"""Seed -> fold -> the folder of its run."""
_WARNINGS_SHOWN = 5


def crossval(
    recipe: str | Path,
    overrides: Sequence[str] = (),
    *,
    rule: Rule = "validation",
    folds: Sequence[str] | None = None,
    seeds: Sequence[int] | None = None,
    out: Path | None = None,
    training: TrainingDisplay,
) -> dict[str, Any]:
    """Runs every fold that has not been run into `OUT/fold-NAME`, and puts all of them into one report.

    Runs of other seeds than the recipe's lie in `OUT/seed-N/fold-NAME`. A run that was cut goes on. A fold that fails
    is told, and the others are run all the same. `OUT/crossval.json` and `OUT/crossval.md` are written after every run,
    of what there is.

    Args:
        folds: run only these; None: all. Others that are there already are in the report.
        seeds: None: the recipe's own.
        out: None is `runs/NAME-folds`.

    Returns: `name`, `out`, `rule`, `rule_in_words`, `metric`, `seeds`, `folds`; `metrics`: name -> {`mean`,
        `deviation`, `values`} over folds, or with several seeds over seeds, each of which is its mean over folds;
        `deviation_of`, which of the two, in words; `chance`: name -> level; `by_seed`: seed -> the result of
        `fold_results`; `complete`; `missing` and `failed` runs; `remarks`.

    Raises:
        RecipeError, DataError: see `fold_recipes`; and what is wrong with the first run, where none could be done.
    """
    parsed = read_recipe(find_recipe(recipe), overrides)  # what folds add need not be there yet
    recipes = fold_recipes(parsed, rule)
    asked = recipes if folds is None else fold_recipes(parsed, rule, folds)
    seeds = list(dict.fromkeys(seeds if seeds else [parsed.seed]))
    out = Path("runs") / f"{parsed.name}-folds" if out is None else out
    done: Folders = {seed: {} for seed in seeds}
    failed: list[dict[str, Any]] = []
    report: dict[str, Any] = {}
    for seed in seeds:
        for fold, of_fold in recipes.items():
            folder = (out if seed == parsed.seed else out / f"seed-{seed}") / folder_name(fold)
            if fold not in asked and not (folder / "summary.json").exists():
                continue
            seeded = of_fold.model_copy(update={"seed": seed})
            try:
                run_once(seeded, folder, "finetune", _titled(training, fold))
            except ZooError as error:
                if not any(done.values()):
                    raise
                failed.append({"seed": seed, "fold": fold, "error": str(error)})
            else:
                done[seed][fold] = folder
                report = _report(parsed, rule, out, list(recipes), done, failed)
                _write(report, out)
    report = _report(parsed, rule, out, list(recipes), done, failed)
    _write(report, out)
    return report


def folder_name(fold: str) -> str:
    """`fold-3`; what no file system likes in a name is quoted."""
    return f"fold-{urllib.parse.quote(fold, safe=' ')}"


def _titled(training: TrainingDisplay, fold: str) -> TrainingDisplay:
    @contextmanager
    def display(title: str) -> Iterator[Any]:
        with training(f"{title}, fold {fold}") as report:
            yield report

    return display


def _report(
    recipe: Recipe, rule: Rule, out: Path, folds: list[str], done: Folders, failed: list[dict[str, Any]]
) -> dict[str, Any]:
    """Of the runs that are done so far."""
    by_seed = {seed: fold_results(folders, rule) for seed, folders in done.items() if folders}
    known = [fold for fold in folds if any(fold in folders for folders in done.values())]
    whole = {seed: one for seed, one in by_seed.items() if len(one["folds"]) == len(known)}
    missing = [{"seed": seed, "fold": fold} for seed, of_seed in done.items() for fold in folds if fold not in of_seed]
    first = next(iter(by_seed.values()))
    metrics: dict[str, Any] = first["metrics"]
    deviation_of = "over the folds"
    if len(done) > 1:
        deviation_of = "over the seeds, each of which is its mean over the folds"
        metrics = {
            name: spread({str(seed): one["metrics"][name]["mean"] for seed, one in whole.items()}) for name in metrics
        }
    return {
        "name": recipe.name,
        "out": str(out),
        "rule": rule,
        "rule_in_words": RULES[rule],
        "metric": first["metric"],
        "seeds": list(done),
        "folds": folds,
        "complete": not missing,
        "missing": missing,
        "failed": failed,
        "metrics": metrics,
        "deviation_of": deviation_of,
        "chance": {name: level["mean"] for name, level in first["chance"].items()},
        "by_seed": {str(seed): one for seed, one in by_seed.items()},
        "runs": {str(seed): {fold: str(folder) for fold, folder in of.items()} for seed, of in done.items()},
        "remarks": _remarks(by_seed, done, missing, failed),
    }


def _remarks(
    by_seed: Mapping[int, dict[str, Any]],
    done: Folders,
    missing: Sequence[Mapping[str, Any]],
    failed: Sequence[Mapping[str, Any]],
) -> list[str]:
    """What a reader needs before believing the numbers."""
    told = []
    for seed, one in by_seed.items():
        of_seed = f"seed {seed}: " if len(done) > 1 else ""
        if "shared_epoch" in one:
            told.append(of_seed + _on_shared_epoch(one))
        endless = [fold for fold, value in one["metrics"]["auc"]["values"].items() if value in (0, 1)]
        if endless:
            told.append(f"{of_seed}d' is endless where AUC is 1 (fold {listed(endless)}), and so is its mean")
    first = next(iter(by_seed.values()))
    for fold, names in first["classes_without_positives"].items():
        if names:
            told.append(f"fold {fold} has no clip of {listed(names)}: left out of its means over classes")
    if missing:
        runs = [_named(run, len(done) > 1) for run in missing]
        told.append(f"not run yet: {listed(runs)} - the same command again runs them")
    told += [f"failed: {_named(run, len(done) > 1)}: {run['error']}" for run in failed]
    folders = [folder for folders in done.values() for folder in folders.values()]
    told += unusable_in_words(read_summary(folder) for folder in folders)
    warnings = dict.fromkeys(warning for folder in folders for warning in read_summary(folder).get("warnings", []))
    told += list(warnings)[:_WARNINGS_SHOWN]
    if len(warnings) > _WARNINGS_SHOWN:
        told.append(f"{len(warnings) - _WARNINGS_SHOWN:,} more warnings are in the summaries of the runs")
    return told


def _on_shared_epoch(result: Mapping[str, Any]) -> str:
    where, metric = result["shared_epoch"], result["metric"]
    unit = "epoch" if "epoch" in where else "clips"
    at_the_end, optimism = result["last"]["metrics"][metric], where["optimism"]
    text = f"chosen on the judged clips: {_when(where, unit)}, the best of {where['shared']:,} shared evaluations"
    if optimism is None:
        return text
    deviation = "" if at_the_end["deviation"] is None else f" ± {at_the_end['deviation']:.4f}"
    return f"{text}; the weights at the end have {metric} {at_the_end['mean']:.4f}{deviation}, {optimism:.4f} less"


def _when(where: Mapping[str, Any], unit: str) -> str:
    return f"after epoch {where[unit]:,}" if unit == "epoch" else f"after {where[unit]:,} clips"


def _named(run: Mapping[str, Any], with_seed: bool) -> str:
    return f"fold {run['fold']}" + (f" of seed {run['seed']}" if with_seed else "")


def _write(report: Mapping[str, Any], out: Path) -> None:
    with disk.written_whole(out / "crossval.json") as file:
        disk.write_json(file, report)
    with disk.written_whole(out / "crossval.md") as file:
        file.write_text(as_markdown(report), encoding="utf-8")
