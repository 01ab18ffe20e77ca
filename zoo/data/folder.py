"""A folder of audio as clips, without a manifest: unlabelled, or one folder per class."""

import os
from pathlib import Path

from zoo.data.clip import Clip, clean_label
from zoo.data.problems import Problems, listed
from zoo.errors import DataError

# fmt: off
AUDIO_SUFFIXES = frozenset({
    ".wav", ".wave", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aiff", ".aif", ".aifc", ".au", ".snd", ".caf", ".w64",
    ".rf64", ".voc", ".sph", ".nist", ".sf", ".avr", ".htk", ".paf", ".pvf", ".sd2", ".sds", ".svx", ".wve", ".xi",
    ".m4a", ".aac",
})
# fmt: on
"""What counts as audio in a folder, whatever the case. A manifest may name any file."""


def read_folder(folder: Path, shown: str, labelled: bool) -> list[Clip]:
    """Every audio file below a folder, by the order of its relative path; hidden files are left out.

    With `labelled`, the class is the name of the first folder below `folder`. Raises `DataError` for a folder without
    audio, one that cannot be listed, and audio that lies beside the class folders.
    """
    files = audio_below(folder, shown)
    if not files:
        raise DataError(
            f"{shown}: no audio file below this folder - expected files like *.wav, *.flac, *.ogg, *.mp3 - "
            "check the path, or list the files in a manifest"
        )
    if not labelled:
        return [Clip(path=folder / name, id=name) for name in files]
    problems = Problems(shown)
    loose = [name for name in files if "/" not in name]
    if loose:
        problems.add(
            shown,
            f"audio beside the class folders: {listed(loose, 3)} - expected a folder per class - "
            "move it into a folder named as its class, or use a manifest with a labels column",
        )
    classes = {name.split("/", 1)[0] for name in files if "/" in name}
    tables = sorted(name for name in os.listdir(folder) if name.endswith((".csv", ".jsonl")))
    if len(classes) == 1 and tables:
        problems.add(
            shown,
            f"audio in one folder, {next(iter(classes))!r}, beside {listed(tables, 3)} - expected a folder per class - "
            f"if {tables[0]} lists the labels, give that file as the path",
        )
    problems.raise_if_any()
    return [Clip(path=folder / name, id=name, labels=(clean_label(name.split("/", 1)[0]),)) for name in files]


def audio_below(folder: Path, shown: str) -> list[str]:
    """Relative paths with `/` of all audio below a folder, sorted; hidden files are left out.

    Links to folders are followed, each folder once. Raises `DataError` for a folder that cannot be listed, which
    includes one that is not there; `shown` is what the message calls it.
    """
    errors: list[OSError] = []
    visited: set[tuple[int, int]] = set()
    root = str(folder)
    found: list[str] = []
    for parent, folders, names in os.walk(root, followlinks=True, onerror=errors.append):
        status = os.stat(parent)
        if (status.st_dev, status.st_ino) in visited:
            folders.clear()
            continue
        visited.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        inside = os.path.relpath(parent, root)
        found += [
            (name if inside == "." else os.path.join(inside, name)).replace(os.sep, "/")
            for name in names
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in AUDIO_SUFFIXES
        ]
    if errors:
        places = listed([f"{error.filename} ({error.strerror})" for error in errors], 3)
        raise DataError(f"{shown}: cannot list {places} - expected folders that may be read - change the permissions")
    return sorted(found)
