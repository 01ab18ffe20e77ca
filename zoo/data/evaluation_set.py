"""Clips to evaluate, window by window; one that cannot be used is left out."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch

from zoo.audio.decode import UnusableAudio
from zoo.data.item import Item, Key
from zoo.data.open_reader import ReadClip, Reader
from zoo.data.windows import Window, Windows
from zoo.draws import combine


class EvaluationSet(torch.utils.data.Dataset[Item]):
    """The windows of a reader's clips; an index is that of a window.

    A file may end before its header says. Then the windows are those that it would have if the header were right: the
    last one ends with the file, and those behind it are left out. Windows of one clip are drawn for apart.
    """

    def __init__(self, reader: Reader, windows: Windows) -> None:
        assert windows.num_clips == len(reader), (windows.num_clips, len(reader))
        self.reader = reader
        self.windows = windows

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, key: Key) -> Item:
        window = self.windows[key.index]
        try:
            item = self._item(window)
        except UnusableAudio as error:
            item = self.reader.unusable_item(window.clip, error)
        return replace(item, clip=window.clip)

    def first_window(self, clip: int) -> Item:
        """The first window of a clip, by its place in the manifest."""
        return self[Key(0, int(np.searchsorted(self.windows.clip, clip)))]

    def examples(self, count: int) -> Iterator[Item]:
        """The first window of each of the first `count` clips that can be used."""
        for row in (self.windows.number == 0).nonzero()[0].tolist():
            if count <= 0:
                return
            item = self[Key(0, row)]
            if item.content is not None:
                count -= 1
                yield item

    def _item(self, window: Window) -> Item:
        reader = self.reader
        found = reader.read(window.clip, window.first, window.length)
        missing = window.length - found.length
        if window.before is not None and missing > 0:
            if window.first - missing <= window.before:
                # The window before this one ends with the file already.
                return replace(reader.item(window.clip, found), waveform=None, log_mel=None, num_samples=0)
            found = self._shifted(window, missing, found)
        own = reader.id(window.clip)
        return reader.item(window.clip, found, combine(own, window.number) if window.number else own)

    def _shifted(self, window: Window, missing: int, found: ReadClip) -> ReadClip:
        """The window that ends where the file does."""
        again = self.reader.read(window.clip, window.first - missing, window.length)
        return replace(again, oddities=tuple(dict.fromkeys((*found.oddities, *again.oddities))))
