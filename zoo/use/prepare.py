"""`zoo prepare`: a data set as it was unpacked becomes a manifest, a label table and a report.

The folder that is written has `manifest.csv`, `labels.csv` (where there are labels), `missing.txt` and
`unreadable.txt` (where there are such clips), and `prepared.json`, the report, last of all.
"""

import json
import os
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from zoo.audio.decode import UnusableAudio, duration
from zoo.data.clip import Clip
from zoo.data.manifest import Manifest, SourceConfig, read_manifest
from zoo.data.prepare.layout import find_root
from zoo.data.prepare.preparer import Found, Preparer
from zoo.data.prepare.registry import PREPARERS, find_preparer
from zoo.data.problems import Problems, did_you_mean, listed
from zoo.data.written import is_writable, write_label_table, write_lines, write_manifest
from zoo.disk import write_json, written_whole
from zoo.errors import DataError
from zoo.use.prepare_report import count_all, next_command, some

MANIFEST, LABELS, REPORT = "manifest.csv", "labels.csv", "prepared.json"
MISSING, UNREADABLE = "missing.txt", "unreadable.txt"

Counting = Callable[[str], AbstractContextManager[Callable[[int, int], None]]]
"""Takes a title; the callback of the context takes (done, in all), as `Console.counting`."""


def list_preparers() -> list[dict[str, Any]]:
    """What `zoo prepare` knows, in the order of the registry."""
    return [describe_preparer(name) for name in PREPARERS]


def describe_preparer(name: str) -> dict[str, Any]:
    """What a data set needs and where to get it. Raises: `DataError` - an unknown name."""
    preparer = find_preparer(name)
    return {
        "name": preparer.name,
        "title": preparer.title,
        "task": preparer.task,
        "page": preparer.page,
        "licence": preparer.licence,
        "layout": preparer.layout,
        "options": {key: list(choices) for key, choices in preparer.options.items()},
    }


def prepare(
    name: str,
    source: Path,
    options: Sequence[str] = (),
    out: Path | None = None,
    quick: bool = False,
    counting: Counting | None = None,
) -> dict[str, Any]:
    """Reads a data set, writes its manifest and label table to `out`, and returns the report.

    Args:
        options: KEY=VALUE, as the data set knows them.
        out: None is `data/NAME` below the current folder (for `folder`: data/ and the name of the source).
        quick: open no audio file; hours and unreadable files stay unknown.

    Raises:
        DataError: an unknown name or option, a source of another layout, metadata that cannot be read, no clip found,
            or an `out` that holds something else.
        CheckpointError: the disk is full or refuses.
    """
    preparer = find_preparer(name)
    chosen = choose(preparer, options)
    source = source.expanduser()
    root = find_root(source, preparer)
    folder = out or default_out(preparer, source)
    _refuse_other(folder, preparer, source)
    found = preparer.read(root, chosen)
    if root != source:
        found = replace(found, notes=(f"found in {root}", *found.notes))
    found = _drop_unwritable(found)
    _refuse_useless(found, root, preparer)
    if found.labels is not None:
        found.labels.all_places(Manifest(found.clips, str(root)))
    seconds, unreadable = ({}, []) if quick else measure(found.clips, counting or (lambda title: nullcontext(_silent)))

    write_lines(folder / MISSING, (clip.id for clip in found.missing))
    write_lines(folder / UNREADABLE, (f"{clip.id}: {reason}" for clip, reason in unreadable))
    if found.labels is None:
        (folder / LABELS).unlink(missing_ok=True)
    else:
        write_label_table(folder / LABELS, found.labels)
    write_manifest(folder / MANIFEST, found.clips)
    path = str(folder / MANIFEST)
    manifest = read_manifest(SourceConfig(path=path), labelled=found.labels is not None)
    labels = str(folder / LABELS) if found.labels is not None else None
    task = found.labels.task if found.labels is not None else None
    report = {
        "name": preparer.name,
        "title": preparer.title,
        "task": task,
        "options": chosen,
        "source": os.path.abspath(source),
        "out": str(folder),
        "manifest": path,
        "labels": labels,
        **count_all(found, manifest, seconds, quick),
        "unreadable": some([f"{clip.id}: {reason}" for clip, reason in unreadable], known=not quick),
        "notes": list(found.notes),
        "next": next_command(manifest, path, labels, task),
    }
    with written_whole(folder / REPORT) as temporary:
        write_json(temporary, report)
    return report


