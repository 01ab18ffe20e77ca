"""A set of clips and where it comes from: a CSV, JSON lines, the JSON of the released AST code, a pack, or a folder.

Columns (design: `path` or `filename`, and optionally `labels` or `label`, `fold`, `split`, `group`, `start`, `stop`
in seconds, `id`). Relative paths are looked for beside the manifest, then in the `audio` folder beside it. Whether
the audio exists is not asked here: a missing file is bad audio when it is used.
"""

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from zoo.audio.byte_range import ByteRange
from zoo.audio.front_ends import AnyFrontEndConfig
from zoo.audio.unnormalised import log_mel_differences
from zoo.config import Config
from zoo.data.clip import Clip, ClipMaker, fold_name
from zoo.data.folder import read_folder
from zoo.data.problems import Problems, did_you_mean, listed
from zoo.data.shards.layout import is_pack, read_pack
from zoo.data.shards.read import read_clips
from zoo.data.table import Columns, Row, read_csv, read_jsonl, read_official_json
from zoo.errors import DataError


def _as_folds(value: Any) -> Any:
    """A list of folds, or one fold."""
    if isinstance(value, list):
        return tuple(value)
    return (value,) if isinstance(value, int | str) and not isinstance(value, bool) else value


_SIZES_HASHED = 1000


class SourceConfig(Config):
    """Where clips come from, and which of them."""

    path: Annotated[str, Field(min_length=1)]
    """A manifest (.csv, .jsonl, official .json), a pack (`zoo pack`), or a folder of audio (a folder per class when
    labels are needed)."""
    fold: Annotated[
        tuple[int | str, ...] | None, BeforeValidator(_as_folds, json_schema_input_type=int | str | list[int | str])
    ] = None
    """Only clips of these folds; null is all of them."""
    split: str | None = None
    """Only clips of this split; null is all of them."""


