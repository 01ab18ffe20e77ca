"""The clips of a manifest as a few arrays, for worker processes.

A worker gets its copy of the data set by pickling. Two million `Clip` objects would take it minutes and gigabytes;
the same as arrays is 100 to 200 bytes a clip, copied at once, and never touched by reference counting.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from zoo.audio.byte_range import ByteRange
from zoo.data.manifest import Manifest
from zoo.draws import stable_id


class PackedTexts:
    """Texts one behind the other; names of files that are no UTF-8 survive."""

    def __init__(self, texts: Iterable[str]) -> None:
        encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
        self._bytes = np.frombuffer(b"".join(encoded), dtype=np.uint8)
        self._ends = np.cumsum([len(text) for text in encoded], dtype=np.int64)

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, index: int) -> str:
        begin = int(self._ends[index - 1]) if index else 0
        return self._bytes[begin : int(self._ends[index])].tobytes().decode("utf-8", "surrogatepass")


class PackedAudio:
    """Where the audio of every clip lies: paths, or members of shards, whose few paths are kept once."""

    def __init__(self, audio: Sequence[Path | ByteRange]) -> None:
        shards = list(dict.fromkeys(one.path for one in audio if isinstance(one, ByteRange)))
        number = {path: place for place, path in enumerate(shards)}
        self._shards = [str(path) for path in shards]
        # A path, or the name of a member.
        self._names = PackedTexts(one.member if isinstance(one, ByteRange) else str(one) for one in audio)
        ranges = [
            (number[one.path], one.offset, one.size) if isinstance(one, ByteRange) else (-1, 0, 0) for one in audio
        ]
        self._ranges = np.array(ranges, dtype=np.int64) if shards else None  # (clips, 3)

    def __getitem__(self, index: int) -> Path | ByteRange:
        name = self._names[index]
        if self._ranges is None:
            return Path(name)
        shard, offset, size = self._ranges[index].tolist()
        return Path(name) if shard < 0 else ByteRange(Path(self._shards[shard]), offset, size, name)


class PackedClips:
    """What a worker needs of every clip: path, id, cut in seconds, and the places of its labels."""

    def __init__(self, manifest: Manifest, places: Sequence[tuple[int, ...]] | None) -> None:
        clips = manifest.clips
        self._audio = PackedAudio([clip.path for clip in clips])
        self._names = PackedTexts(clip.id for clip in clips)
        self._ids = np.array([stable_id(clip.id) for clip in clips], dtype=np.int64)
        nan = float("nan")
        self._starts = np.array([nan if clip.start is None else clip.start for clip in clips])
        self._stops = np.array([nan if clip.stop is None else clip.stop for clip in clips])
        self._label_ends = np.cumsum([len(one) for one in places or ()], dtype=np.int64)
        self._labels = np.array([place for one in places or () for place in one], dtype=np.int32)

    def __len__(self) -> int:
        return len(self._ids)

    def path(self, index: int) -> Path | ByteRange:
        return self._audio[index]

    def name(self, index: int) -> str:
        """The clip's `id` in the manifest."""
        return self._names[index]

    def id(self, index: int) -> int:
        """The clip's number, of which its draws are made."""
        return int(self._ids[index])

    def start(self, index: int) -> float | None:
        return None if np.isnan(self._starts[index]) else float(self._starts[index])

    def stop(self, index: int) -> float | None:
        return None if np.isnan(self._stops[index]) else float(self._stops[index])

    def places(self, index: int) -> list[int]:
        begin = int(self._label_ends[index - 1]) if index else 0
        places: list[int] = self._labels[begin : int(self._label_ends[index])].tolist()
        return places
