"""The clips of a manifest, whole or in stretches, as waveforms of one sampling rate."""

from pathlib import Path

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from zoo.audio.byte_range import ByteRange
from zoo.audio.decode import Decoded, UnusableAudio, count_samples, decode, duration, open_audio
from zoo.data.batch import BadAudio
from zoo.data.item import Item
from zoo.data.labels import LabelTable, multi_hot
from zoo.data.manifest import Manifest
from zoo.data.packed import PackedClips
from zoo.errors import DataError


class ClipReader:
    """Reads clips by their index; only what is asked for is read, so that an hour costs no more than a minute.

    It is small, and travels to worker processes.

    Args:
        labels: None gives no targets.
        sample_rate: Hz, of everything that is read and counted.
        min_samples: shorter clips get zeros up to it, which count as real, so that every clip has a patch.

    Raises: `DataError` at once for labels that do not fit.
    """

    def __init__(self, manifest: Manifest, labels: LabelTable | None, sample_rate: int, min_samples: int = 1) -> None:
        assert min_samples >= 1, min_samples
        if manifest.front_end is not None:
            raise DataError(f"{manifest.source}: stored log-mels - expected audio - pack it without --features")
        self.source = manifest.source
        self.num_classes = None if labels is None else len(labels)
        self.sample_rate = sample_rate
        self.min_samples = min_samples
        self._clips = PackedClips(manifest, None if labels is None else labels.all_places(manifest))

    def __len__(self) -> int:
        return len(self._clips)

    def id(self, index: int) -> int:
        """The clip's number, of which its draws are made."""
        return self._clips.id(index)

    def path(self, index: int) -> Path | ByteRange:
        """Where its audio lies."""
        return self._clips.path(index)

    def target(self, index: int) -> Float[Tensor, "cls"] | None:
        """1 for the clip's classes, else 0; None without labels."""
        return None if self.num_classes is None else multi_hot(self._clips.places(index), self.num_classes)

    def cut(self, index: int) -> tuple[int, int | None]:
        """(first, last) sample of the clip in its file, the last not included; None is the end of the file."""
        start, stop = self._clips.start(index), self._clips.stop(index)
        return round((start or 0.0) * self.sample_rate), None if stop is None else round(stop * self.sample_rate)

    def length(self, index: int) -> int:
        """Samples of the clip, as the header of its file and its cut say: exactly what `read` gives, if they are right.

        Raises: UnusableAudio - as `zoo.audio.decode.duration`.
        """
        first, last = self.cut(index)
        end = count_samples(self.path(index), self.sample_rate)
        return (end if last is None else min(last, end)) - first

    def read(self, index: int, first: int = 0, num_samples: int | None = None) -> Decoded:
        """The stretch of `num_samples` from sample `first` of the clip on, or less where it ends; None: all the rest.

        Raises: UnusableAudio - as `zoo.audio.decode.decode`.
        """
        begin, last = self.cut(index)
        begin += first
        if num_samples is not None:
            last = begin + num_samples if last is None else min(last, begin + num_samples)
        rate = self.sample_rate
        return decode(self.path(index), rate, begin / rate, None if last is None else last / rate)

    def read_crop(self, index: int, num_samples: int, place: float) -> Decoded:
        """A stretch of `num_samples` at `place` (0 up to, but without, 1) among all that the clip has, or all of a
        shorter clip. Its file is opened once, which is most of the cost for some formats.

        Raises: UnusableAudio - as `read`.
        """
        begin, last = self.cut(index)
        rate = self.sample_rate
        with open_audio(self.path(index)) as audio:
            end = audio.count_samples(rate)
            last = end if last is None else min(last, end)
            spare = last - begin - num_samples
            first = begin + int(place * (spare + 1)) if spare > 0 else begin
            return audio.decode(rate, first / rate, min(last, first + num_samples) / rate)

    def item(self, index: int, decoded: Decoded, draw_id: int | None = None) -> Item:
        """What the loader gets of a clip, or of a stretch of it.

        Args: `draw_id` is what the draws are made of where it is not the clip's own.
        """
        waveform = decoded.waveform
        if waveform.shape[0] < self.min_samples:
            waveform = F.pad(waveform, (0, self.min_samples - waveform.shape[0]))
        bad = (self._bad(index, "; ".join(decoded.oddities), used=True),) if decoded.oddities else ()
        return Item(
            waveform,
            waveform.shape[0],
            self.target(index),
            self.id(index) if draw_id is None else draw_id,
            self._clips.name(index),
            bad,
        )

    def unusable_item(self, index: int, error: UnusableAudio) -> Item:
        """What the loader gets of a clip that cannot be used."""
        bad = (self._bad(index, error.reason, used=False),)
        return Item(None, 0, self.target(index), self.id(index), self._clips.name(index), bad)

    def opens(self, index: int) -> bool:
        """Whether anything of the clip's file may be decodable."""
        try:
            duration(self.path(index))
        except UnusableAudio:
            return False
        return True

    def _bad(self, index: int, reason: str, used: bool) -> BadAudio:
        return BadAudio(self._clips.name(index), str(self.path(index)), reason, used)