@dataclass(frozen=True)
class Manifest:
    """Clips in the order of the file, and what they were read from."""

    clips: tuple[Clip, ...]
    source: str
    front_end: AnyFrontEndConfig | None = None
    """None where the clips are audio; else they are log-mels that this front end made."""

    def __len__(self) -> int:
        return len(self.clips)

    def labels(self) -> tuple[str, ...]:
        """Every label name that occurs, sorted."""
        return tuple(sorted({name for labels in {clip.labels for clip in self.clips} for name in labels}))

    @cached_property
    def hash(self) -> str:
        """SHA-256 of what training depends on: ids, labels, folds and cuts, in order; not where the files lie.

        Other audio of the same names is told apart by the sizes of up to 1,000 files, evenly spread over the set.
        """
        digest = hashlib.sha256()
        for clip in self.clips:
            # ascii() of texts and floats is the same in every version of Python and on every machine.
            content = (clip.id, clip.labels, clip.fold, clip.split, clip.start, clip.stop)
            digest.update(ascii(content).encode("ascii") + b"\n")
        step = -(-len(self.clips) // _SIZES_HASHED) or 1
        for clip in self.clips[::step]:
            digest.update(str(_size(clip.path)).encode("ascii") + b"\n")
        return digest.hexdigest()

    def select(self, fold: Sequence[int | str] | int | str | None = None, split: str | None = None) -> "Manifest":
        """The clips of some folds and of one split. Raises `DataError` for a fold or split that no clip has."""
        clips = self.clips
        if fold is not None:
            wanted = [fold_name(one) for one in ([fold] if isinstance(fold, int | str) else fold)]
            clips = self._where(clips, "fold", wanted)
        if split is not None:
            clips = self._where(clips, "split", [split])
        return self if clips is self.clips else replace(self, clips=clips)

    def _where(self, clips: tuple[Clip, ...], column: str, wanted: list[str]) -> tuple[Clip, ...]:
        counts = Counter(getattr(clip, column) for clip in clips)
        known = sorted(name for name in counts if name is not None)
        absent = [name for name in wanted if name not in counts]
        if absent or not wanted:
            found = f"the {column}s are {listed(known)}" if known else f"no clip has a {column}"
            what = f"no clip of {column} {', '.join(absent)}" if absent else f"no {column} is asked for"
            hint = did_you_mean(absent[0], known) if absent else ""
            raise DataError(f"{self.source}: {what}{hint} - {found} - change {column} of this source")
        return tuple(clip for clip in clips if getattr(clip, column) in wanted)


_READERS: dict[str, Callable[[Path, str, Columns, Problems], Iterator[Row]]] = {
    ".csv": read_csv,
    ".jsonl": read_jsonl,
    ".json": read_official_json,
}


def read_manifest(source: SourceConfig, columns: Mapping[str, str] | None = None, labelled: bool = False) -> Manifest:
    """The clips of one source.

    Args: `columns` maps our column names to the file's; with `labelled` there must be labels, without it they are not
    even read.
    Raises: `DataError` with everything that is wrong, one line a problem (10 are shown, the others counted).
    """
    path = Path(source.path).expanduser()
    table = Columns(columns or {}, labelled)
    if not os.path.exists(path):
        raise DataError(
            f"{source.path}: no such file or folder - expected a manifest or a folder of audio - {_beside(path)}"
        )
    front_end = None
    if is_pack(path):
        pack = read_pack(path, source.path)
        clips, front_end = read_clips(pack, path, source.path, labelled), pack.options.front_end
    elif os.path.isdir(path):
        clips = read_folder(path, source.path, labelled)
    elif path.suffix.lower() in _READERS:
        clips = _read_table(path, source.path, table)
    else:
        raise DataError(
            f"{source.path}: neither a folder nor {', '.join(_READERS)} - expected a manifest or a folder of audio - "
            "rename or convert it (a table with tabs: save it as CSV)"
        )
    return Manifest(tuple(clips), source.path, front_end).select(fold=source.fold, split=source.split)


def read_manifests(
    sources: Sequence[SourceConfig], columns: Mapping[str, str] | None = None, labelled: bool = False
) -> Manifest:
    """The clips of several sources, one after the other. With more than one, ids begin with the source's name.

    Raises: `DataError`, also for a clip that two sources share.
    """
    if not sources:
        raise DataError("data: no source - expected a manifest or a folder of audio - give data.train a path")
    manifests = [read_manifest(source, columns, labelled) for source in sources]
    if len(manifests) == 1:
        return manifests[0]
    names = _short_names([source.path for source in sources])
    clips = [
        replace(clip, id=f"{name}/{clip.id}")
        for name, manifest in zip(names, manifests, strict=True)
        for clip in manifest.clips
    ]
    shown = ", ".join(dict.fromkeys(source.path for source in sources))
    problems = Problems(shown)
    _refuse_twins(clips, problems)
    problems.raise_if_any()
    first, *others = manifests
    for other in others:
        if (first.front_end is None) != (other.front_end is None) or (
            first.front_end is not None
            and other.front_end is not None
            and log_mel_differences(first.front_end, other.front_end)
        ):
            raise DataError(
                f"{other.source}: {_kind(other)}, where {first.source} is {_kind(first)} - expected one kind in one "
                "set - take one out, or pack both in the same way"
            )
    return Manifest(tuple(clips), shown, first.front_end)


def _kind(manifest: Manifest) -> str:
    if manifest.front_end is None:
        return "audio"
    return f"log-mels of {manifest.front_end.kind} at {manifest.front_end.sample_rate} Hz"


def _read_table(path: Path, shown: str, columns: Columns) -> list[Clip]:
    problems = Problems(shown)
    origin = f"{shown}: entry " if path.suffix.lower() == ".json" else f"{shown}:"
    maker = ClipMaker(path.parent, origin)
    clips = []
    rows = 0
    for line, cells in _READERS[path.suffix.lower()](path, shown, columns, problems):
        rows += 1
        try:
            clips.append(maker.make(cells, line))
        except ValueError as error:
            problems.add(f"{origin}{line}", str(error))
    _refuse_twins(clips, problems)
    problems.raise_if_any()
    if not rows:
        raise DataError(f"{shown}: no clip - expected a row for every clip - fill the manifest")
    if "labels" in columns.needed and not any(clip.labels for clip in clips):
        raise DataError(f"{shown}: no clip has a label - expected labels - fill the column, or train without labels")
    return clips


def _size(path: Path | ByteRange) -> int:
    """Bytes of a file, or of a member of a shard; -1 for a file that is not there."""
    if isinstance(path, ByteRange):
        return path.size
    try:
        return path.stat().st_size
    except OSError:
        return -1


def _refuse_twins(clips: Sequence[Clip], problems: Problems) -> None:
    """Two clips of one id would get the same draws and overwrite each other in predictions."""
    first: dict[str, Clip] = {}
    for clip in clips:
        other = first.setdefault(clip.id, clip)
        if other is not clip:
            problems.add(
                clip.where,
                f"id {clip.id!r} stands at {other.where} already - expected every clip once - take one out, "
                "join its labels in one row with ';', or add an id column",
            )


def _short_names(paths: Sequence[str]) -> list[str]:
    """The shortest ends of the paths that tell different paths apart."""
    parts = [Path(path).expanduser().absolute().with_suffix("").parts for path in paths]
    for length in range(1, max(map(len, parts)) + 1):
        ends = ["/".join(part[-length:]) for part in parts]
        if len(set(ends)) == len(set(parts)):
            return ends
    return ["/".join(part) for part in parts]


def _beside(path: Path) -> str:
    """What to do about a path that is not there, with near names of the folder where it should be."""
    parent = path.parent
    if not parent.is_dir():
        return f"there is no folder {str(parent)!r} either; relative paths start where the command is run"
    try:
        names = sorted(entry.name for entry in parent.iterdir())
    except OSError:
        names = []
    return f"check the path{did_you_mean(path.name, names)}"
