"""The clips of a manifest as a few arrays, for worker processes.

A worker gets the data set by pickling. Two million `Clip` objects would take it minutes and gigabytes; the same as
arrays is 100 to 200 bytes a clip, which all workers map from one file, and which no reference counting touches.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from zoo.audio.byte_range import ByteRange
from zoo.data.manifest import Manifest
from zoo.data.shared import SharedArrays
from zoo.draws import stable_id


class PackedTexts:
    """Texts one behind the other; names of files that are no UTF-8 survive."""

    def __init__(self, texts: Iterable[str]) -> None:
        encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
        self._arrays = SharedArrays(
            {
                "bytes": np.frombuffer(b"".join(encoded), dtype=np.uint8),
                "ends": np.cumsum([len(text) for text in encoded], dtype=np.int64),
            }
        )

    def __len__(self) -> int:
        return len(self._arrays["ends"])

    def __getitem__(self, index: int) -> str:
        ends = self._arrays["ends"]
        begin = int(ends[index - 1]) if index else 0
        return self._arrays["bytes"][begin : int(ends[index])].tobytes().decode("utf-8", "surrogatepass")


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
        nan = float("nan")
        self._arrays = SharedArrays(
            {
                "ids": np.array([stable_id(clip.id) for clip in clips], dtype=np.int64),
                "starts": np.array([nan if clip.start is None else clip.start for clip in clips], dtype=np.float64),
                "stops": np.array([nan if clip.stop is None else clip.stop for clip in clips], dtype=np.float64),
                "label_ends": np.cumsum([len(one) for one in places or ()], dtype=np.int64),
                "labels": np.array([place for one in places or () for place in one], dtype=np.int32),
            }
        )

    def __len__(self) -> int:
        return len(self._arrays["ids"])

    def path(self, index: int) -> Path | ByteRange:
        return self._audio[index]

    def name(self, index: int) -> str:
        """The clip's `id` in the manifest."""
        return self._names[index]

    def id(self, index: int) -> int:
        """The clip's number, of which its draws are made."""
        return int(self._arrays["ids"][index])

    def start(self, index: int) -> float | None:
        return _seconds(self._arrays["starts"][index])

    def stop(self, index: int) -> float | None:
        return _seconds(self._arrays["stops"][index])

    def places(self, index: int) -> list[int]:
        ends = self._arrays["label_ends"]
        begin = int(ends[index - 1]) if index else 0
        places: list[int] = self._arrays["labels"][begin : int(ends[index])].tolist()
        return places


def _seconds(stored: float) -> float | None:
    return None if np.isnan(stored) else float(stored)
