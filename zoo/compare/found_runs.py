"""Runs that are there already: those that a folder means, and what their names tell."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zoo.errors import DataError
from zoo.recipe import Recipe

_FOLD, _SEED = "fold-", "seed-"


def run_folder(out: Path, name: str, fold: str | None, seed: int) -> Path:
    """Where a comparison keeps a run: `OUT/NAME/fold-F/seed-S`, without folds `OUT/NAME/seed-S`."""
    return out / name / ("" if fold is None else f"{_FOLD}{fold}") / f"{_SEED}{seed}"


def fold_of(folder: Path) -> str | None:
    """The fold that a run is judged on, which its folders tell: `fold-3/seed-0`, `seed-0/fold-3`, `fold-3`."""
    for name in (folder.name, folder.parent.name):
        if name.startswith(_FOLD) and len(name) > len(_FOLD):
            return name.removeprefix(_FOLD)
    return None


def runs_in(folder: Path) -> list[Path]:
    """The run folders that a folder means: itself, or those of its seeds and folds, in order.

    Raises: DataError: there is none.
    """
    if (folder / "summary.json").is_file() or (folder / "recipe.yaml").is_file():
        return [folder]
    inside = {path.parent for depth in ("*", "*/*") for path in folder.glob(f"{depth}/recipe.yaml")}
    runs = [run for run in inside if all(_is_part(part) for part in run.relative_to(folder).parts)]
    if not runs:
        raise DataError(
            f"{folder}: no summary.json, and no runs of seeds or folds in it - expected a finished run - give a run "
            f"folder, or a folder of {_SEED}… and {_FOLD}…"
        )
    return sorted(runs, key=_in_order)


def described(summary: Mapping[str, Any], recipe: Recipe, fold: str | None) -> dict[str, Any]:
    """A summary with what a comparison needs besides: the fold, and of the recipe what may make it unfair."""
    validation = recipe.data.validation
    return {
        **summary,
        "fold": fold,
        "precision": recipe.train.precision,
        "validation": None if validation is None else validation.model_dump(mode="json"),
    }


def _is_part(name: str) -> bool:
    return name.startswith((_FOLD, _SEED))


def _in_order(run: Path) -> list[tuple[str, int, str]]:
    """`seed-2` before `seed-10`."""
    parts = (part.rpartition("-") for part in run.parts)
    return [(head, int(tail) if tail.isdecimal() else -1, tail) for head, _, tail in parts]
