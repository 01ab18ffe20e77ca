"""k-fold cross-validation: the recipe of every fold, and one result of all of them.

Each clip is judged once, by the run that did not train on its fold. The rule says how the judged weights are chosen,
which decides what the result may be compared with; it is named in every result.
"""

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch

from zoo.compare.finished import read_summary
from zoo.compare.shared_epoch import best_shared_epoch
from zoo.data.clip import fold_name
from zoo.data.manifest import Manifest, read_manifest
from zoo.data.problems import listed
from zoo.data.validation import ValidationConfig
from zoo.errors import DataError, RecipeError
from zoo.evaluate.chance import chance_levels
from zoo.evaluate.metrics import COUNTS, classification_metrics, finite_or_none
from zoo.evaluate.predictions import PREDICTIONS, Predictions
from zoo.recipe import Recipe

Rule = Literal["validation", "last", "official"]
"""`validation`: the checkpoint that was best on clips set aside within the training folds, judged once on the fold.
`last`: the last weights (or their average), judged once on the fold; nothing is chosen. `official`: as the released
ESC-50 scripts have it, the shared epoch at which the mean over the folds is best, chosen on the test folds."""

RULES: dict[Rule, str] = {
    "validation": "honest: each fold judged once, by the weights that were best on clips set aside within its training "
    "folds",
    "last": "honest: each fold judged once, by the weights at the end of its run",
    "official": "optimistic: the epoch was chosen on the clips it is judged on (the best shared epoch of the mean over "
    "the folds, as in the released ESC-50 scripts)",
}


def fold_recipes(
    recipe: Recipe, rule: Rule = "validation", folds: Sequence[str] | None = None, clips: Manifest | None = None
) -> dict[str, Recipe]:
    """Fold -> the recipe of the run that is judged on it, and trains on all others; in the order of the folds.

    Name and seed stay the recipe's: the folder of a run tells its fold. Labels that the recipe does not name are those
    of all folds, so that all runs have one table.

    Args:
        folds: only these; None is all that the clips of `data.train` have.
        clips: those of `data.train`, where they were read already.

    Raises:
        RecipeError: the recipe names `data.eval` or `data.test`, which the folds make, has not one source, or stops
            early where the rule has nothing to stop by.
        DataError: clips without folds, or a fold that there is not.
    """
    _check_recipe(recipe, rule)
    assert recipe.data.train is not None
    (source,) = recipe.data.train
    clips = clips or read_manifest(source, recipe.data.columns, labelled=True)
    known = _folds_of(clips)
    asked = known if folds is None else [fold_name(fold) for fold in folds]
    unknown = [fold for fold in asked if fold not in known]
    if unknown:
        raise DataError(f"{clips.source}: no fold {unknown[0]} - the folds are {listed(known)} - ask for one of them")
    labels = recipe.data.labels if recipe.data.labels is not None else clips.labels()
    evaluate = recipe.evaluate.model_copy(update={"select": "best" if rule == "validation" else "last"})
    if rule != "last" and evaluate.every_epochs is None and evaluate.every_clips is None:
        evaluate = evaluate.model_copy(update={"every_epochs": 1})
    validation = None if rule == "official" else recipe.data.validation
    if rule == "validation" and validation is None:
        validation = ValidationConfig()
    found = {}
    for fold in [one for one in known if one in asked]:
        train, judged = (
            (source.model_copy(update={"fold": some, "not_fold": None}),)
            for some in (tuple(other for other in known if other != fold), (fold,))
        )
        sides = {"eval": judged, "test": None} if rule == "official" else {"eval": None, "test": judged}
        data = recipe.data.model_copy(update={"train": train, "validation": validation, "labels": labels, **sides})
        found[fold] = recipe.model_copy(update={"data": data, "evaluate": evaluate})
    return found


def _check_recipe(recipe: Recipe, rule: Rule) -> None:
    data = recipe.data
    if recipe.objective.kind != "classification":
        raise RecipeError(
            f"objective.kind: found '{recipe.objective.kind}' - expected 'classification', whose folds have labels to "
            "judge by - take a recipe for fine-tuning"
        )
    named = [name for name in ("eval", "test") if getattr(data, name) is not None]
    if named:
        cure = " ".join(f"data.{name}=null" for name in named)
        cure += " data.train=PATH" if any(source.fold or source.not_fold for source in data.train or ()) else ""
        raise RecipeError(
            f"data.{named[0]}: found beside folds - expected none, for each fold is judged by the run that does not "
            f"train on it - set {cure}"
        )
    if not data.train or len(data.train) > 1:
        found = f"{len(data.train)} sources" if data.train else "nothing"
        raise RecipeError(
            f"data.train: found {found} - expected one source whose clips have folds - add data.train=PATH, or write "
            "one manifest of them"
        )
    if recipe.evaluate.patience is not None and rule != "validation" and (rule == "official" or not data.validation):
        why = "all folds go as far" if rule == "official" else "there are clips to watch"
        raise RecipeError(
            f"evaluate.patience: found early stopping with rule '{rule}' - expected none, unless "
            f"{'never: ' if rule == 'official' else ''}{why} - set evaluate.patience=null, or take rule 'validation'"
        )


def _folds_of(clips: Manifest) -> list[str]:
    """Their names, numbers by size. Raises DataError where not every clip has one, or all have the same."""
    counts = Counter(clip.fold for clip in clips.clips)
    if None in counts:
        raise DataError(
            f"{clips.source}: no fold ({counts[None]:,} of {len(clips):,} clips have none) - expected the fold of "
            "every clip - fill the column, name it in data.columns, or set 'data.train.folds={num: 5, by: label}'"
        )
    if len(counts) < 2:
        raise DataError(
            f"{clips.source}: one fold, {next(iter(counts))} - expected two or more - take data.train.fold out"
        )
    return sorted((str(fold) for fold in counts), key=lambda fold: (not fold.isdecimal(), len(fold), fold))


