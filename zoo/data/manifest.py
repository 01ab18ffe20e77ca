"""A set of clips and where it comes from: a CSV, JSON lines, the JSON of the released AST code, a pack, or a folder.

Columns (design: `path` or `filename`, and optionally `labels` or `label`, `fold`, `split`, `group`, `start`, `stop`
in seconds, `id`). Relative paths are looked for beside the manifest, then in the `audio` folder beside it. Whether
the audio exists is not asked here: a missing file is bad audio when it is used.
"""

import gc
import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator

from zoo.audio.byte_range import ByteRange
from zoo.audio.front_ends import AnyFrontEndConfig
from zoo.audio.unnormalised import log_mel_differences
from zoo.config import Config
from zoo.data.clip import Clip, ClipMaker, fold_name
from zoo.data.folder import read_folder
from zoo.data.folds import FoldsConfig, assign_folds, fold_notes
from zoo.data.problems import Problems, did_you_mean, listed
from zoo.data.shards.layout import is_pack, read_pack
from zoo.data.shards.read import read_clips
from zoo.data.source_paths import beside, short_names
from zoo.data.table import Columns, Row, read_csv, read_jsonl, read_official_json
from zoo.errors import DataError


def _as_folds(value: Any) -> Any:
    """A list of folds, or one fold."""
    if isinstance(value, list):
        return tuple(value)
    return (value,) if isinstance(value, int | str) and not isinstance(value, bool) else value


_SIZES_HASHED = 1000
FoldNames = Annotated[
    tuple[int | str, ...] | None, BeforeValidator(_as_folds, json_schema_input_type=int | str | list[int | str])
]


class SourceConfig(Config):
    """Where clips come from, and which of them."""

    path: Annotated[str, Field(min_length=1)]
    """A manifest (.csv, .jsonl, official .json), a pack (`zoo pack`), or a folder of audio (a folder per class when
    labels are needed)."""
    fold: FoldNames = None
    """Only clips of these folds; null is all of them."""
    not_fold: FoldNames = None
    """All clips but those of these folds."""
    split: str | None = None
    """Only clips of this split; null is all of them."""
    folds: FoldsConfig | None = None
    """Give the clips folds 1, 2, ... in the place of the file's own; the same wherever this file is named so."""

    @model_validator(mode="after")
    def _one_choice(self) -> "SourceConfig":
        if self.fold is not None and self.not_fold is not None:
            raise ValueError("not_fold: found beside fold - expected at most one - keep one")
        return self


@dataclass(frozen=True)
class Manifest:
    """Clips in the order of the file, and what they were read from."""

    clips: tuple[Clip, ...]
    source: str
    notes: tuple[str, ...] = ()
    """What is odd about it, a line each."""
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

        Groups are not in it: training sees them only in the folds that were made of them.

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

    def select(
        self,
        fold: Sequence[int | str] | int | str | None = None,
        split: str | None = None,
        not_fold: Sequence[int | str] | int | str | None = None,
    ) -> "Manifest":
        """The clips of some folds, or of all but some, and of one split.

        Raises: `DataError` for a fold or split that no clip has, and when no clip is left.
        """
        clips = self.clips
        if fold is not None:
            clips = self._where(clips, "fold", _fold_names(fold))
        if not_fold is not None:
            others = {clip.id for clip in self._where(clips, "fold", _fold_names(not_fold))}
            clips = tuple(clip for clip in clips if clip.id not in others)
        if split is not None:
            clips = self._where(clips, "split", [split])
        if not clips and self.clips:
            raise DataError(f"{self.source}: no clip is left without fold {not_fold} - expected some - name fewer")
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


def read_manifest(
    source: SourceConfig, columns: Mapping[str, str] | None = None, labelled: bool | None = False
) -> Manifest:
    """The clips of one source.

    Args: `columns` maps our column names to the file's; with `labelled` there must be labels, without it they are not
    even read, and with None they are read where there are any.
    Raises: `DataError` with everything that is wrong, one line a problem (10 are shown, the others counted).
    """
    path = Path(source.path).expanduser()
    by = None if source.folds is None else source.folds.by
    # Folds are the same with and without labels (pretraining), so those that balance labels read them in any case.
    needs_labels = bool(labelled) or by == "label"
    welcome = labelled is None or by == "group"
    table = Columns(columns or {}, needs_labels, welcome=welcome)
    if not os.path.exists(path):
        raise DataError(
            f"{source.path}: no such file or folder - expected a manifest or a folder of audio - {beside(path)}"
        )
    front_end = None
    if is_pack(path):
        pack = read_pack(path, source.path)
        has_labels = needs_labels or (welcome and pack.options.labelled)
        clips, front_end = read_clips(pack, path, source.path, has_labels), pack.options.front_end
    elif os.path.isdir(path):
        clips = read_folder(path, source.path, needs_labels)
        if labelled is None and all("/" in clip.id for clip in clips):
            clips = read_folder(path, source.path, labelled=True)
    elif path.suffix.lower() in _READERS:
        clips = _read_table(path, source.path, table)
    else:
        raise DataError(
            f"{source.path}: neither a folder nor {', '.join(_READERS)} - expected a manifest or a folder of audio - "
            "rename or convert it (a table with tabs: save it as CSV)"
        )
    manifest = Manifest(tuple(clips), source.path, front_end=front_end)
    if source.folds is not None:
        manifest = _with_folds(manifest, source.folds, keep_labels=labelled is not False)
    return manifest.select(source.fold, source.split, source.not_fold)


def _with_folds(manifest: Manifest, folds: FoldsConfig, keep_labels: bool) -> Manifest:
    """The clips with folds "1", "2", …; labels that were read for the folds alone are dropped."""
    clips = manifest.clips
    numbers = assign_folds(clips, folds.num, folds.by, folds.seed, manifest.source)
    names = [str(number) for number in range(folds.num + 1)]
    with_folds = tuple(
        replace(clip, fold=names[number], labels=clip.labels if keep_labels else ())
        for clip, number in zip(clips, numbers, strict=True)
    )
    return replace(manifest, clips=with_folds, notes=fold_notes(clips, folds.num, folds.by, manifest.source))


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
    names = short_names([source.path for source in sources])
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
    notes = dict.fromkeys(note for manifest in manifests for note in manifest.notes)
    return Manifest(tuple(clips), shown, tuple(notes), first.front_end)


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
    with _no_garbage_collection():
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


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Millions of new objects would be searched for garbage over and over; there is none among clips."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _fold_names(folds: Sequence[int | str] | int | str) -> list[str]:
    return [fold_name(one) for one in ([folds] if isinstance(folds, int | str) else folds)]


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
