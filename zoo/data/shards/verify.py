"""Reads a whole pack and says what in it is not as it was written."""

import json
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from zoo.audio.byte_range import HEADER_BYTES, ByteRange, is_header_of
from zoo.data.problems import Problems, listed
from zoo.data.shards.layout import INDEX, read_pack
from zoo.data.shards.read import read_clips
from zoo.data.shards.tar import crc32_of, scan, sha256_of
from zoo.errors import DataError


def verify_pack(folder: Path, shown: str, on_progress: Callable[[int, int], None] | None = None) -> dict[str, int]:
    """Every byte of every shard against `pack.json`, and every row of the index against the shards.

    Args: `on_progress` takes (shards done, shards in all).
    Returns: how many shards, clips and bytes were found good.
    Raises: DataError - with everything that is wrong, one line a problem; members with other bytes by name.
    """
    pack = read_pack(folder, shown)
    problems = Problems(shown)
    if sha256_of(folder / INDEX) != pack.index_sha256:
        problems.add(
            f"{shown}/{INDEX}", "not the index that was written - expected its checksum in pack.json - pack again"
        )
    places: dict[str, list[ByteRange]] = defaultdict(list)
    for clip in read_clips(pack, folder, shown, labelled=False):
        assert isinstance(clip.path, ByteRange)
        places[clip.path.path.name].append(clip.path)
    total = 0
    for done, shard in enumerate(pack.shards, start=1):
        path = folder / shard.name
        try:
            size = path.stat().st_size
            if size != shard.bytes:
                problems.add(
                    f"{shown}/{shard.name}", f"{size} bytes - expected {shard.bytes} - fetch it, or pack again"
                )
            elif sha256_of(path) != shard.sha256:
                problems.add(
                    f"{shown}/{shard.name}",
                    f"{_damage(folder, shard.name)} - expected the bytes that were written - pack again",
                )
            else:
                _check_places(path, places[shard.name], f"{shown}/{INDEX}", problems)
            total += size
        except OSError as error:
            problems.add(f"{shown}/{shard.name}", f"{error.strerror} - expected the shard - fetch it, or pack again")
        if on_progress is not None:
            on_progress(done, len(pack.shards))
    problems.raise_if_any()
    return {"shards": len(pack.shards), "clips": pack.clips, "bytes": total}


def _damage(folder: Path, shard: str) -> str:
    """What can be said about a shard whose checksum is another."""
    wrong: list[str] = []
    with (folder / shard).open("rb") as file, (folder / INDEX).open(encoding="utf-8") as index:
        for text in index:
            row = json.loads(text)
            if row["shard"] == shard and crc32_of(file, row["offset"], row["size"]) != row.get("crc32"):
                wrong.append(row["member"])
    if wrong:
        return f"other bytes in {listed(wrong, 3)}"
    try:
        for _ in scan(folder / shard):
            pass
    except DataError as error:
        return str(error).split(" - ")[0].removeprefix(f"{folder / shard}: ")
    return "other bytes between the members with audio"


def _check_places(path: Path, places: list[ByteRange], where: str, problems: Problems) -> None:
    with path.open("rb") as file:
        for place in places:
            file.seek(place.offset - HEADER_BYTES)
            if not is_header_of(file.read(HEADER_BYTES), place.member, place.size):
                problems.add(where, f"{path.name} has no member {place.member} at byte {place.offset} - pack again")
