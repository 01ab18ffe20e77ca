"""Clips to train on: cropped to the model's length, and another one in the place of one that cannot be used."""

from dataclasses import replace
from typing import Literal

import numpy as np
import torch

from zoo.audio.decode import UnusableAudio
from zoo.data.batch import BadAudio
from zoo.data.item import Item, Key
from zoo.data.open_reader import ReadClip, Reader
from zoo.data.problems import printable
from zoo.draws import clip_keys, combine, stable_id, uniform
from zoo.errors import DataError

_ATTEMPTS = 20
_REPLACEMENT = stable_id("replacement")


class TrainingSet(torch.utils.data.Dataset[Item]):
    """The clips of a reader by `Key`; what comes out depends on seed and key alone, never on the process.

    Args:
        num_samples: longer clips are cropped to it; None takes whole clips. Of stored log-mels, frames.
        crop: where a longer clip is cropped; "random" anew in every epoch.
        drawable: indices of the clips that may stand in for others; None: all of them.

    Raises: `DataError` when 20 clips in a row cannot be used.
    """

    def __init__(
        self,
        reader: Reader,
        num_samples: int | None,
        crop: Literal["random", "start"] = "random",
        seed: int = 0,
        drawable: np.ndarray | None = None,
    ) -> None:
        assert num_samples is None or reader.min_samples <= num_samples, (reader.min_samples, num_samples)
        self.reader = reader
        self.num_samples = num_samples
        self.crop = crop
        self.seed = seed
        self._drawable = drawable
        self._known_bad: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self.reader)

    def __getitem__(self, key: Key) -> Item:
        bad: list[BadAudio] = []
        index = key.index
        for attempt in range(1, _ATTEMPTS + 1):
            item = self._item(replace(key, index=index))
            bad += item.bad
            if item.content is not None:
                return replace(item, bad=tuple(bad))
            index = self.any_index(combine(self.seed, key.epoch, self.draw_id(key), _REPLACEMENT, attempt))
        reasons = "; ".join(dict.fromkeys(f"{printable(one.path)}: {one.reason}" for one in bad[:3]))
        raise DataError(
            f"{self.reader.source}: {_ATTEMPTS} clips drawn in a row cannot be used ({reasons}; …) - expected audio - "
            "check that the paths lead to audio files"
        )

    def any_index(self, number: int) -> int:
        """The clip that a large number means, all alike, among those that may be drawn for another."""
        return number % len(self) if self._drawable is None else int(self._drawable[number % len(self._drawable)])

    def draw_id(self, key: Key) -> int:
        """What the draws of a clip are made of: the clip's own number the first time in an epoch, then others."""
        own = self.reader.id(key.index)
        return combine(own, key.repeat) if key.repeat else own

    def _item(self, key: Key) -> Item:
        try:
            return self.reader.item(key.index, self._decode(key), self.draw_id(key))
        except UnusableAudio as error:
            return self.reader.unusable_item(key.index, error)

    def _decode(self, key: Key) -> ReadClip:
        """The clip, cropped. A clip that failed for good is not opened again.

        Under random crops only a file that cannot be opened has failed for good: if a worker were to remember that
        one crop held NaN, other crops of the clip would depend on which worker has seen it.
        """
        if key.index in self._known_bad:
            raise UnusableAudio(self.reader.path(key.index), self._known_bad[key.index])
        try:
            return self._decode_crop(key)
        except UnusableAudio as error:
            if self.num_samples is None or self.crop == "start" or not self.reader.opens(key.index):
                self._known_bad[key.index] = error.reason
            raise

    def _decode_crop(self, key: Key) -> ReadClip:
        reader, wanted = self.reader, self.num_samples
        first, last = reader.cut(key.index)
        if wanted is None or self.crop == "start" or (last is not None and last - first <= wanted):
            return reader.read(key.index, 0, wanted)
        keys = clip_keys(self.seed, key.epoch, torch.tensor([self.draw_id(key)]))
        try:
            return reader.read_crop(key.index, wanted, float(uniform(keys, "crop", 1)))
        except UnusableAudio:
            # A file that is cut short promises more than it holds: its beginning may still be good.
            return reader.read(key.index, 0, wanted)
