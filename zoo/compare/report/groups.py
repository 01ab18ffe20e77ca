"""Folders as a user names them -> models with their runs: by what a comparison wrote, else by their recipes."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.compare.report.collect import RECIPE, read_recipe_file
from zoo.errors import DataError
from zoo.recipe import Recipe

COMPARISON, CROSSVAL = "comparison.json", "crossval.json"
_WRITER = {COMPARISON: "compare", CROSSVAL: "crossval"}
_DATA = ("train", "eval", "test")


@dataclass(frozen=True)
class Found:
    """What a report is made of."""

    groups: dict[str, list[Path]]
    comparison: dict[str, Any] | None = None


def find_groups(entries: Sequence[Path]) -> Found:
    """The models that some folders hold: run folders, folders that a comparison wrote, or any with runs below.

    Of a comparison's folder those are taken that it names, and further runs of the same recipes (cut short, say).

    Runs of one recipe that differ in their seed, or in which folds of the same data they are trained and judged on, are
    runs of one model.

    Raises:
        DataError: a folder that is not there, or that holds no run.
    """
    comparisons = {entry: found for entry in entries if (found := _read_comparison(entry)) is not None}
    groups: dict[str, list[Path]] = {}
    hold_runs = set()
    for entry, comparison in comparisons.items():
        for row in comparison["rows"]:
            folders = [place for run in row.get("runs") or [] if (place := _place_of(str(run), entry)) is not None]
            if folders:
                groups.setdefault(str(row["name"]), []).extend(folders)
                hold_runs.add(entry)
    known = {folder.resolve() for folders in groups.values() for folder in folders}
    kinds = {_kind(folder) for folders in groups.values() for folder in folders}
    loose: dict[Path, None] = {}
    for entry in entries:
        if not entry.is_dir():
            raise DataError(f"{entry}: found no folder - expected a run, or a folder with runs - check the path")
        below = [entry] if (entry / RECIPE).is_file() else sorted(path.parent for path in entry.rglob(RECIPE))
        strangers = entry in comparisons  # what else lies there was not compared
        for folder in below:
            if folder.resolve() not in known and not (strangers and _kind(folder) not in kinds):
                loose[folder] = None
        if not below and entry not in hold_runs:
            raise DataError(
                f"{entry}: found no run in it (no {RECIPE}) - expected a run folder, or one with runs below - "
                "train with zoo finetune or zoo compare first"
            )
    _add_loose(groups, list(loose), has_comparison=bool(comparisons))
    return Found(groups, comparisons.get(entries[0]) if len(entries) == 1 else None)


def _read_comparison(entry: Path) -> dict[str, Any] | None:
    """What a comparison or a cross-validation wrote into a folder; None where there is neither.

    Raises: DataError - not readable, or without rows.
    """
    path = next((entry / name for name in (COMPARISON, CROSSVAL) if (entry / name).is_file()), None)
    if path is None:
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path}: not readable as JSON ({error}) - expected what zoo {_WRITER[path.name]} wrote"
        ) from None
    if path.name == CROSSVAL and isinstance(found, dict):
        found = _of_crossval(found)
    rows = found.get("rows") if isinstance(found, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) and "name" in row for row in rows):
        writer = _WRITER[path.name]
        raise DataError(f"{path}: found no rows with names - expected what zoo {writer} wrote - run zoo {writer} again")
    return dict(found)


def _of_crossval(found: dict[str, Any]) -> dict[str, Any]:
    """A cross-validation as a comparison of one."""
    metric, metrics = found.get("metric"), found.get("metrics")
    of_metric = metrics.get(metric) if isinstance(metrics, dict) else None
    spread = of_metric if isinstance(of_metric, dict) else {}
    values = spread.get("values")
    runs = found.get("runs")
    folders = [folder for folds in runs.values() for folder in folds.values()] if isinstance(runs, dict) else []
    row = {"name": found.get("name", "cross-validation"), "runs": folders}
    row |= {key: spread.get(key) for key in ("mean", "deviation")}
    row["values"] = list(values.values()) if isinstance(values, dict) else []
    rule = [f"Rule: {found['rule_in_words']}."] if found.get("rule_in_words") else []
    return {
        "metric": metric,
        "chance": (found.get("chance") or {}).get(metric),
        "rows": [row],
        "remarks": [*rule, *(found.get("remarks") or [])],
    }


def _place_of(run: str, entry: Path) -> Path | None:
    """The folder of a run as a comparison names it, also after the whole comparison was moved; None: it is gone."""
    parts = Path(run).parts
    # Those below the comparison first: of a copy, the runs that were copied with it.
    candidates = [*(entry.joinpath(*parts[-depth:]) for depth in (3, 2, 1) if len(parts) >= depth), Path(run)]
    return next((place for place in candidates if (place / RECIPE).is_file()), None)


def _add_loose(groups: dict[str, list[Path]], folders: Sequence[Path], has_comparison: bool) -> None:
    """Runs that no comparison names, each to those of its recipe."""
    names: dict[tuple[str, str], str] = {}
    if has_comparison:  # what was cut short belongs to the runs that were finished
        for name, members in groups.items():
            for member in members:
                names.setdefault(_kind(member), name)
    for folder in folders:
        kind = _kind(folder)
        if kind not in names:
            name = kind[0]
            if name in groups:
                name = f"{name} ({folder.name})"
            while name in groups:
                name += "'"
            names[kind] = name
        groups.setdefault(names[kind], []).append(folder)


def _kind(folder: Path) -> tuple[str, str]:
    """(name, everything but the seed and which folds of the data) of a run: the same for runs of one model."""
    recipe = read_recipe_file(folder)[0]
    if recipe is None:
        return folder.name, str(folder.resolve())
    return recipe.name, _without_folds(recipe).model_dump_json()


def _without_folds(recipe: Recipe) -> Recipe:
    """The recipe without its seed, and with the files of its data in the place of what is chosen of them."""
    sources = [source for name in _DATA for source in getattr(recipe.data, name, None) or ()]
    whole = {source.path: source.model_copy(update={"fold": None, "not_fold": None}) for source in sources}
    everything = tuple(whole[path] for path in sorted(whole)) or None
    data = recipe.data.model_copy(update={"train": everything, "eval": None, "test": None})
    return recipe.model_copy(update={"seed": 0, "data": data})
