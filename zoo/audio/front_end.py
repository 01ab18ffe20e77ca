"""Waveforms to normalised log-mel spectrograms: what every kind of front end promises, and what all kinds share.

A front end belongs to the weights that were trained behind it, so its config travels in every checkpoint. Every kind
is batched, runs on any device, and computes in float32 whatever the autocast.
"""

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager, nullcontext
from typing import Annotated, Any, TypeVar

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field, model_validator
from torch import Tensor, nn

from zoo.audio.log_mel import LogMel
from zoo.config import Config
from zoo.errors import ShapeError
from zoo.precision import exactly

_CPU_SAMPLES = 160_000  # at once, where a gradient is wanted: more leaves the cache between two steps
_DEVICE_SAMPLES = 20_000_000  # at once: every step holds some 200 MB

Count = TypeVar("Count", int, Tensor)

SampleRate = Annotated[int, Field(ge=1_000, le=384_000)]
MelCount = Annotated[int, Field(ge=1, le=4_096)]
HopLength = Annotated[int, Field(ge=1, le=65_536)]
FrameLength = Annotated[int, Field(ge=2, le=65_536)]
LowEdge = Annotated[float, Field(ge=0)]
HighEdge = Annotated[float, Field(gt=0)]
Deviation = Annotated[float, Field(gt=0)]


class MelConfig(Config):
    """What the config of every kind has. A kind adds its `kind`, its defaults, and `build`."""

    kind: str
    sample_rate: SampleRate
    """Hz."""
    n_mels: MelCount = 128
    """Mel bands."""
    hop_length: HopLength
    """Samples from one frame to the next."""
    win_length: FrameLength
    """Samples in a frame."""
    n_fft: FrameLength
    """Samples in a frame after padding it with zeros; even, and no less than win_length."""
    f_min: LowEdge
    """Lower edge of the lowest band, Hz."""
    f_max: HighEdge | None
    """Upper edge of the highest band, Hz; null leaves it to the kind."""
    mean: float
    """Of the log-mel over the data set."""
    std: Deviation
    """Of the log-mel over the data set; the result is (x - mean) / (2 * std)."""

    @property
    @abstractmethod
    def band_limits(self) -> tuple[float, float]:
        """Lower edge of the lowest and upper edge of the highest band, Hz, as in evaluation."""

    @property
    def zero_level(self) -> float | None:
        """What a log-mel of 0 becomes by normalising: what masks and padding of the released code hold.

        None where every clip has its own.
        """
        return -self.mean / (2 * self.std)

    @abstractmethod
    def build(self) -> "FrontEnd":
        """The front end of these numbers."""

    @model_validator(mode="after")
    def _check(self) -> "MelConfig":
        if self.n_fft < self.win_length or self.n_fft % 2:
            raise ValueError(f"n_fft ({self.n_fft}) must be even and no less than win_length ({self.win_length})")
        low, high = self.band_limits
        nyquist = self.sample_rate / 2
        if not low < high <= nyquist:
            raise ValueError(f"f_min ({low}) < f_max ({high}) <= {nyquist} Hz, half the rate, must hold")
        return self


