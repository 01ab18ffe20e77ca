"""Predictions as CSV, JSON or JSON lines."""

import csv
import json
from pathlib import Path
from typing import Any

from zoo.disk import written_whole
from zoo.errors import RecipeError
from zoo.use.predict import PredictionList, as_record

ENDINGS = (".csv", ".json", ".jsonl")


def check_ending(out: Path) -> None:
    """Raises RecipeError for a file of another kind."""
    if out.suffix.lower() not in ENDINGS:
        raise RecipeError(f"{out}: found the ending {out.suffix!r} - expected .csv, .json or .jsonl - rename it")


def write_predictions(out: Path, found: PredictionList) -> None:
    """CSV: a row for every class that is told. JSON: all of a report. JSON lines: an object for every answer.

    A name of a file that is no UTF-8 is written with backslashes.

    Raises: RecipeError for another ending, CheckpointError where the disk refuses.
    """
    check_ending(out)
    with written_whole(out) as path, path.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
        if out.suffix.lower() == ".csv":
            writer = csv.writer(file, lineterminator="\n")
            writer.writerows(_rows(found))
        elif out.suffix.lower() == ".jsonl":
            file.writelines(json.dumps(as_record(one), ensure_ascii=False) + "\n" for one in found)
        else:
            file.write(json.dumps(found.as_json(), indent=2, ensure_ascii=False) + "\n")


def _rows(found: PredictionList) -> list[list[Any]]:
    timed = any(one.start is not None for one in found)
    rows: list[list[Any]] = [["path", *(["start", "stop"] if timed else []), "rank", "label", "probability"]]
    for one in found:
        times = [one.start, one.stop] if timed else []
        rows += [
            [one.path, *times, rank, name, f"{probability:.6g}"]
            for rank, (name, probability) in enumerate(one.labels, start=1)
        ]
    return rows
