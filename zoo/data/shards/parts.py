"""What a pack that is being made knows about its finished shards, so that it can go on after a crash.

`parts/shard-000003.jsonl` has a first line about the shard, then a line for each of its clips: the place in the
manifest, a tab, and the clip's row of the index. It is written after the shard stands whole under its name, so a shard
without it is not finished.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from zoo import disk
from zoo.data.batch import BadAudio
from zoo.data.shards.layout import PARTS, ShardInfo, shard_name

PartRow = tuple[int, str]
"""(place of the clip in the manifest, row of the index)"""


@dataclass(frozen=True)
class Tally:
    """What was counted from the end of one shard to the end of the next."""

    first_unit: int
    end_unit: int
    """The first unit that is no longer counted."""
    members: int = 0
    clips: int = 0
    seconds: float = 0.0
    clipped_clips: int = 0
    clipped_samples: int = 0
    bad: tuple[BadAudio, ...] = ()


@dataclass(frozen=True)
class Part:
    """A finished shard."""

    shard: ShardInfo
    tally: Tally


def part_path(out: Path, number: int) -> Path:
    """Of the part of a shard."""
    return out / PARTS / Path(shard_name(number)).with_suffix(".jsonl").name


def write_part(out: Path, number: int, part: Part, rows: Sequence[PartRow]) -> None:
    """All of it or nothing. Raises CheckpointError: the disk refuses."""
    head = {"shard": part.shard.model_dump(mode="json"), "tally": asdict(part.tally)}
    with disk.written_whole(part_path(out, number)) as path, path.open("w", encoding="utf-8", newline="\n") as file:
        file.write(json.dumps(head) + "\n")
        file.writelines(f"{place}\t{row}\n" for place, row in rows)


def read_part(out: Path, number: int) -> Part | None:
    """A finished shard; None where there is no part, or none that was written here."""
    try:
        with part_path(out, number).open(encoding="utf-8") as file:
            head = json.loads(file.readline())
        tally = head["tally"]
        tally["bad"] = tuple(BadAudio(**bad) for bad in tally["bad"])
        part = Part(ShardInfo.model_validate_json(json.dumps(head["shard"])), Tally(**tally))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return part if part.shard.name == shard_name(number) else None


def read_rows(out: Path, number: int) -> Iterator[PartRow]:
    """The rows of a finished shard."""
    with part_path(out, number).open(encoding="utf-8") as file:
        file.readline()
        for line in file:
            place, _, row = line.rstrip("\n").partition("\t")
            yield int(place), row


def remove_from(out: Path, number: int) -> None:
    """Removes the shards from this one on, and their parts."""
    for path in (*out.glob("shard-*.tar"), *(out / PARTS).glob("shard-*.jsonl")):
        if path.stem >= Path(shard_name(number)).stem:
            disk.remove(path)