class FrontEnd(nn.Module, ABC):
    """What every kind offers. Calling it gives the normalised log-mel; padding is as the released code has it.

    A clip in a batch gives what it gives alone: what lies at and beyond its `num_samples` has no influence, and its
    first `num_frames(num_samples)` frames do not depend on the width of the batch; on a CPU that holds to the last bit,
    where no gradient is wanted. The frames after them hold one constant.
    """

    config: MelConfig

    def __init__(self, config: MelConfig) -> None:
        super().__init__()
        self.config = config
        self.sample_rate = config.sample_rate
        self.n_mels = config.n_mels

    def __call__(self, *args: Any, **kwargs: Any) -> LogMel:
        """`forward`, with the result marked as this front end's: a model trained behind another refuses it."""
        return LogMel.of(super().__call__(*args, **kwargs), self.config)

    @property
    @abstractmethod
    def min_samples(self) -> int:
        """Samples of the shortest clip that has a frame."""

    @property
    @abstractmethod
    def first_centre(self) -> float:
        """The sample in the middle of frame 0; that of frame t lies t hops later."""

    def num_frames(self, num_samples: Count) -> Count:
        """How many real frames a clip of this many samples has (a number, or one for every clip of a batch)."""
        n_frames = (num_samples - self.min_samples) // self.config.hop_length + 1
        return n_frames.clamp(min=0) if isinstance(n_frames, Tensor) else max(0, n_frames)

    def is_real(self, num_samples: Int[Tensor, "batch"], width: int) -> Bool[Tensor, "batch 1 frame"]:
        """Which of `width` frames lie within each clip of `num_samples` samples."""
        frame = torch.arange(width, device=num_samples.device)
        return (frame < self.num_frames(num_samples)[:, None])[:, None]

    @abstractmethod
    def num_samples(self, n_frames: Count) -> Count:
        """How many samples to cut for exactly `n_frames` real frames: `num_frames` undoes it. 0 for none."""

    @property
    @abstractmethod
    def silence(self) -> float:
        """What digital silence is in the log-mel, before it is normalised."""

    @abstractmethod
    def normalise(
        self, log_mel: Float[Tensor, "batch mel frame"], num_frames: Int[Tensor, "batch"]
    ) -> Float[Tensor, "batch mel frame"]:
        """What `forward` does last, for log-mels that were computed before (`zoo.audio.unnormalised`).

        Frames from each clip's `num_frames` on become the constant that `forward` has there.
        """

    @abstractmethod
    def forward(
        self,
        waveform: Float[Tensor, "..."],
        num_samples: Int[Tensor, "batch"] | None = None,
        n_frames: int | None = None,
        keys: Int[Tensor, "batch"] | None = None,
    ) -> Float[Tensor, "batch mel frame"]:
        """Log-mel of every clip.

        Args:
            waveform: (B, S), in [-1, 1].
            num_samples: real samples of every clip; None: all.
            n_frames: the width to pad or cut to, at the end, as the released code does it; None: as many frames as
                the waveform has.
            keys: one per clip, from `zoo.draws.clip_keys`: given in training, for the kinds that draw something;
                None draws nothing.

        Raises: ShapeError - anything but mono waveforms (B, S).
        """


def check_waveform(waveform: Float[Tensor, "..."]) -> None:
    """Raises ShapeError for anything but mono waveforms (B, S)."""
    if waveform.ndim != 2:
        raise ShapeError(
            f"waveform: found {waveform.ndim} axes {tuple(waveform.shape)} - expected 2 (batch, samples), mono - "
            "add the batch axis with waveform[None], or take the mean of the channels"
        )


def real_samples(
    waveform: Float[Tensor, "batch sample"], num_samples: Int[Tensor, "batch"] | None
) -> Int[Tensor, "batch"]:
    """How many samples of every row are real: as stated, but no more than there are."""
    if num_samples is None:
        return torch.full((waveform.shape[0],), waveform.shape[1], device=waveform.device)
    return num_samples.clamp(max=waveform.shape[1])


def without_autocast(device: torch.device) -> AbstractContextManager[object]:
    """Rounded products would cost a log-mel its quiet bands; some devices, as meta, know no autocast."""
    return exactly(device) if torch.amp.is_autocast_available(device.type) else nullcontext()


def clips_at_once(waveform: Float[Tensor, "batch sample"]) -> int:
    """How many rows to do at a time: what stays in a processor's cache, or does not fill a device's memory.

    On a CPU where no gradient is wanted, `zoo/audio/pieces.py` cuts more finely.
    """
    at_once = _CPU_SAMPLES if waveform.device.type == "cpu" else _DEVICE_SAMPLES
    return max(1, at_once // max(1, waveform.shape[1]))
