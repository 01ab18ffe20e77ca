"""From a clip to its waveform and target, in a worker process."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from zoo.audio.decode import Decoded, UnusableAudio, decode, duration
from zoo.data.batch import BadAudio, Batch
from zoo.data.labels import LabelTable, multi_hot
from zoo.data.manifest import Manifest
from zoo.data.packed import PackedClips
from zoo.data.problems import printable
from zoo.draws import clip_keys, combine, stable_id, uniform
from zoo.errors import DataError

Key = tuple[int, int]
"""(epoch, index of the clip)"""

_ATTEMPTS = 20
_REPLACEMENT = stable_id("replacement")


@dataclass(frozen=True)
class Item:
    """One clip. `waveform` has its real length; None is a clip that cannot be used and is to be left out."""

    waveform: Float[Tensor, "sample"] | None
    num_samples: int
    target: Float[Tensor, "cls"] | None
    id: int
    name: str
    bad: tuple[BadAudio, ...] = ()


class ClipDataset(torch.utils.data.Dataset[Item]):
    """The clips of a manifest by the key (epoch, index); what comes out depends on seed, epoch and clip alone.

    Args:
        labels: None gives no targets.
        num_samples: longer clips are cropped to it; None takes whole clips.
        min_samples: shorter clips get zeros up to it, which count as real, so that every clip has a patch.
        crop: where a longer clip is cropped; "random" anew in every epoch.
        training: a clip that cannot be used is replaced by another one; else it is left out of its batch.

    Raises: `DataError` at once for labels that do not fit; in training also when 20 clips in a row cannot be used.
    """

    def __init__(
        self,
        manifest: Manifest,
        labels: LabelTable | None,
        sample_rate: int,
        num_samples: int | None,
        min_samples: int = 1,
        crop: Literal["random", "start"] = "random",
        seed: int = 0,
        training: bool = True,
    ) -> None:
        assert min_samples >= 1, min_samples
        assert num_samples is None or min_samples <= num_samples, (min_samples, num_samples)
        self.source = manifest.source
        self.num_classes = None if labels is None else len(labels)
        self.sample_rate = sample_rate
        self.num_samples = num_samples
        self.min_samples = min_samples
        self.crop = crop
        self.seed = seed
        self.training = training
        self._clips = PackedClips(manifest, None if labels is None else labels.all_places(manifest))
        self._known_bad: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self._clips)

    def __getitem__(self, key: Key) -> Item:
        epoch, index = key
        if not self.training:
            return self._item(epoch, index)
        bad: list[BadAudio] = []
        chosen = index
        for attempt in range(1, _ATTEMPTS + 1):
            item = self._item(epoch, chosen)
            bad += item.bad
            if item.waveform is not None:
                return Item(item.waveform, item.num_samples, item.target, item.id, item.name, tuple(bad))
            chosen = combine(self.seed, epoch, self._clips.id(index), _REPLACEMENT, attempt) % len(self)
        reasons = "; ".join(dict.fromkeys(f"{printable(one.path)}: {one.reason}" for one in bad[:3]))
        raise DataError(
            f"{self.source}: {_ATTEMPTS} clips drawn in a row cannot be used ({reasons}; …) - expected audio - "
            "check that the paths lead to audio files"
        )

    def _item(self, epoch: int, index: int) -> Item:
        clips = self._clips
        name, path = clips.name(index), clips.path(index)
        target = None if self.num_classes is None else multi_hot(clips.places(index), self.num_classes)
        try:
            decoded = self._decode(epoch, index)
        except UnusableAudio as error:
            return Item(None, 0, target, clips.id(index), name, (BadAudio(name, str(path), error.reason, used=False),))
        waveform = decoded.waveform
        if waveform.shape[0] < self.min_samples:
            waveform = F.pad(waveform, (0, self.min_samples - waveform.shape[0]))
        odd = (BadAudio(name, str(path), "; ".join(decoded.oddities), used=True),) if decoded.oddities else ()
        return Item(waveform, waveform.shape[0], target, clips.id(index), name, odd)

    def _decode(self, epoch: int, index: int) -> Decoded:
        """The clip, cropped. A clip that failed for good is not opened again.

        Under random crops only a file that cannot be opened has failed for good: if a worker were to remember that
        one crop held NaN, other crops of the clip would depend on which worker has seen it.
        """
        path = self._clips.path(index)
        if index in self._known_bad:
            raise UnusableAudio(path, self._known_bad[index])
        try:
            return self._decode_window(epoch, index)
        except UnusableAudio as error:
            if self.num_samples is None or self.crop == "start" or not _opens(path):
                self._known_bad[index] = error.reason
            raise

    def _decode_window(self, epoch: int, index: int) -> Decoded:
        """Only what the crop needs is read, so that an hour costs no more than a minute."""
        clips, rate, wanted = self._clips, self.sample_rate, self.num_samples
        path, start, stop = clips.path(index), clips.start(index), clips.stop(index)
        if wanted is None:
            return decode(path, rate, start, stop)
        first = round((start or 0.0) * rate)
        last = None if stop is None else round(stop * rate)
        if self.crop == "random" and (last is None or last - first > wanted):
            end = round(duration(path) * rate)
            spare = (end if last is None else min(last, end)) - first - wanted
            if spare > 0:
                key = clip_keys(self.seed, epoch, torch.tensor([clips.id(index)]))
                offset = first + int(float(uniform(key, "crop", 1)) * (spare + 1))
                try:
                    return decode(path, rate, offset / rate, (offset + wanted) / rate)
                except UnusableAudio:
                    # A file that is cut short promises more than it holds: its beginning may still be good.
                    pass
        last = first + wanted if last is None else min(last, first + wanted)
        return decode(path, rate, first / rate, last / rate)


def _opens(path: Path) -> bool:
    """Whether anything of the file may be decodable."""
    try:
        duration(path)
    except UnusableAudio:
        return False
    return True


class Collate:
    """Items to a batch, with zeros behind the clips up to `pad_to` samples, or up to the longest clip (None)."""

    def __init__(self, pad_to: int | None) -> None:
        self.pad_to = pad_to

    def __call__(self, items: Sequence[Item]) -> Batch:
        bad = tuple(one for item in items for one in item.bad)
        used = [(item, item.waveform) for item in items if item.waveform is not None]
        longest = max((item.num_samples for item, _ in used), default=0)
        width = longest if self.pad_to is None else self.pad_to
        assert longest <= width, (longest, width)
        waveform = torch.zeros(len(used), width)
        for row, (item, samples) in enumerate(used):
            waveform[row, : item.num_samples] = samples
        target = None
        if items and (first := items[0].target) is not None:
            rows = [item.target for item, _ in used if item.target is not None]
            target = torch.stack(rows) if rows else first.new_zeros(0, first.shape[0])
        return Batch(
            waveform=waveform,
            num_samples=torch.tensor([item.num_samples for item, _ in used], dtype=torch.int64),
            target=target,
            ids=torch.tensor([item.id for item, _ in used], dtype=torch.int64),
            names=tuple(item.name for item, _ in used),
            bad=bad,
        )
