"""What `zoo evaluate` prints."""

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from zoo.data.problems import listed
from zoo.evaluate.metrics import COUNTS
from zoo.use.console import Console, plain

_FILES_SHOWN = 10


def show_evaluated(console: Console, result: dict[str, Any]) -> None:
    """The metrics beside their chance levels, and what is missing from them."""
    table = Table("metric", "value", "chance", title=f"{result['num_eval_clips']:,} clips", title_justify="left")
    metrics, chance = result["metrics"], result["chance"]
    for name in metrics:
        if name not in COUNTS:
            table.add_row(name, metric_text(name, metrics), metric_text(name, chance) if name in chance else "")
    console.out.print(table)
    show_empty_classes(console, result)
    console.say(f"{result['evaluation']}: {result['windows']['count']:,} windows")
    for warning in result.get("warnings", []):
        console.say(f"• {warning}")
    if result["bad_clips"]:
        console.say(f"{result['bad_clips']} unusable left out:")
        for line in result["bad_audio"][:_FILES_SHOWN]:
            console.say(f"  {line['path']}: {line['reason']}")


def metric_text(name: str, metrics: Mapping[str, float | None]) -> str:
    """A value as a table has it; of an endless d', which JSON has no number for, its sign."""
    value = metrics.get(name)
    if value is None and name == "dprime" and metrics.get("auc") in (0, 1):
        return "∞" if metrics["auc"] == 1 else "-∞"
    return plain(value)


def show_empty_classes(console: Console, result: dict[str, Any]) -> None:
    """By name, those that no clip has and those that every clip has."""
    empty = result["classes_without_positives"]
    if empty:
        console.say(f"• no clip of {len(empty):,} classes, which are in no mean: {listed(empty)}")
    full = [row["class"] for row in result["classes"] if row["clips"] == result["num_eval_clips"]]
    if full:
        console.say(f"• every clip is of {listed(full)}: no AUC")
