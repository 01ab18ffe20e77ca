"""The runs of a comparison before any is begun: contenders × seeds × folds, each a recipe and a folder.

Everything that can be found wrong with any of them is found here, before time is spent.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.compare.budget import Budget
from zoo.compare.config import OWN, ComparisonConfig, ContenderConfig
from zoo.compare.fairness import check_comparable
from zoo.compare.finished import read_summary, written_recipe
from zoo.compare.folds import fold_recipes
from zoo.compare.found_runs import described, fold_of, run_folder, runs_in
from zoo.config import Config
from zoo.errors import DataError, RecipeError
from zoo.recipe import Recipe, find_recipe, read_recipe, recipe_differences
from zoo.run import find_data
from zoo.run.folder import check_front_end, read_init


@dataclass(frozen=True)
class PlannedRun:
    """One run to be there in the end."""

    contender: str
    recipe: Recipe
    folder: Path
    fold: str | None
    seed: int

    @property
    def command(self) -> str:
        """What trains it."""
        return "pretrain" if self.recipe.objective.kind == "masked-patch" else "finetune"


@dataclass(frozen=True)
class Planned:
    """A whole comparison."""

    names: tuple[str, ...]
    """Of the contenders, in their order."""
    reference: str
    runs: tuple[PlannedRun, ...]
    """Those of recipes: all contenders of a seed, then the next seed."""
    finished: Mapping[str, Sequence[dict[str, Any]]]
    """Contender -> summaries of runs that were given."""
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class _Asked:
    """A recipe as it was asked for."""

    source: str
    overrides: tuple[str, ...]

    def read(self, *more: str) -> Recipe:
        return read_recipe(find_recipe(self.source), [*_replaced(self.overrides, more), *more], for_training=True)


def plan(
    config: ComparisonConfig,
    overrides: Sequence[str],
    out: Path,
    say: Callable[[str], None],
    allow_unfair: bool = False,
) -> Planned:
    """The runs of a comparison.

    Args:
        overrides: KEY=VALUE of every recipe, beside those of the comparison.

    Raises: RecipeError, DataError, CheckpointError: what would stop one of the runs, or make them incomparable.
    """
    shared = merged(pairs(config.set), overrides)
    finished: dict[str, Sequence[dict[str, Any]]] = {}
    asked: dict[str, _Asked] = {}
    names: list[str] = []
    for contender in config.contenders:
        if contender.recipe is None:
            found = _finished(contender)
            names += found
            finished.update(found)
        else:
            name, one = _asked(contender, shared)
            names.append(name)
            asked[name] = one
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise RecipeError(f"compare: a second contender named '{twice[0]}' - expected one name each: set name=...")
    reference = config.reference or names[0]
    if reference not in names:
        raise RecipeError(f"reference: '{reference}' - expected one of {', '.join(names)} - choose one of them")
    asked, remarks = _behind_one_front_end(config, asked, reference, finished)
    asked, more = _at_one_budget(config, asked, out, say)
    runs = _runs(config, asked, reference, out)
    _check(runs, finished, reference, allow_unfair)
    return Planned(tuple(names), reference, tuple(runs), finished, (*remarks, *more))


def pairs(values: Mapping[str, Any]) -> list[str]:
    """KEY=VALUE of keys and values as a YAML file has them."""
    return [f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in values.items()]


def merged(overrides: Sequence[str], later: Sequence[str]) -> tuple[str, ...]:
    """Both, where a later one replaces an earlier one of the same key."""
    return (*_replaced(overrides, later), *later)


def _replaced(overrides: Sequence[str], later: Sequence[str]) -> list[str]:
    """The overrides that no later one replaces; of train.clips, steps and epochs one replaces the others."""
    lengths = {"train.clips", "train.steps", "train.epochs"}
    keys = {_key(one) for one in later}
    gone = keys | (lengths if keys & lengths else set())
    return [one for one in overrides if _key(one) not in gone]


def _key(override: str) -> str:
    return override.split("=", 1)[0].strip()


def _asked(contender: ContenderConfig, shared: Sequence[str]) -> tuple[str, _Asked]:
    own = merged(shared, pairs(contender.set))
    if contender.name is not None:
        own = merged(own, [f"name={json.dumps(contender.name)}"])
    assert contender.recipe is not None
    one = _Asked(contender.recipe, own)
    return one.read().name, one


def _finished(contender: ContenderConfig) -> dict[str, list[dict[str, Any]]]:
    """Name -> summaries. Without a name, runs that differ in more than seed and fold are contenders of their own."""
    found: dict[str, list[dict[str, Any]]] = {}
    first_of: dict[str, Recipe] = {}
    folders = [run for folder in contender.runs or () for run in runs_in(_existing(folder))]
    for folder in dict.fromkeys(folder.resolve() for folder in folders):
        summary, recipe = read_summary(folder), written_recipe(folder)
        name = contender.name or str(summary["name"])
        same = _without_seed_and_fold(recipe)
        if first_of.setdefault(name, same) != same:
            if contender.name is not None:
                keys = ", ".join(key for key, _, _ in recipe_differences(first_of[name], same)[:4])
                raise RecipeError(
                    f"{folder}: differs from the other runs of '{name}' in {keys} - expected runs that differ in "
                    "seed and fold alone - make two contenders of them"
                )
            name = f"{name} ({folder.name})"
        found.setdefault(name, []).append(described(summary, recipe, fold_of(folder)))
    return found


def _existing(folder: str) -> Path:
    if not Path(folder).is_dir():
        raise DataError(f"{folder}: no such folder - expected a folder of a finished run - check the path")
    return Path(folder)


def _without_seed_and_fold(recipe: Recipe) -> Recipe:
    """What the runs of one row share."""

    def sources(several: Any) -> Any:
        return several and tuple(one.model_copy(update={"fold": None, "not_fold": None}) for one in several)

    changes = {side: sources(getattr(recipe.data, side)) for side in ("train", "eval", "test")}
    return recipe.model_copy(update={"seed": 0, "data": recipe.data.model_copy(update=changes)})


def _behind_one_front_end(
    config: ComparisonConfig,
    asked: Mapping[str, _Asked],
    reference: str,
    finished: Mapping[str, Sequence[Mapping[str, Any]]],
) -> tuple[dict[str, _Asked], list[str]]:
    """The recipes with the front end that all get, and what that changed."""
    if config.front_end == OWN or not asked:
        return dict(asked), []
    if isinstance(config.front_end, Config):
        front_end, whose = config.front_end.model_dump(mode="json"), "the comparison's"
    elif reference in asked:
        front_end, whose = asked[reference].read().front_end.model_dump(mode="json"), f"that of {reference}"
    else:
        front_end, whose = finished[reference][0]["front_end"], f"that of {reference}"
    changed = [name for name, one in asked.items() if one.read().front_end.model_dump(mode="json") != front_end]
    if not changed:
        return dict(asked), []
    override = f"front_end={json.dumps(front_end)}"

    def behind(one: _Asked) -> _Asked:
        kept = tuple(pair for pair in one.overrides if not _key(pair).startswith("front_end"))
        return _Asked(one.source, (*kept, override))

    remark = f"One front end for all, {whose}: {', '.join(changed)} would have had another (front_end: own keeps it)."
    return {name: behind(one) if name in changed else one for name, one in asked.items()}, [remark]


def _at_one_budget(
    config: ComparisonConfig, asked: Mapping[str, _Asked], out: Path, say: Callable[[str], None]
) -> tuple[dict[str, _Asked], list[str]]:
    """The recipes with their length."""
    if config.budget is None or not asked:
        return dict(asked), []
    budget = Budget(config.budget, out, say)
    found = {}
    for name, one in asked.items():
        recipe = next(iter(_by_fold(config, one.read()).values()))
        clips = f"train.clips={budget.clips(name, recipe)}"
        found[name] = _Asked(one.source, (*_replaced(one.overrides, [clips]), clips))
    words = {"clips": "clips seen", "flops": "operations of training", "seconds": "measured seconds of training"}
    kind, amount = config.budget.kind, config.budget.amount
    shown = f"{amount:,.0f}" if amount < 1e9 else f"{amount:.3g}"
    remark = f"Equal {words[kind]}: {shown} for every run{'' if kind == 'clips' else ', so clips seen differ'}."
    return found, [remark]


def _by_fold(config: ComparisonConfig, recipe: Recipe) -> dict[str | None, Recipe]:
    if config.folds is None:
        return {None: recipe}
    return dict(fold_recipes(recipe, config.rule, config.fold_names).items())


def _runs(config: ComparisonConfig, asked: Mapping[str, _Asked], reference: str, out: Path) -> list[PlannedRun]:
    recipes = {name: one.read() for name, one in asked.items()}
    if not recipes:
        return []
    first = recipes[reference if reference in recipes else next(iter(recipes))].seed
    seeds = range(first, first + config.seeds) if isinstance(config.seeds, int) else config.seeds
    by_fold = {name: _by_fold(config, recipe) for name, recipe in recipes.items()}
    return [
        PlannedRun(name, recipe.model_copy(update={"seed": seed}), run_folder(out, name, fold, seed), fold, seed)
        for seed in dict.fromkeys(seeds)
        for name, folds in by_fold.items()
        for fold, recipe in folds.items()
    ]


def _check(
    runs: Sequence[PlannedRun],
    finished: Mapping[str, Sequence[Mapping[str, Any]]],
    reference: str,
    allow_unfair: bool,
) -> None:
    """Finds data and weights of every recipe, and holds against each other what the summaries will say."""
    groups: dict[str, list[Mapping[str, Any]]] = {name: list(some) for name, some in finished.items()}
    checked: set[tuple[str, str | None]] = set()
    for run in runs:
        if (run.contender, run.fold) in checked:
            continue  # seeds change nothing of this
        checked.add((run.contender, run.fold))
        recipe, found = run.recipe, find_data(run.recipe)
        if found.judged is None:
            raise DataError(
                f"{run.contender}: found no clips to judge it by - expected data.eval or data.test - "
                "add data.eval=PATH, or --folds all"
            )
        if recipe.init.path is not None and Path(recipe.init.path).exists():
            check_front_end(recipe, read_init(recipe))
        groups.setdefault(run.contender, []).append(
            {
                "metric": recipe.metric,
                "fold": run.fold,
                "task": recipe.data.task,
                "labels": list(found.labels.names) if found.labels else None,
                "judged_manifest": found.judged.hash,
                "judged_on": "test" if found.test is not None else "eval",
                "select": recipe.evaluate.select,
                **_unless_finished(finished, recipe),
            }
        )
    if len(groups) > 1:
        check_comparable({reference: groups[reference], **groups}, allow_unfair)


def _unless_finished(finished: Mapping[str, Any], recipe: Recipe) -> dict[str, Any]:
    """The windows of an evaluation, where all are known from recipes: a summary says them in other words."""
    return {} if finished else {"evaluation": recipe.windows.in_words}
