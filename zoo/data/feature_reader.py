"""The log-mels of a pack that was made with `--features`: what `ClipReader` is for audio, in frames.

A member is a `.npy` of (frames, bands), so that a crop is a stretch of bytes and nothing else is read.
"""

import io
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from zoo.audio.byte_range import ByteRange
from zoo.audio.decode import Audio, UnusableAudio
from zoo.audio.front_end import FrontEnd
from zoo.audio.unnormalised import log_mel_differences
from zoo.data.batch import BadAudio
from zoo.data.item import Item
from zoo.data.labels import LabelTable, multi_hot
from zoo.data.manifest import Manifest
from zoo.data.packed import PackedClips
from zoo.errors import DataError

_HEAD = 128  # bytes before the numbers in every .npy that is written here


@dataclass(frozen=True)
class Frames:
    """Some frames of a clip, before normalisation."""

    log_mel: Float[Tensor, "mel frame"]
    oddities: tuple[str, ...] = ()
    """None: what is odd about a file was told when it was packed."""

    @property
    def length(self) -> int:
        """How many."""
        return self.log_mel.shape[1]


class FeatureReader:
    """Reads stored log-mels by the index of the clip. The methods are those of `ClipReader`, and count frames.

    Args:
        front_end: of the run. Only its normalisation may differ from that of the front end that made the log-mels.
        min_samples: frames up to which shorter clips are filled with silence, which counts as real.

    Raises: `DataError` for another front end, naming what differs, and for labels that do not fit.
    """

    def __init__(
        self, manifest: Manifest, labels: LabelTable | None, front_end: FrontEnd, min_samples: int = 1
    ) -> None:
        assert manifest.front_end is not None, manifest.source
        differing: Any = log_mel_differences(manifest.front_end, front_end.config)  # type: ignore[arg-type]
        if differing:
            told = "; ".join(f"{field}: {there!r} there, {here!r} here" for field, (there, here) in differing.items())
            raise DataError(
                f"{manifest.source}: log-mels of another front end ({told}) - expected that of the recipe; its mean, "
                "std, normalise and pad are free - set front_end so, or pack again with --front-end"
            )
        self.source = manifest.source
        self.num_classes = None if labels is None else len(labels)
        self.min_samples = min_samples
        self._n_mels = front_end.n_mels
        self._silence = front_end.silence
        self._clips = PackedClips(manifest, None if labels is None else labels.all_places(manifest))

    def __len__(self) -> int:
        return len(self._clips)

    def id(self, index: int) -> int:
        """The clip's number, of which its draws are made."""
        return self._clips.id(index)

    def path(self, index: int) -> Audio:
        """Where its log-mel lies."""
        return self._clips.path(index)

    def target(self, index: int) -> Float[Tensor, "cls"] | None:
        """1 for the clip's classes, else 0; None without labels."""
        return None if self.num_classes is None else multi_hot(self._clips.places(index), self.num_classes)

    def cut(self, index: int) -> tuple[int, int | None]:
        """The whole member: cuts are made before log-mels are."""
        return 0, None

    def length(self, index: int) -> int:
        """Frames of the clip. Raises: UnusableAudio - no member, or none that holds a log-mel."""
        return self._shape(index)[0]

    def read(self, index: int, first: int = 0, num_samples: int | None = None) -> Frames:
        """`num_samples` frames of the clip from frame `first` on, or less where it ends; None: all the rest.

        Raises: UnusableAudio - no member, none that holds a log-mel, or one with NaN or Inf.
        """
        length, dtype = self._shape(index)
        last = length if num_samples is None else min(length, first + num_samples)
        row = self._n_mels * dtype.itemsize
        content = self._bytes(index, _HEAD + first * row, max(0, last - first) * row)
        frames = torch.from_numpy(np.frombuffer(bytearray(content), dtype).reshape(-1, self._n_mels))
        if not torch.isfinite(frames).all():
            raise UnusableAudio(self.path(index), "NaN or Inf in the log-mel")
        return Frames(frames.T)

    def read_crop(self, index: int, num_samples: int, place: float) -> Frames:
        """`num_samples` frames at `place` (0 up to, but without, 1) among all that the clip has. Raises: as `read`."""
        spare = self.length(index) - num_samples
        return self.read(index, int(place * (spare + 1)) if spare > 0 else 0, num_samples)

    def item(self, index: int, read: Frames, draw_id: int | None = None) -> Item:
        """What the loader gets of a clip, or of a stretch of it.

        Args: `draw_id` is what the draws are made of where it is not the clip's own.
        """
        log_mel = read.log_mel
        if log_mel.shape[1] < self.min_samples:
            log_mel = F.pad(log_mel, (0, self.min_samples - log_mel.shape[1]), value=self._silence)
        number = self.id(index) if draw_id is None else draw_id
        return Item(None, log_mel.shape[1], self.target(index), number, self._clips.name(index), (), log_mel)

    def unusable_item(self, index: int, error: UnusableAudio) -> Item:
        """What the loader gets of a clip that cannot be used."""
        bad = (BadAudio(self._clips.name(index), str(self.path(index)), error.reason, False),)
        return Item(None, 0, self.target(index), self.id(index), self._clips.name(index), bad)

    def opens(self, index: int) -> bool:
        """Whether there is a log-mel where the clip's should be."""
        try:
            self._shape(index)
        except UnusableAudio:
            return False
        return True

    def _shape(self, index: int) -> tuple[int, np.dtype[Any]]:
        """Frames, and the type of the numbers."""
        place = self.path(index)
        try:
            length, n_mels, dtype = _parse_head(self._bytes(index, 0, _HEAD))
        except ValueError as error:
            raise UnusableAudio(place, f"no log-mel ({error})") from error
        assert isinstance(place, ByteRange)
        if n_mels != self._n_mels or place.size != _HEAD + length * n_mels * dtype.itemsize:
            raise UnusableAudio(place, f"no log-mel of {self._n_mels} bands in {place.size} bytes")
        return length, dtype

    def _bytes(self, index: int, begin: int, size: int) -> bytes:
        place = self.path(index)
        if not isinstance(place, ByteRange):
            raise UnusableAudio(place, "not a member of a shard")
        try:
            return place.read(begin, size)
        except FileNotFoundError as error:
            raise UnusableAudio(place, "missing") from error
        except OSError as error:
            raise UnusableAudio(place, f"cannot be opened ({error.strerror})") from error


@lru_cache(maxsize=1024)
def _parse_head(head: bytes) -> tuple[int, int, np.dtype[Any]]:
    """(frames, bands, type) of a .npy as it is written here. Raises ValueError: it is another."""
    stream = io.BytesIO(head)
    if np.lib.format.read_magic(stream) != (1, 0):
        raise ValueError("not a .npy of version 1.0")
    shape, is_fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    if stream.tell() != _HEAD or is_fortran or len(shape) != 2 or dtype.newbyteorder("=") not in _DTYPES:
        raise ValueError(f"a .npy of {dtype}, {shape}")
    return shape[0], shape[1], dtype


_DTYPES = (np.dtype(np.float16), np.dtype(np.float32))
