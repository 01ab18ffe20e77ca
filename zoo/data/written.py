"""Writes what `zoo.data.manifest` and `zoo.data.labels` read: a manifest and a label table, as CSV.

What is written is read back the same: names that hold `;` become a JSON list, and a name that no manifest can hold is
told by `is_writable` before anything is written.
"""

import csv
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from zoo.audio.byte_range import ByteRange
from zoo.data.clip import Clip, clean_label
from zoo.data.labels import LabelTable
from zoo.disk import written_whole
from zoo.errors import DataError

_OPTIONAL = ("labels", "fold", "split", "group", "start", "stop")


def write_manifest(path: Path, clips: Sequence[Clip]) -> None:
    """A CSV, or for a name that ends so a `.jsonl`: `path`, those of the other columns that some clip needs, and `id`.

    Paths are relative where the audio lies below the manifest's folder, else absolute: then the manifest is this
    machine's, while ids, and with them the hash of the manifest, are the same on all.

    Raises: `CheckpointError` - the disk is full or refuses. `DataError` - a clip of a pack, which no manifest can name.
    """
    folder = os.path.join(os.path.abspath(path.parent), "")
    columns = [name for name in _OPTIONAL if any(getattr(clip, name) not in (None, ()) for clip in clips)]
    with written_whole(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        if path.suffix.lower() == ".jsonl":
            for clip in clips:
                cells = {name: value for name in columns if (value := getattr(clip, name)) not in (None, ())}
                row = {"path": _shown(clip, folder), **cells, "id": clip.id}
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
            return
        writer = csv.writer(file)
        writer.writerow(["path", *columns, "id"])
        for clip in clips:
            writer.writerow([_shown(clip, folder), *(_cell(clip, name) for name in columns), clip.id])


def _shown(clip: Clip, folder: str) -> str:
    if isinstance(clip.path, ByteRange):
        raise DataError(
            f"{clip.path}: a member of a shard - expected an audio file - make the manifest of the files, then pack it"
        )
    audio = os.path.abspath(clip.path)
    return audio[len(folder) :].replace(os.sep, "/") if audio.startswith(folder) else audio


def write_label_table(path: Path, labels: LabelTable) -> None:
    """A CSV with `index`, `mid` (where the table knows other words for its classes) and `display_name`.

    It is the form of AudioSet's `class_labels_indices.csv`. Raises: `CheckpointError` - the disk is full or refuses.
    """
    mids = {name: alias for alias, name in reversed(list(labels.aliases.items()))}
    with written_whole(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["index", *(["mid"] if mids else []), "display_name"])
        for index, name in enumerate(labels.names):
            writer.writerow([index, *([mids.get(name, "")] if mids else []), name])


def labels_cell(names: Sequence[str]) -> str:
    """The names with `;` between them, or as a JSON list where that would not be read as these names."""
    text = ";".join(names)
    is_plain = all(name == clean_label(name) and name and ";" not in name for name in names)
    if is_plain and not (text.startswith("[") and text.endswith("]")):
        return text
    return json.dumps(list(names), ensure_ascii=False)


def is_writable(path: str) -> bool:
    """Whether a manifest can hold this path: UTF-8, and no blanks at its ends, which the reader takes off."""
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return path == path.strip() and "\0" not in path and bool(path)


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """A text with one entry a line; there is no file where there are no lines.

    Raises: `CheckpointError` - the disk is full or refuses.
    """
    text = "".join(f"{ascii(line)[1:-1] if not line.isprintable() else line}\n" for line in lines)
    if not text:
        path.unlink(missing_ok=True)
        return
    with written_whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _cell(clip: Clip, column: str) -> str:
    value = getattr(clip, column)
    if column == "labels":
        return labels_cell(value)
    return "" if value is None else str(value)
