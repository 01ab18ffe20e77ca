"""Shards that others wrote for webdataset, made into a pack by giving them an index; their bytes stay as they are.

It also gives back the index of a pack that has lost it: what the manifest said is in the JSON beside the audio.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tarfile import TarInfo
from typing import Any

from zoo import disk
from zoo.audio.byte_range import ByteRange
from zoo.audio.decode import UnusableAudio, duration
from zoo.data.clip import Clip, ClipMaker
from zoo.data.folder import AUDIO_SUFFIXES
from zoo.data.problems import Problems
from zoo.data.shards.layout import INDEX, PACK, Pack, PackOptions, ShardInfo, is_pack
from zoo.data.shards.names import check_shard_name
from zoo.data.shards.rows import clip_fields, dump_row
from zoo.data.shards.tar import crc32_of, scan, sha256_of
from zoo.data.table import SYNONYMS
from zoo.errors import DataError

_LABEL_ENDINGS = ("cls", "txt")
_TOLD_LIMIT = 1 << 20  # bytes of JSON or text beside one clip


@dataclass
class _Sample:
    """The members of one key."""

    shard: str
    key: str
    audio: list[TarInfo] = field(default_factory=list)
    told: dict[str, bytes] = field(default_factory=dict)


def index_shards(
    folder: Path, shown: str, versions: Mapping[str, str], on_progress: Callable[[int, int], None] | None = None
) -> Pack:
    """Reads every .tar of a folder once, and writes index and `pack.json` beside them.

    Members of one key (the name up to its first dot) belong together, as webdataset has it: one with the ending of
    audio, and labels in KEY.json ({"label": …} or {"labels": […]}, with id, fold, split, group, start, stop as in a
    manifest), KEY.cls or KEY.txt. Keys become ids; where two shards have the same key, the shard's name comes before.

    Raises: DataError - no shards, unsafe or damaged ones, keys without sense; all of it, one line a problem.
    """
    if is_pack(folder):
        raise DataError(f"{shown}: a pack already - expected shards without an index - remove {PACK} to index it anew")
    names = sorted(path.name for path in folder.glob("*.tar")) if folder.is_dir() else []
    if not names:
        raise DataError(f"{shown}: no .tar in this folder - expected shards, not compressed - check the path")
    problems = Problems(shown)
    rows: list[dict[str, Any]] = []
    shards: list[ShardInfo] = []
    seconds = 0.0
    for done, name in enumerate(names, start=1):
        try:
            check_shard_name(name)
            found = [row for sample in _samples(folder / name) for row in _rows(folder, sample, problems, shown)]
        except (DataError, ValueError) as error:
            problems.add(shown, str(error).removeprefix(f"{folder}/"))
            continue
        rows += found
        path = folder / name
        shards.append(ShardInfo(name=name, bytes=path.stat().st_size, sha256=sha256_of(path), clips=len(found)))
        seconds += sum(row.get("seconds", 0.0) for row in found)
        if on_progress is not None:
            on_progress(done, len(names))
    _tell_twins_apart(rows, problems, shown)
    if not rows and not problems.count:
        problems.add(shown, "no member with audio - expected endings like .wav, .flac, .ogg, .mp3 - check the shards")
    problems.raise_if_any()
    with disk.written_whole(folder / INDEX) as path, path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(f"{dump_row(row)}\n" for row in rows)
    pack = Pack(
        options=PackOptions(mode="original", labelled=any(row["labels"] for row in rows)),
        source=shown,
        source_hash="",
        clips=len(rows),
        members=len({(row["shard"], row["offset"]) for row in rows}),
        seconds=round(seconds, 3),
        bad_clips=0,
        odd_clips=0,
        clipped_clips=0,
        clipped_samples=0,
        shards=tuple(shards),
        index_sha256=sha256_of(folder / INDEX),
        versions=dict(versions),
    )
    with disk.written_whole(folder / PACK) as path:
        disk.write_json(path, pack.model_dump(mode="json"))
    return pack


def _samples(path: Path) -> Iterator[_Sample]:
    """Members of one key stand one behind the other, as webdataset itself expects."""
    current: _Sample | None = None
    with path.open("rb") as file:
        for info in scan(path):
            directory, slash, base = info.name.rpartition("/")
            stem, _, ending = base.partition(".")
            key = directory + slash + stem
            if current is None or current.key != key:
                if current is not None:
                    yield current
                current = _Sample(path.name, key)
            ending = ending.lower()
            if f".{ending.rpartition('.')[2]}" in AUDIO_SUFFIXES:
                current.audio.append(info)
            elif ending == "json" or ending in _LABEL_ENDINGS:
                if info.size > _TOLD_LIMIT:
                    raise DataError(f"{path}: member {info.name!r} has {info.size} bytes - expected a few about a clip")
                file.seek(info.offset_data)
                current.told[ending] = file.read(info.size)
    if current is not None:
        yield current


def _rows(folder: Path, sample: _Sample, problems: Problems, shown: str) -> Iterator[dict[str, Any]]:
    if not sample.audio:
        return
    where = f"{shown}/{sample.shard}: {sample.key}"
    if len(sample.audio) > 1:
        names = ", ".join(info.name for info in sample.audio)
        problems.add(where, f"audio in {names} - expected one file of audio for a key - repack it")
        return
    (info,) = sample.audio
    path = folder / sample.shard
    place = ByteRange(path, info.offset_data, info.size, info.name)
    with path.open("rb") as file:
        crc32 = crc32_of(file, place.offset, place.size)
    at = {"shard": sample.shard, "member": info.name, "offset": place.offset, "size": place.size, "crc32": crc32}
    try:
        lasts = duration(place)
    except UnusableAudio:
        lasts = 0.0  # bad audio when it is used
    try:
        for told in _told(sample):
            clip = _clip(told, sample.key, folder)
            end = lasts if clip.stop is None else min(lasts, clip.stop)
            seconds = {"seconds": round(max(0.0, end - (clip.start or 0.0)), 6)}
            yield clip_fields(clip, labelled=True, with_cut=True) | seconds | at
    except ValueError as error:
        problems.add(where, str(error))


def _told(sample: _Sample) -> list[dict[str, Any]]:
    """What is said about the clip, or about each of the cuts of a file. Raises ValueError."""
    told: Any = {}
    if "json" in sample.told:
        try:
            told = json.loads(sample.told["json"])
        except (ValueError, RecursionError):
            raise ValueError("no JSON beside it - expected one object - put it right") from None
        if not isinstance(told, dict):
            raise ValueError(f"a JSON {type(told).__name__} beside it - expected an object - put it right")
    for ending in _LABEL_ENDINGS:
        if ending in sample.told and not any(name in told for name in SYNONYMS["labels"]) and "clips" not in told:
            try:
                told["labels"] = sample.told[ending].decode("utf-8").strip()
            except UnicodeDecodeError:
                raise ValueError(f"no UTF-8 in its .{ending} - expected a label - put it right") from None
    clips = told.get("clips", [told])
    if not isinstance(clips, list) or not all(isinstance(clip, dict) for clip in clips):
        raise ValueError('"clips" is no list of objects - expected the cuts of this file - put it right')
    return clips


def _clip(told: dict[str, Any], key: str, folder: Path) -> Clip:
    labels = next((told[name] for name in SYNONYMS["labels"] if name in told), None)
    cells = [told.get(name) for name in ("fold", "split", "group", "start", "stop")]
    return ClipMaker(folder, "").make([key, labels, *cells, told.get("id")], 0)


def _tell_twins_apart(rows: list[dict[str, Any]], problems: Problems, shown: str) -> None:
    """Ids that stand twice get the names of their shards before them; within a shard they are an error."""
    if len({row["id"] for row in rows}) == len(rows):
        return
    seen: set[str] = set()
    for row in rows:
        row["id"] = f"{Path(row['shard']).stem}/{row['id']}"
        if row["id"] in seen:
            problems.add(
                f"{shown}/{row['shard']}", f"key or id {row['id']!r} twice - expected every one once - repack it"
            )
        seen.add(row["id"])
