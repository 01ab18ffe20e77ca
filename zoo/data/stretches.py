"""Stretches of clips that are looked at one by one, each with its time."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol, runtime_checkable

import numpy as np
import torch

from zoo.audio.decode import UnusableAudio
from zoo.data.item import Item, Key
from zoo.data.open_reader import Reader
from zoo.data.windows import Window
from zoo.draws import combine


@runtime_checkable
class Rows(Protocol):
    """The windows of clips, clip by clip: `zoo.data.windows.Windows`, or `SideBySide`."""

    num_clips: int
    clip: np.ndarray
    first: np.ndarray
    length: np.ndarray

    def __len__(self) -> int:
        """How many windows."""

    def __getitem__(self, row: int) -> Window:
        """One of them."""


class SideBySide:
    """Windows that begin `hop` apart and do not reach back: the last is as long as the clip still is.

    Args:
        lengths: of the clips; 0 where the length is not known, which gives one window.
        window, hop: the length of every window but the last, and from one to the next.
        least: a clip's rest that is shorter has no window of its own.
    """

    def __init__(self, lengths: Sequence[int] | np.ndarray, window: int, hop: int, least: int) -> None:
        assert window >= 1 and hop >= 1 and least >= 1, (window, hop, least)  # noqa: PT018 - one thought
        length = np.asarray(lengths, dtype=np.int64)
        length = np.where(length > 0, length, window)
        counts = 1 + np.maximum(0, (length - least) // hop)
        self.num_clips = len(length)
        self.clip = np.repeat(np.arange(len(length)), counts)
        self.number = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        self.first = self.number * hop
        self.length = np.minimum(window, np.repeat(length, counts) - self.first)

    def __len__(self) -> int:
        return len(self.clip)

    def __getitem__(self, row: int) -> Window:
        number = int(self.number[row])
        before = int(self.first[row - 1]) if number else None
        return Window(int(self.clip[row]), number, int(self.first[row]), int(self.length[row]), before)


class StretchSet(torch.utils.data.Dataset[Item]):
    """The windows of a reader's clips, each where it is. An item's `clip` is the row of its window.

    Where a file ends before its header says, its last window is shorter, and those behind it are left out: unlike in an
    evaluation (`EvaluationSet`), where the last one ends with the file, every answer keeps its time.
    """

    def __init__(self, reader: Reader, rows: Rows) -> None:
        assert rows.num_clips == len(reader), (rows.num_clips, len(reader))
        self.reader = reader
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: Key) -> Item:
        window, reader = self.rows[key.index], self.reader
        try:
            found = reader.read(window.clip, window.first, window.length)
            own = reader.id(window.clip)
            item = reader.item(window.clip, found, combine(own, window.number) if window.number else own)
        except UnusableAudio as error:
            item = reader.unusable_item(window.clip, error)
        return replace(item, clip=key.index)
