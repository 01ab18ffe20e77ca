"""Any folder of audio, or any manifest, brought to the form of the known data sets.

SOURCE is a manifest, a folder that holds one (`meta.csv`, `manifest.csv`, `meta.jsonl`, `manifest.jsonl`), a folder
with a folder of audio for each class, or audio without labels. What the labels are is chosen with `labels=…`:

- `auto`: those of the manifest where there is one with a column of labels; else the folders' names where all audio lies
  in folders; else none. What was chosen is told.
- `folders`: the names of the first folders below SOURCE, whatever else is there.
- `none`: no labels; all audio below SOURCE, or the clips of the manifest.
"""

import csv
import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from zoo.data.folder import read_folder
from zoo.data.labels import LabelTable, Task
from zoo.data.manifest import Manifest, SourceConfig, read_manifest
from zoo.data.prepare.layout import AudioFiles
from zoo.data.prepare.preparer import Found, Preparer
from zoo.data.problems import listed
from zoo.data.table import SYNONYMS
from zoo.errors import DataError

MANIFESTS = ("meta.csv", "manifest.csv", "manifest.jsonl", "meta.jsonl")


def read_any(root: Path, options: Mapping[str, str]) -> Found:
    """The clips of a manifest or of a folder."""
    choice = options["labels"]
    manifest = root if root.is_file() else None
    if manifest is None and choice != "folders":
        there = [name for name in MANIFESTS if (root / name).is_file()]
        if len(there) > 1:
            raise DataError(
                f"{root}: both {' and '.join(there)} - expected one manifest - give the path of one of them"
            )
        manifest = root / there[0] if there else None
    if manifest is not None:
        if choice == "folders":
            raise DataError(f"{root}: a manifest - expected a folder for labels=folders - give its folder")
        return _from_manifest(manifest, labelled=choice == "auto" and has_labels(manifest))
    clips = read_folder(root, str(root), labelled=False)
    in_folders = all("/" in clip.id for clip in clips)
    labelled = choice == "folders" or (choice == "auto" and in_folders)
    if labelled:
        clips = read_folder(root, str(root), labelled=True)
        note = "the labels are the names of the folders (labels=none: none)"
    else:
        note = "no labels: " + ("labels=none" if choice == "none" else "audio lies beside the folders, not in them")
    return Found(tuple(clips), labels=_table(Manifest(tuple(clips), str(root))), notes=(note,))


def _from_manifest(path: Path, labelled: bool) -> Found:
    manifest = read_manifest(SourceConfig(path=str(path)), labelled=labelled)
    audio = AudioFiles(path.parent)
    inside = {path.parent / name: name for name in audio.names}
    used = {clip.path for clip in manifest.clips}
    there = {clip.id: clip.path in inside or os.path.isfile(str(clip.path)) for clip in manifest.clips}
    # Where a row stands in the old manifest is of no use in the new one.
    clips = [replace(clip, origin="", line=None) for clip in manifest.clips]
    note = f"from {path.name}" + ("" if labelled else ", without labels")
    return Found(
        tuple(clip for clip in clips if there[clip.id]),
        tuple(clip for clip in clips if not there[clip.id]),
        tuple(name for place, name in inside.items() if place not in used),
        _table(manifest),
        (note,),
    )


def _table(manifest: Manifest) -> LabelTable | None:
    """The names that occur, sorted; None where there are none. One name for every clip is a single-label task."""
    if not manifest.labels():
        return None
    task: Task = "single-label" if all(len(clip.labels) == 1 for clip in manifest.clips) else "multi-label"
    return LabelTable.from_manifest(manifest, task)


def has_labels(path: Path) -> bool:
    """Whether a manifest has a column of labels, by its first line. What is wrong with it is told when it is read."""
    if path.suffix.lower() == ".json":
        return True
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = next((line for line in file if line.strip()), "")
        names = json.loads(first) if path.suffix.lower() == ".jsonl" else next(csv.reader([first]), [])
    except (OSError, ValueError, csv.Error):
        return False
    return any(str(name).strip() in SYNONYMS["labels"] for name in names)


FOLDER = Preparer(
    "folder",
    "Any folder of audio or any manifest",
    "any",
    "your own",
    "your own",
    f"a folder for each class, audio without labels, or a manifest ({listed(list(MANIFESTS))})",
    (),
    read_any,
    {"labels": ("auto", "folders", "none")},
    takes_file=True,
)
