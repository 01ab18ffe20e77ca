"""What a finished run left in its folder: its summary and its recipe."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from zoo.data.problems import listed
from zoo.errors import DataError
from zoo.recipe import Recipe, parse_recipe


def read_summary(folder: Path) -> dict[str, Any]:
    """The `summary.json` of a finished run, with its folder. Raises DataError when the run has not finished."""
    path = folder / "summary.json"
    try:
        return {**json.loads(path.read_text(encoding="utf-8")), "folder": str(folder)}
    except OSError:
        raise DataError(
            f"{folder}: no summary.json - expected a finished run - finish it with --resume, or give its recipe"
        ) from None
    except ValueError as error:
        raise DataError(f"{path}: not readable as JSON ({error}) - expected the file that a run wrote") from None


def written_recipe(folder: Path) -> Recipe:
    """The resolved recipe of a run folder. Raises DataError where there is none."""
    path = folder / "recipe.yaml"
    try:
        return parse_recipe(path.read_text(encoding="utf-8"), str(path))
    except OSError as error:
        raise DataError(f"{path}: {error.strerror} - expected a run folder, which has its recipe") from None


def unusable_in_words(summaries: Iterable[Mapping[str, Any]]) -> list[str]:
    """A line on the clips that runs could not use, if there are any."""
    sets = [one for summary in summaries for one in (summary.get("bad_audio") or {}).values()]
    found = list(dict.fromkeys(line for one in sets for line in one.get("unusable_clips", [])))
    if not found:
        return []
    return [f"Clips that could not be used, and are in no number: {listed(found, 3)} (bad_audio.jsonl of each run)."]
