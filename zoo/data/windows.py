"""Which stretches of every clip an evaluation reads: its rows, from the clips' lengths and the recipe's rule.

Lengths are counted in whatever the reader counts in: samples of the front end's rate, or frames of stored log-mels.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from zoo.audio.decode import UnusableAudio
from zoo.config import Config
from zoo.data.open_reader import Reader

LongClips = Literal["windows", "whole", "beginning"]
Overlap = Annotated[float, Field(ge=0, le=0.95)]
MaxSeconds = Annotated[float, Field(gt=0, le=86_400)]

_HEADERS_AT_ONCE = 1_000


class WindowConfig(Config):
    """What an evaluation does with clips that are longer than the model. Checkpoints carry it, as `windows`."""

    long_clips: LongClips = "windows"
    """`windows`: the whole clip, in windows of the model's length, whose answers are averaged. `whole`: the whole clip
    at once, with the positions stretched over it. `beginning`: only as much as the model takes, as released code."""
    overlap: Overlap = 0.5
    """Share of a window that the next one repeats."""
    max_seconds: MaxSeconds = 60.0
    """Of `whole`: longer clips are cut into windows of this length."""

    @property
    def in_words(self) -> str:
        """For `summary.json`, where runs are only compared that were evaluated alike."""
        if self.long_clips == "beginning":
            return "first seconds of each clip, up to the model's length"
        if self.long_clips == "windows":
            return f"whole clips; mean over windows of the model's length, overlapping by {self.overlap:g}"
        return (
            "whole clips; positions stretched beyond the model's length; "
            f"beyond {self.max_seconds:g} s mean over windows of it, overlapping by {self.overlap:g}"
        )


@dataclass(frozen=True)
class Window:
    """A stretch of a clip."""

    clip: int
    """Index of the clip."""
    number: int
    """0 for the clip's first window."""
    first: int
    length: int
    before: int | None
    """Where the window before it begins; None for the first."""


class Windows:
    """The windows of all clips, clip by clip, as arrays: days of audio are millions of them, and travel to workers.

    Args:
        lengths: of the clips; 0 where the length is not known, which gives one window.
        limit: the longest clip that is taken in one piece.
        window, hop: of clips that are longer: the length of every window, and from one to the next. The last window
            ends with the clip.
        first_only: only the first window of every clip.
    """

    def __init__(
        self, lengths: Sequence[int] | np.ndarray, limit: int, window: int, hop: int, *, first_only: bool = False
    ) -> None:
        assert 1 <= hop <= window <= limit, (hop, window, limit)
        length = np.asarray(lengths, dtype=np.int64)
        is_long = length > limit
        more = -(-(length - window) // hop)
        counts = np.where(is_long & (not first_only), 1 + more, 1)
        self.num_clips = len(length)
        self.clip = np.repeat(np.arange(len(length)), counts)
        self.number = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        whole = np.where(length > 0, length, window)
        self.length = np.repeat(np.where(is_long, window, whole), counts)
        self.first = np.minimum(self.number * hop, np.maximum(0, np.repeat(whole, counts) - self.length))

    def __len__(self) -> int:
        return len(self.clip)

    def __getitem__(self, row: int) -> Window:
        number = int(self.number[row])
        return Window(
            clip=int(self.clip[row]),
            number=number,
            first=int(self.first[row]),
            length=int(self.length[row]),
            before=int(self.first[row - 1]) if number else None,
        )


def read_lengths(reader: Reader, tell: Callable[[int, int], None] | None = None) -> np.ndarray:
    """Samples of every clip, as manifest and headers say; 0 where a header cannot be read.

    A file is opened only where the manifest has no `stop`. Headers are read by several threads, since on a network
    disk each one is a wait.

    Args: `tell` is called with (done, in all).
    """
    total = len(reader)
    lengths = np.zeros(total, dtype=np.int64)
    with ThreadPoolExecutor(min(32, 4 * (os.cpu_count() or 1))) as pool:
        for begin in range(0, total, _HEADERS_AT_ONCE):
            some = range(begin, min(total, begin + _HEADERS_AT_ONCE))
            lengths[begin : some.stop] = list(pool.map(lambda index: _length(reader, index), some))
            if tell is not None:
                tell(some.stop, total)
    return lengths


def _length(reader: Reader, index: int) -> int:
    first, last = reader.cut(index)
    try:
        return max(0, reader.length(index) if last is None else last - first)
    except UnusableAudio:
        return 0
