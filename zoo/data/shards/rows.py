"""Rows of a pack's index: a clip as JSON, and back.

A row has what the manifest said (`id`, `labels`, `fold`, `split`, `group`, `start`, `stop`; what it did not say is left
out) and where the bytes are: `shard`, `member`, `offset` and `size` in bytes, their `crc32`, and the clip's `seconds`.
"""

import json
import math
from pathlib import Path
from typing import Any

from zoo.audio.byte_range import HEADER_BYTES, ByteRange
from zoo.data.clip import Clip
from zoo.data.shards.names import unsafe_name

_TEXTS = ("fold", "split", "group")


def clip_fields(clip: Clip, labelled: bool, with_cut: bool) -> dict[str, Any]:
    """What a manifest says about a clip; the cut only where the bytes are still those of the whole file."""
    fields: dict[str, Any] = {"id": clip.id}
    if labelled:
        fields["labels"] = list(clip.labels)
    fields |= {name: value for name in _TEXTS if (value := getattr(clip, name)) is not None}
    if with_cut:
        fields |= {name: value for name in ("start", "stop") if (value := getattr(clip, name)) is not None}
    return fields


def dump_row(row: dict[str, Any]) -> str:
    """One line of JSON, in letters as they are unless UTF-8 cannot have them."""
    text = json.dumps(row, ensure_ascii=False)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return json.dumps(row)
    return text


class RowReader:
    """Turns rows into clips.

    Args: `shards` has the bytes of every shard by name; `origin` is what stands before the line in a message.
    """

    def __init__(self, folder: Path, shards: dict[str, int], origin: str, labelled: bool) -> None:
        self._paths = {name: folder / name for name in shards}
        self._sizes = shards
        self._origin = origin
        self._labelled = labelled
        self._labels: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._words: dict[str, str] = {}

    def read(self, text: str, line: int) -> Clip:
        """The clip of a row. Raises ValueError with what is wrong with it."""
        row = json.loads(text)
        if not isinstance(row, dict):
            raise ValueError("is no JSON object")
        place = self.place(row)
        name = row.get("id")
        if not isinstance(name, str) or not name:
            raise ValueError(f"id {_short(name)} is no text")
        start, stop = _seconds(row, "start"), _seconds(row, "stop")
        if stop is not None and stop <= (start or 0.0):
            raise ValueError(f"stop {stop} is not after start {start or 0.0}")
        fold, split, group = (self._text(row, column) for column in _TEXTS)
        labels = self._label_names(row.get("labels", [])) if self._labelled else ()
        return Clip(place, name, labels, start, stop, fold, split, group, self._origin, line)

    def place(self, row: dict[str, Any]) -> ByteRange:
        """Where a row's bytes lie. Raises ValueError for a place that no member of these shards can have."""
        shard, member, offset, size = (row.get(key) for key in ("shard", "member", "offset", "size"))
        path = self._paths.get(shard) if isinstance(shard, str) else None
        if path is None:
            raise ValueError(f"shard {_short(shard)} is none of this pack")
        if not isinstance(member, str) or (problem := unsafe_name(member)) is not None:
            raise ValueError(f"member {_short(member)} {problem if isinstance(member, str) else 'is no name'}")
        if type(offset) is not int or type(size) is not int or offset < HEADER_BYTES or size < 0:
            raise ValueError(f"offset {_short(offset)} and size {_short(size)} are no place in a file")
        if offset % HEADER_BYTES or offset + size > self._sizes[path.name]:
            raise ValueError(f"bytes {offset} to {offset + size} are no member of {path.name}")
        return ByteRange(path, offset, size, member)

    def _text(self, row: dict[str, Any], column: str) -> str | None:
        value = row.get(column)
        if value is None:
            return None
        if not isinstance(value, str):
            raise ValueError(f"{column} {_short(value)} is no text")
        return self._words.setdefault(value, value)

    def _label_names(self, value: Any) -> tuple[str, ...]:
        if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
            raise ValueError(f"labels {_short(value)} are no list of names")
        names = tuple(value)
        return self._labels.setdefault(names, names)


def _seconds(row: dict[str, Any], column: str) -> float | None:
    value = row.get(column)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise ValueError(f"{column} {_short(value)} is no number of seconds")
    return float(value)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
