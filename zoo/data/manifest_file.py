"""Writes clips as a manifest that `read_manifest` reads as the same clips."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from zoo.data.clip import Clip
from zoo.disk import written_whole

_OPTIONAL = ("labels", "fold", "split", "group", "start", "stop")


def write_manifest(path: Path, clips: Sequence[Clip]) -> None:
    """A `.csv`, or a `.jsonl`, with the columns that some clip has, whole or not at all.

    Audio below the manifest's folder is named from there, other audio by its whole path. Ids are written too, so that
    a clip is known by the same id, and draws the same, whichever manifest names it.
    """
    given = (name for name in _OPTIONAL if any(getattr(clip, name) not in (None, ()) for clip in clips))
    columns = ["id", "path", *given]
    folder = path.absolute().parent
    with written_whole(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        if path.suffix.lower() == ".jsonl":
            for clip in clips:
                cells = _cells(clip, folder)
                kept = {name: cells[name] for name in columns if cells[name] not in (None, [])}
                file.write(json.dumps(kept, ensure_ascii=False) + "\n")
            return
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        for clip in clips:
            cells = _cells(clip, folder) | {"labels": _one_cell(clip.labels)}
            writer.writerow(["" if cells[name] is None else cells[name] for name in columns])


def _cells(clip: Clip, folder: Path) -> dict[str, Any]:
    path = clip.path.absolute()
    named = path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path)
    rest = {name: getattr(clip, name) for name in _OPTIONAL}
    return {"id": clip.id, "path": named, **rest, "labels": list(clip.labels)}


def _one_cell(labels: tuple[str, ...]) -> str:
    """Names with `;` between them, or a JSON list where a name would be taken apart."""
    joined = ";".join(labels)
    is_plain = not any(";" in name for name in labels) and not joined.startswith("[")
    return joined if is_plain else json.dumps(labels, ensure_ascii=False)
