"""Run folders that are there already, read for a comparison."""

import json
from pathlib import Path
from typing import Any

from zoo.errors import DataError
from zoo.recipe import Recipe, parse_recipe

SUMMARY, RECIPE = "summary.json", "recipe.yaml"
_FOLD = "fold-"


def read_summary(folder: Path) -> dict[str, Any]:
    """The `summary.json` of a finished run, with its folder. Raises DataError when the run has not finished."""
    path = folder / SUMMARY
    try:
        return {**json.loads(path.read_text(encoding="utf-8")), "folder": str(folder)}
    except OSError:
        raise DataError(
            f"{folder}: no summary.json - expected a finished run - finish it with --resume, or give its recipe"
        ) from None
    except ValueError as error:
        raise DataError(f"{path}: not readable as JSON ({error}) - expected the file that a run wrote") from None


def written_recipe(folder: Path) -> Recipe:
    """The resolved recipe of a run folder."""
    path = folder / RECIPE
    try:
        return parse_recipe(path.read_text(encoding="utf-8"), str(path))
    except OSError as error:
        raise DataError(f"{path}: {error.strerror} - expected a run folder, which has its recipe") from None


def with_recipe(summary: dict[str, Any], recipe: Recipe) -> dict[str, Any]:
    """A summary with what a comparison needs of the recipe: precision, and the clips set aside."""
    validation = getattr(recipe.data, "validation", None)
    return {
        **summary,
        "precision": recipe.train.precision,
        "validation": validation and validation.model_dump(mode="json"),
    }


def fold_of(folder: Path) -> str | None:
    """The fold that a run is judged on, which the names of its folders tell: `fold-3/seed-0`, or `seed-0/fold-3`."""
    for name in (folder.name, folder.parent.name):
        if name.startswith(_FOLD) and len(name) > len(_FOLD):
            return name.removeprefix(_FOLD)
    return None


def fold_folder(fold: str | None) -> str:
    """The part of a path that tells the fold; nothing without folds."""
    return "" if fold is None else f"{_FOLD}{fold}"


def runs_in(folder: Path) -> list[Path]:
    """The run folders that a folder means: itself, or those of its seeds and folds, in their order.

    Raises: DataError: there is none.
    """
    if (folder / SUMMARY).is_file() or (folder / RECIPE).is_file():
        return [folder]
    inside = [path.parent for depth in ("*", "*/*") for path in folder.glob(f"{depth}/{RECIPE}")]
    inside = [run for run in inside if run.name.startswith((_FOLD, "seed-"))]
    if not inside:
        raise DataError(
            f"{folder}: no summary.json, and no runs of seeds or folds in it - expected a finished run - give a run "
            "folder, or a folder of seed-… and fold-…"
        )
    return sorted(inside, key=_in_order)


def _in_order(run: Path) -> tuple[tuple[str, int, str], ...]:
    """`seed-2` before `seed-10`."""
    parts = (part.rpartition("-") for part in run.parts)
    return tuple((head, int(tail) if tail.isdecimal() else -1, tail) for head, _, tail in parts)