def fold_results(folders_by_fold: Mapping[str, Path], rule: Rule) -> dict[str, Any]:
    """One result of the finished runs of a recipe's folds (of one seed); plain values for JSON.

    Keys: `rule`, `rule_in_words`; `metric` (the main one); `folds`, a list; `metrics`: name -> {`mean`, `deviation`
    (n - 1; None for one fold), `values`: fold -> value}, in which what is not defined in a fold is None, and so is then
    the mean; `chance`: the same; `num_clips`: fold -> clips; `pooled`: {`weights`, `num_clips`, `metrics`} of all clips
    of all folds together; `classes_without_positives`: fold -> names of classes that no clip of it has. With the rule
    `official` also `shared_epoch`: {`epoch` or `clips`, `shared`, how many, `optimism`} and `last`: `metrics` of the
    weights at the end.

    Raises:
        DataError: a folder without a finished run, or runs that do not belong together.
    """
    summaries = {fold: read_summary(folder) for fold, folder in folders_by_fold.items()}
    _check_together(summaries, rule)
    predictions = {fold: Predictions.read(folder / PREDICTIONS) for fold, folder in folders_by_fold.items()}
    metric = next(iter(summaries.values()))["metric"]
    at_the_end = over_folds({fold: summary["metrics"] for fold, summary in summaries.items()})
    result: dict[str, Any] = {
        "rule": rule,
        "rule_in_words": RULES[rule],
        "metric": metric,
        "folds": list(summaries),
        "metrics": at_the_end,
        "chance": over_folds({fold: summary["chance"] for fold, summary in summaries.items()}),
        "num_clips": {fold: summary["num_eval_clips"] for fold, summary in summaries.items()},
        "pooled": _pooled(predictions),
        "classes_without_positives": {fold: _absent(one) for fold, one in predictions.items()},
        "evaluation": {fold: summary["evaluation"] for fold, summary in summaries.items()},
    }
    result["pooled"]["weights"] = "of each run, as judged"
    if rule == "official":
        where, values = best_shared_epoch(folders_by_fold, metric)
        result |= {"metrics": over_folds(values), "last": {"metrics": at_the_end}, "shared_epoch": where}
        chosen, last = result["metrics"][metric]["mean"], at_the_end[metric]["mean"]
        where["optimism"] = None if chosen is None or last is None else chosen - last
        result["pooled"]["weights"] = "at the end of each run, not of the shared epoch"
    return result


def over_folds(values_by_fold: Mapping[str, Mapping[str, float | None]]) -> dict[str, dict[str, Any]]:
    """Metric -> mean, deviation (n - 1) and the values themselves. Counts of classes are left out."""
    names = dict.fromkeys(name for values in values_by_fold.values() for name in values if name not in COUNTS)
    return {name: spread({fold: values.get(name) for fold, values in values_by_fold.items()}) for name in names}


def spread(values: Mapping[str, float | None]) -> dict[str, Any]:
    """Mean and deviation (n - 1) of values by name; None where one of them is not defined."""
    known = [value for value in values.values() if value is not None]
    is_whole = len(known) == len(values) and bool(known)
    return {
        "mean": statistics.fmean(known) if is_whole else None,
        "deviation": statistics.stdev(known) if is_whole and len(known) > 1 else None,
        "values": dict(values),
    }


def _check_together(summaries: Mapping[str, Mapping[str, Any]], rule: Rule) -> None:
    if not summaries:
        raise DataError("folds: found no finished run - expected one at least - run zoo crossval")
    first, *others = summaries.values()
    for other in others:
        for key in ("name", "seed", "task", "labels", "metric", "front_end"):
            if other.get(key) != first.get(key):
                raise DataError(
                    f"{other['folder']}: found another {key} than in {first['folder']} - expected the runs of one "
                    "recipe - give the folds of one run of zoo crossval"
                )
    wanted = {"validation": ("test", "best"), "last": ("test", "last"), "official": ("eval", "last")}[rule]
    for one in summaries.values():
        found = (one.get("judged_on"), one.get("select"))
        if found != wanted:
            raise DataError(
                f"{one['folder']}: judged on '{found[0]}' with select '{found[1]}' - expected '{wanted[0]}' and "
                f"'{wanted[1]}' of rule '{rule}' - name the rule by which it ran"
            )


def _pooled(predictions: Mapping[str, Predictions]) -> dict[str, Any]:
    """The metrics of all clips, each by the run that did not train on it."""
    counted = Counter(name for one in predictions.values() for name in one.names)
    name, most = counted.most_common(1)[0]
    if most > 1:
        raise DataError(f"folds: clip {name} is judged in {most} folds - expected one - give the folds of one recipe")
    several = list(predictions.values())
    scores, targets = (torch.cat([getattr(one, what) for one in several]) for what in ("scores", "targets"))
    task = several[0].task
    return {
        "num_clips": len(scores),
        "metrics": finite_or_none(classification_metrics(scores, targets, task, list(counted))),
        "chance": chance_levels(targets, task),
    }


def _absent(predictions: Predictions) -> list[str]:
    """The classes that no clip has."""
    counts = predictions.targets.sum(dim=0).tolist()
    return [label for label, count in zip(predictions.labels, counts, strict=True) if not count]
