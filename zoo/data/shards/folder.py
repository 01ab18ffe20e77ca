"""The folder into which a pack is made: new, begun, finished, or something else that is not touched."""

from pathlib import Path
from typing import Any, Literal

import pydantic

from zoo import disk
from zoo.config import Config
from zoo.data.shards.layout import PACK, PACKING, Pack, PackOptions, parse_pack
from zoo.errors import DataError


class Packing(Config):
    """The content of `packing.json`: of what the pack in this folder was begun."""

    version: Literal[1] = 1
    source_hash: str
    options: PackOptions


def finished(out: Path, source: str, source_hash: str, options: PackOptions) -> Pack | None:
    """The finished pack of this source and these options, if it is there. Raises DataError for another pack."""
    if not (out / PACK).is_file():
        return None
    pack = parse_pack((out / PACK).read_bytes(), f"{out}/{PACK}")
    _check_same(out, source, (pack.source_hash, pack.options), (source_hash, options))
    wrong = [shard.name for shard in pack.shards if _size(out / shard.name) != shard.bytes]
    if wrong:
        raise DataError(
            f"{out}: {wrong[0]} is missing or of another size - expected the pack as it was finished - "
            "look with zoo pack --verify, or pack again into a new folder"
        )
    return pack


def begin(out: Path, source: str, source_hash: str, options: PackOptions) -> None:
    """Makes the folder, or checks that the same pack was begun in it.

    Raises: DataError - another pack, or other files. CheckpointError - the disk refuses.
    """
    if out.exists() and not out.is_dir():
        raise DataError(f"{out}: a file - expected a folder for the shards - choose another")
    path = out / PACKING
    if path.is_file():
        try:
            begun = Packing.model_validate_json(path.read_bytes())
        except pydantic.ValidationError:
            raise DataError(
                f"{path}: not what zoo pack wrote - expected a begun pack - choose another folder"
            ) from None
        _check_same(out, source, (begun.source_hash, begun.options), (source_hash, options))
        return
    torn = f".{PACKING}.writing"  # killed while it began
    if out.is_dir() and any(inside.name != torn for inside in out.iterdir()):
        raise DataError(f"{out}: not empty, and no pack - expected a new folder - choose another")
    with disk.written_whole(path) as temporary:
        disk.write_json(temporary, Packing(source_hash=source_hash, options=options).model_dump(mode="json"))


def _check_same(out: Path, source: str, before: tuple[str, PackOptions], now: tuple[str, PackOptions]) -> None:
    theirs, ours = before[1].model_dump(mode="json"), now[1].model_dump(mode="json")
    changed = [f"{key} was {_short(theirs[key])}, is {_short(ours[key])}" for key in ours if ours[key] != theirs[key]]
    if not changed and before[0] != now[0]:
        changed = [f"the clips of {source} are others (ids, labels, folds, cuts, groups or file sizes)"]
    if changed:
        raise DataError(
            f"{out}: holds a pack of something else ({'; '.join(changed)}) - expected the same source and options, to "
            "go on - put them back, or choose a new folder"
        )


def _short(value: Any) -> str:
    return value["kind"] + " (another front end)" if isinstance(value, dict) else repr(value)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1