def choose(preparer: Preparer, options: Sequence[str]) -> dict[str, str]:
    """A choice for every option of a data set. Raises: `DataError` - an unknown option or choice."""
    chosen = {key: choices[0] for key, choices in preparer.options.items()}
    for text in options:
        key, _, value = text.partition("=")
        if key not in preparer.options:
            known = [f"{key}={'|'.join(choices)}" for key, choices in preparer.options.items()]
            raise DataError(
                f"{text}: no option of {preparer.name}{did_you_mean(key, list(preparer.options))} - "
                f"expected {' or '.join(known) or 'none: it has no options'} - leave it out"
            )
        if value not in preparer.options[key]:
            raise DataError(
                f"{text}: no such choice{did_you_mean(value, list(preparer.options[key]))} - "
                f"expected {key}={'|'.join(preparer.options[key])} - choose one"
            )
        chosen[key] = value
    return chosen


def default_out(preparer: Preparer, source: Path) -> Path:
    """`data/NAME`; for any folder, `data/` and the source's name with `-prepared`: there are many folders."""
    if not preparer.takes_file:
        return Path("data") / preparer.name
    absolute = Path(os.path.abspath(source))
    return Path("data") / f"{(absolute.parent if source.is_file() else absolute).name}-prepared"


def measure(clips: Sequence[Clip], counting: Counting) -> tuple[dict[str, float], list[tuple[Clip, str]]]:
    """Seconds of every clip by id, and the clips that cannot be opened, with the reason."""
    seconds: dict[str, float] = {}
    unreadable: list[tuple[Clip, str]] = []
    with counting("opening the audio") as tell:
        for done, clip in enumerate(clips, start=1):
            try:
                end = duration(clip.path)
            except UnusableAudio as error:
                unreadable.append((clip, error.reason))
            else:
                end = end if clip.stop is None else min(end, clip.stop)
                seconds[clip.id] = max(0.0, end - (clip.start or 0.0))
            tell(done, len(clips))
    return seconds, unreadable


def _silent(done: int, total: int) -> None:
    """Nobody is told."""


def _refuse_other(folder: Path, preparer: Preparer, source: Path) -> None:
    """An `out` that holds anything but an earlier preparation of this data set."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise DataError(f"{folder}: a file - expected a folder to write to - choose another --out")
    try:
        earlier = json.loads((folder / REPORT).read_text(encoding="utf-8"))
        held, came_from = earlier.get("name"), earlier.get("source")
    except (OSError, ValueError, AttributeError):
        held, came_from = None, None
        if not any(folder.iterdir()):
            return
    is_other_folder = preparer.takes_file and came_from != os.path.abspath(source)
    if held == preparer.name and not is_other_folder:
        return
    what = f"holds {held} from {came_from}" if held else "is not empty, and no earlier preparation"
    raise DataError(f"{folder}: {what} - expected a new folder, or {preparer.name} of before - choose another --out")


def _drop_unwritable(found: Found) -> Found:
    """Without the clips whose file names no manifest can hold."""
    odd = [clip for clip in found.clips if not (is_writable(str(clip.path)) and is_writable(clip.id))]
    if not odd:
        return found
    note = (
        f"{len(odd)} files are left out, as no manifest can hold their names: {listed([ascii(c.id) for c in odd], 3)}"
    )
    dropped = {clip.id for clip in odd}
    clips = tuple(clip for clip in found.clips if clip.id not in dropped)
    return replace(found, clips=clips, notes=(*found.notes, f"{note} - rename them"))


def _refuse_useless(found: Found, root: Path, preparer: Preparer) -> None:
    """No clip at all, no label where there should be, or a clip that the metadata lists twice."""
    if not found.clips:
        where = f"; {len(found.extra):,} other audio files, such as {found.extra[0]}" if found.extra else ""
        raise DataError(
            f"{root}: the metadata lists {len(found.missing):,} clips, and the audio of none is there{where} - "
            f"expected {preparer.layout} - unpack the audio beside the metadata"
        )
    if found.labels is not None and not any(clip.labels for clip in found.clips):
        raise DataError(f"{root}: none of {len(found.clips):,} clips has a label - expected labels - fetch them again")
    problems = Problems(str(root))
    for clip_id, count in Counter(clip.id for clip in found.clips).items():
        if count > 1:
            problems.add(f"{root}: {clip_id}", f"listed {count} times - expected once - take the other rows out")
    problems.raise_if_any()
