"""The rule of the released ESC-50 scripts: of the epochs that all folds have, the one at which their mean is best.

It is chosen on the clips that it is judged on, so it flatters. The scripts of AST and SSAST report it (they average
each epoch's metrics over the five folds and take the best epoch), and so do the results in their papers.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zoo.compare.finished import read_summary, written_recipe
from zoo.errors import DataError
from zoo.run.data import clips_per_epoch

_PREFIX = "eval/"
METRICS = "metrics.jsonl"


def best_shared_epoch(
    folders_by_fold: Mapping[str, Path], metric: str
) -> tuple[dict[str, Any], dict[str, dict[str, float | None]]]:
    """(When it was, fold -> its metrics then). Of equally good epochs, the earliest.

    When: `epoch`, where evaluations are counted in epochs, else `clips`; and `shared`, how many there were to choose
    from. Folds of different size are after other numbers of clips in the same epoch.

    Raises: DataError where no evaluation is shared, or the metric is defined at none of them.
    """
    series = {fold: evaluations(folder) for fold, folder in folders_by_fold.items()}
    first = next(iter(series.values()))
    shared = [when for when in first if all(when in one for one in series.values())]
    best: tuple[float, int | float] | None = None
    for when in shared:
        values = [one[when].get(metric) for one in series.values()]
        known = [value for value in values if value is not None]
        mean = sum(known) / len(series)
        value = -mean if metric == "loss" else mean
        if len(known) == len(series) and (best is None or value > best[0]):
            best = value, when
    if best is None:
        raise DataError(
            f"{', '.join(map(str, folders_by_fold.values()))}: found no evaluation that all folds share with a "
            f"'{metric}' - expected some - set evaluate.every_epochs=1"
        )
    unit = "epoch" if _counts_epochs(next(iter(folders_by_fold.values()))) else "clips"
    return {unit: best[1], "shared": len(shared)}, {fold: one[best[1]] for fold, one in series.items()}


def evaluations(folder: Path) -> dict[int | float, dict[str, float | None]]:
    """Epochs (or clips, where evaluations are counted in these) -> metrics on the watched clips, in order."""
    path = folder / METRICS
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path}: cannot be read ({error}) - expected the log of a finished run - run it again"
        ) from None
    unit = 1
    if _counts_epochs(folder):
        unit = clips_per_epoch(written_recipe(folder), read_summary(folder)["num_train_clips"])
    return {
        _plain(line["clips"] / unit): {
            tag.removeprefix(_PREFIX): value for tag, value in line.items() if tag.startswith(_PREFIX)
        }
        for line in lines
        if any(tag.startswith(_PREFIX) for tag in line)
    }


def _counts_epochs(folder: Path) -> bool:
    return written_recipe(folder).evaluate.every_epochs is not None


def _plain(value: float) -> int | float:
    """3 instead of 3.0."""
    return int(value) if value == int(value) else value
