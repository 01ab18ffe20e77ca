"""A comparison as it is asked for on the command line: a YAML file, or recipes and runs, with options."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from zoo.compare.config import ComparisonConfig, ContenderConfig, read_comparison
from zoo.compare.found_comparisons import find_comparison
from zoo.errors import RecipeError


def comparison_asked(
    entries: Sequence[str], *, seeds: str | None, folds: str | None, **options: Any
) -> tuple[ComparisonConfig, list[str]]:
    """(the comparison, overrides of every recipe).

    Args:
        entries: one YAML file of a comparison, or recipes and folders of runs; and KEY=VALUE.
        seeds: a count, or seeds with commas between them; None: as the file says.
        folds: `all`, or names with commas between them.
        options: further fields of a comparison; None: as the file says.

    Raises: RecipeError: entries or options that do not fit.
    """
    paths, overrides = ([e for e in entries if ("=" in e) == is_pair] for is_pair in (False, True))
    paths = list(dict.fromkeys(paths))
    if not paths:
        raise RecipeError("compare: found nothing to compare - expected a YAML file, recipes or runs - name some")
    files = [found for path in paths if (found := find_comparison(path)) is not None]
    if files and len(paths) > 1:
        raise RecipeError(
            f"{files[0]}: a comparison beside other entries - expected it alone - write them into its contenders"
        )
    values = _of_entries(paths) if not files else dict(read_comparison(files[0]))
    given = {"seeds": None if seeds is None else _seeds(seeds), "folds": None if folds is None else _folds(folds)}
    values |= {key: value for key, value in {**given, **options}.items() if value is not None}
    try:
        return ComparisonConfig(**values), overrides
    except ValidationError as error:
        first = error.errors()[0]
        key = str(first["loc"][0]) if first["loc"] else "compare"  # what follows names kinds of values
        told = first["msg"].removeprefix("Value error, ")
        given_was = "" if first["type"] == "value_error" else f"found {first['input']!r} - expected: "
        raise RecipeError(f"{key}: {given_was}{told}") from None


def _of_entries(paths: Sequence[str]) -> dict[str, Any]:
    """Recipes are contenders; so are folders of runs, those that differ in seed and fold alone being one."""
    contenders = []
    runs = tuple(path for path in paths if Path(path).is_dir())
    for path in paths:
        if not Path(path).is_dir():
            contenders.append(ContenderConfig(recipe=path))
        elif path == runs[0]:
            contenders.append(ContenderConfig(runs=runs))
    return {"contenders": tuple(contenders)}


def _seeds(text: str) -> int | tuple[int, ...]:
    """`3` is how many, `3,4` and `3,` are which."""
    parts = text.split(",")
    if not all(part.strip().isdecimal() for part in parts if part.strip()) or not parts[0].strip():
        raise RecipeError(f"--seeds: found '{text}' - expected a count, or seeds as in 0,1,2 - give one of them")
    numbers = tuple(int(part) for part in parts if part.strip())
    return numbers if len(parts) > 1 else numbers[0]


def _folds(text: str) -> str | tuple[str, ...]:
    return "all" if text == "all" else tuple(part.strip() for part in text.split(",") if part.strip())
