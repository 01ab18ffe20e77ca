"""The reader that fits a manifest: its clips are audio, or log-mels that were stored."""

from typing import Any, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from zoo.audio.decode import Audio, Decoded, UnusableAudio
from zoo.audio.front_end import FrontEnd
from zoo.data.feature_reader import FeatureReader, Frames
from zoo.data.item import Item
from zoo.data.labels import LabelTable
from zoo.data.manifest import Manifest
from zoo.data.reader import ClipReader

ReadClip = Decoded | Frames
"""What is read of a clip."""


@runtime_checkable
class Reader(Protocol):
    """Clips by their index, whole or in stretches. Lengths and places are samples, or frames of stored log-mels."""

    source: str
    min_samples: int
    """Shorter clips are filled up to it with silence, which counts as real."""

    def __len__(self) -> int:
        """How many clips."""

    def id(self, index: int) -> int:
        """The clip's number, of which its draws are made."""

    def path(self, index: int) -> Audio:
        """Where it lies."""

    def target(self, index: int) -> Float[Tensor, "cls"] | None:
        """1 for the clip's classes, else 0; None without labels."""

    def cut(self, index: int) -> tuple[int, int | None]:
        """(first, last) of the clip in its file, the last not included; None is the end of the file."""

    def length(self, index: int) -> int:
        """Of the clip. Raises: UnusableAudio."""

    def read(self, index: int, first: int = 0, num_samples: int | None = None) -> ReadClip:
        """A stretch of the clip, for `item`. Raises: UnusableAudio."""

    def read_crop(self, index: int, num_samples: int, place: float) -> ReadClip:
        """A stretch at `place` (0 up to, but without, 1) among all of this length. Raises: UnusableAudio."""

    def item(self, index: int, read: Any, draw_id: int | None = None) -> Item:
        """What the loader gets of what was `read`."""

    def unusable_item(self, index: int, error: UnusableAudio) -> Item:
        """What the loader gets of a clip that cannot be used."""

    def opens(self, index: int) -> bool:
        """Whether anything of the clip may be readable."""


@runtime_checkable
class Measure(Protocol):
    """What a reader counts in: samples, for which it is the front end itself, or frames."""

    @property
    def sample_rate(self) -> float:
        """How many a second."""

    def num_samples(self, n_frames: int) -> int:
        """How many for exactly `n_frames` frames."""

    def num_frames(self, num_samples: int) -> int:
        """How many frames there are in so many."""


class InFrames:
    """The `Measure` of stored log-mels."""

    def __init__(self, front_end: FrontEnd) -> None:
        self.sample_rate = front_end.sample_rate / front_end.config.hop_length

    def num_samples(self, n_frames: int) -> int:
        """The same number."""
        return n_frames

    def num_frames(self, num_samples: int) -> int:
        """The same number."""
        return num_samples


def open_reader(
    clips: Manifest, labels: LabelTable | None, front_end: FrontEnd, min_frames: int
) -> tuple[Reader, Measure]:
    """The reader of some clips for a model that needs `min_frames` frames, and what it counts in.

    Raises: DataError - labels that do not fit, or log-mels of another front end.
    """
    if clips.front_end is None:
        return ClipReader(clips, labels, front_end.sample_rate, front_end.num_samples(min_frames)), front_end
    return FeatureReader(clips, labels, front_end, min_frames), InFrames(front_end)
