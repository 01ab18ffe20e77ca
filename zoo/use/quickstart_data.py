"""The clips of a quickstart, split so that what is learned cannot be recognised by its recording."""

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from zoo.audio.byte_range import ByteRange
from zoo.audio.decode import UnusableAudio, duration
from zoo.data.clip import Clip
from zoo.data.manifest import Manifest, SourceConfig, read_manifest
from zoo.data.prepare.instruments import prepare_instruments
from zoo.draws import stable_id
from zoo.errors import DataError

_HELD_OUT_SHARE = 0.3
_MANIFEST_NAMES = ("meta.csv", "manifest.csv", "manifest.jsonl", "meta.jsonl")


@dataclass(frozen=True)
class QuickstartData:
    """Two manifests, and a sentence about how they were split."""

    train: Path
    eval: Path
    remark: str
    seconds: float
    """Of a typical clip."""


def built_in_notes(out: Path, say: Callable[[str], None]) -> QuickstartData:
    """Renders the recorded instruments of the `quickstart` extra. The task: which of the 12 pitch classes is played."""
    notes = prepare_instruments(out / "notes")
    say(f"audio: {notes.num_notes:,} two-second notes of recorded instruments in {notes.folder}")
    manifest = read_manifest(SourceConfig(path=str(notes.manifest)), labelled=True)
    return _write_split(
        [clip for clip in manifest.clips if clip.split == "train"],
        [clip for clip in manifest.clips if clip.split == "eval"],
        out,
        "Task: the pitch class (12) of a note. Instruments that share a recording are all on one side of the split: "
        "every evaluated instrument was never heard in training, nor in pretraining.",
        2.0,
    )


def own_data(path: Path, out: Path) -> QuickstartData:
    """A folder of classes, or a folder with or path of a manifest; held out by its own split, fold or group column."""
    source = path
    if path.is_dir():
        source = next((path / name for name in _MANIFEST_NAMES if (path / name).is_file()), path)
    manifest = read_manifest(SourceConfig(path=str(source)), labelled=True)
    train, held_out, how = _split(manifest)
    missing = sorted({c.labels for c in held_out} - {c.labels for c in train})
    if missing or not held_out:
        raise DataError(
            f"{source}: {len(held_out)} clips held out by {how}, with labels that training lacks: {missing[:5]} - "
            "expected every class on both sides - give a split column with 'train' and 'eval'"
        )
    return _write_split(train, held_out, out, f"Held out: {how}.", _typical_seconds(manifest))


def _split(manifest: Manifest) -> tuple[list[Clip], list[Clip], str]:
    clips = manifest.clips
    splits = {clip.split for clip in clips}
    if "train" in splits and len(splits) > 1:
        name = next((s for s in ("test", "eval", "valid", "validation", "dev") if s in splits), None)
        if name is not None:
            return (
                _where(clips, lambda c: c.split == "train"),
                _where(clips, lambda c: c.split == name),
                f"split '{name}'",
            )
    folds = sorted({clip.fold for clip in clips if clip.fold is not None})
    if len(folds) > 1:
        last = folds[-1]
        return _where(clips, lambda c: c.fold != last), _where(clips, lambda c: c.fold == last), f"fold {last}"
    if all(clip.group is not None for clip in clips):
        chosen = _by_hash(clips, lambda clip: str(clip.group))
        return _where(clips, lambda c: c.id not in chosen), _where(clips, lambda c: c.id in chosen), "whole groups"
    chosen = _by_hash(clips, lambda clip: clip.id)
    how = (
        "clips drawn per class, since the data names no split, fold or group; parts of one recording may be on both "
        "sides, which flatters every model"
    )
    return _where(clips, lambda c: c.id not in chosen), _where(clips, lambda c: c.id in chosen), how


def _where(clips: tuple[Clip, ...], keep: Callable[[Clip], bool]) -> list[Clip]:
    return [clip for clip in clips if keep(clip)]


def _by_hash(clips: tuple[Clip, ...], unit: Callable[[Clip], str]) -> set[str]:
    """Ids of the clips held out: of every class, the units with the smallest hash, until the share is reached."""
    chosen_units: set[str] = set()
    for label in sorted({clip.labels for clip in clips}):
        mine = [clip for clip in clips if clip.labels == label]
        wanted = _HELD_OUT_SHARE * len(mine)
        count = sum(unit(clip) in chosen_units for clip in mine)
        for name in sorted({unit(clip) for clip in mine} - chosen_units, key=stable_id):
            if count >= wanted:
                break
            chosen_units.add(name)
            count += sum(unit(clip) == name for clip in mine)
    return {clip.id for clip in clips if unit(clip) in chosen_units}


def _typical_seconds(manifest: Manifest) -> float:
    """Median length of up to 200 clips."""
    step = max(1, len(manifest) // 200)
    lengths = []
    for clip in manifest.clips[::step]:
        try:
            end = clip.stop if clip.stop is not None else duration(clip.path)
        except UnusableAudio:
            continue
        lengths.append(end - (clip.start or 0.0))
    if not lengths:
        raise DataError(
            f"{manifest.source}: none of the first clips can be read - expected audio files - check the paths"
        )
    return median(lengths)


def _write_split(train: list[Clip], held_out: list[Clip], out: Path, remark: str, seconds: float) -> QuickstartData:
    out.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, clips in (("train", train), ("eval", held_out)):
        path = out / f"{name}.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["id", "path", "labels", "start", "stop"])
            for clip in clips:
                if isinstance(clip.path, ByteRange):
                    raise DataError(
                        f"{clip.where}: in a pack - expected audio files - give the manifest it was made of"
                    )
                start = "" if clip.start is None else clip.start
                stop = "" if clip.stop is None else clip.stop
                writer.writerow([clip.id, str(clip.path.resolve()), ";".join(clip.labels), start, stop])
        paths.append(path)
    return QuickstartData(paths[0], paths[1], remark, seconds)
