"""Runs -> one HTML file that needs nothing else: no server, no network, no script."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from zoo import disk
from zoo.compare.report.classes import classes_section, confusion_section
from zoo.compare.report.clips import clips_section
from zoo.compare.report.collect import chance_of, collect, metric_of
from zoo.compare.report.compute import compute_section
from zoo.compare.report.curves import curves_section, health_section
from zoo.compare.report.page import default_title, page
from zoo.compare.report.pretext import pretext_section
from zoo.compare.report.recipes import recipes_section
from zoo.compare.report.result import result_section, runs_section
from zoo.errors import DataError

NUM_CLIPS = 12


def write_report(
    groups: Mapping[str, Sequence[Path]],
    comparison: Mapping[str, Any] | None,
    out: Path,
    *,
    title: str | None = None,
    num_clips: int = NUM_CLIPS,
) -> Path:
    """Writes the report of some runs, and returns where it is.

    Args:
        groups: name of a model -> the folders of its runs, one a seed or fold; finished or not.
        comparison: what `comparison.json` holds, for the table with its statistics; None makes a simple one from the
            runs. Keys that are missing are left out, keys that are not known are ignored.
        out: the .html file.
        title: None makes one from the names.
        num_clips: how many of the hardest clips are shown and can be played.

    Raises:
        DataError: no run at all. CheckpointError: the disk is full or refuses.
    """
    order = [str(row.get("name")) for row in (comparison or {}).get("rows") or [] if isinstance(row, dict)]
    contenders = collect({name: folders for name, folders in groups.items() if folders}, order)
    if not contenders:
        raise DataError(f"{out}: found no runs to report on - expected one run folder at least - give some")
    metric = metric_of(contenders, comparison)
    chance = (comparison or {}).get("chance")
    chance = float(chance) if isinstance(chance, int | float) else chance_of(contenders, metric)
    levels = {name: value for name in _metrics(contenders) if (value := chance_of(contenders, name)) is not None}
    sections = {
        "result": result_section(contenders, comparison, metric, chance),
        "curves": curves_section(contenders, metric, levels),
        "compute": compute_section(contenders, metric, comparison),
        "classes": classes_section(contenders, comparison),
        "confusion": confusion_section(contenders),
        "clips": clips_section(contenders, num_clips),
        "pretext": pretext_section(contenders),
        "health": health_section(contenders),
        "recipes": recipes_section(contenders),
        "runs": runs_section(contenders),
    }
    title = title or default_title(contenders, comparison, metric)
    text = page(title, contenders, sections, metric, chance)
    with disk.written_whole(out) as file:
        file.write_text(text, encoding="utf-8")
    return out


def _metrics(contenders: Sequence[Any]) -> list[str]:
    """Every metric of which some run states the level of chance."""
    return list(
        dict.fromkeys(
            name for one in contenders for run in one.finished for name in (run.summary or {}).get("chance") or {}
        )
    )
