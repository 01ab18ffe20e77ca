"""Recipes × seeds -> runs: trains what is missing, resumes what was cut, never repeats what is done."""

import json
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from zoo.compare.finished import read_summary, written_recipe
from zoo.compare.table import Comparison, compare_summaries
from zoo.errors import DataError, RecipeError
from zoo.recipe import Recipe, find_recipe, read_recipe, recipe_differences
from zoo.run import find_data, train
from zoo.run.folder import with_absolute_paths

TrainingDisplay = Callable[[str], AbstractContextManager[Any]]
"""Opens a progress display with a title; entering it gives the callback that training reports to."""


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


def compare(
    entries: Sequence[str],
    *,
    overrides: Sequence[str] = (),
    seeds: int = 1,
    out: Path,
    training: TrainingDisplay,
) -> Comparison:
    """One table of run folders and of recipes, each of which is trained with `seeds` seeds under `out`.

    Args:
        overrides: KEY=VALUE applied to every recipe, so that all get the same data.
    """
    groups: dict[str, list[dict[str, Any]]] = {}
    recipes: dict[str, Recipe] = {}
    first_of: dict[str, Recipe] = {}
    folders = dict.fromkeys(Path(entry).resolve() for entry in entries if Path(entry).is_dir())
    for folder in folders:
        summary, written = read_summary(folder), written_recipe(folder)
        same = written.model_copy(update={"seed": 0})
        name = str(summary["name"])
        if first_of.setdefault(name, same) != same:  # of one row are only runs that differ in nothing but their seed
            name = f"{name} ({folder.name})"
        groups.setdefault(name, []).append(summary)
    for entry in entries:
        if not Path(entry).is_dir():
            recipe = read_recipe(find_recipe(entry), overrides)
            if recipe.name in recipes:
                raise RecipeError(
                    f"{entry}: a second recipe named '{recipe.name}' - expected one name each: set name=..."
                )
            recipes[recipe.name] = recipe
    for name, recipe in recipes.items():
        for seed in range(recipe.seed, recipe.seed + seeds):
            seeded = recipe.model_copy(update={"seed": seed})
            summary = run_once(seeded, out / name / f"seed-{seed}", "finetune", training)
            groups.setdefault(name, []).append(summary)
    comparison = compare_summaries(groups)
    write_comparison(comparison, out)
    return comparison


def write_comparison(comparison: Comparison, out: Path) -> None:
    """Writes `comparison.json` and `comparison.md` into a folder."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / "comparison.json").write_text(json.dumps(comparison.as_json(), indent=2) + "\n", encoding="utf-8")
        (out / "comparison.md").write_text(comparison.as_markdown(), encoding="utf-8")
    except OSError as error:
        raise DataError(
            f"{out}: cannot be written ({error.strerror}) - expected a folder - choose another --out"
        ) from None
