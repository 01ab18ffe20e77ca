"""Clips to evaluate: each once, and one that cannot be used is left out."""

import torch

from zoo.audio.decode import UnusableAudio
from zoo.data.item import Item, Key
from zoo.data.readers import Reader


class EvaluationSet(torch.utils.data.Dataset[Item]):
    """The beginning of every clip, `num_samples` of it at most (None: all of it)."""

    def __init__(self, reader: Reader, num_samples: int | None) -> None:
        self.reader = reader
        self.num_samples = num_samples

    def __len__(self) -> int:
        return len(self.reader)

    def __getitem__(self, key: Key) -> Item:
        try:
            return self.reader.item(key.index, self.reader.read(key.index, 0, self.num_samples))
        except UnusableAudio as error:
            return self.reader.unusable_item(key.index, error)
