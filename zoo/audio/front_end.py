"""Waveforms to normalised log-mel spectrograms: batched, on any device, in float32 whatever the autocast.

A front end belongs to the weights that were trained behind it, so its config travels in every checkpoint. Its frames
count as real where they lie wholly inside the clip; what comes after depends on nothing behind the clip's end.
"""

import math
from contextlib import nullcontext
from typing import Literal, TypeVar

import torch
from jaxtyping import Float, Int
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from zoo.config import Config
from zoo.errors import ShapeError

_PREEMPHASIS = 0.97
_LOG_FLOOR = torch.finfo(torch.float32).eps
_STD_FLOOR = 1e-2  # of one clip, for digital silence; music and speech are above 1

_CPU_SAMPLES = 160_000  # at once: more leaves the cache between two steps and is four times slower
_DEVICE_SAMPLES = 20_000_000  # at once: every step holds some 200 MB

Count = TypeVar("Count", int, Tensor)


class AstFrontEndConfig(Config):
    """The Kaldi filter bank of AST and SSAST: 25 ms windows every 10 ms, 128 bands, AudioSet's mean and deviation."""

    kind: Literal["ast"] = "ast"
    sample_rate: int = Field(default=16_000, ge=1_000, le=384_000)
    """Hz."""
    n_mels: int = Field(default=128, ge=1, le=4_096)
    """Mel bands."""
    hop_length: int = Field(default=160, ge=1, le=65_536)
    """Samples from one frame to the next."""
    win_length: int = Field(default=400, ge=2, le=65_536)
    """Samples in a frame."""
    n_fft: int = Field(default=512, ge=2, le=65_536)
    """Samples in a frame after padding it with zeros; even, and no less than win_length."""
    f_min: float = Field(default=20.0, ge=0)
    """Lower edge of the lowest band, Hz."""
    f_max: float | None = Field(default=None, gt=0)
    """Upper edge of the highest band, Hz; null is half the sampling rate."""
    window: Literal["hann", "hamming", "povey"] = "hann"
    """The released code and checkpoints use Hann, where the AST paper says Hamming."""
    subtract_mean: bool = True
    """Whether every clip's own mean is taken off its waveform."""
    normalise: Literal["dataset", "clip"] = "dataset"
    """By the mean and std below, or by those of each clip's own log-mel."""
    mean: float = -4.2677393
    """Of the log-mel over the data set (AudioSet); unused when normalise is clip."""
    std: float = Field(default=4.5689974, gt=0)
    """Of the log-mel over the data set; the result is (x - mean) / (2 * std)."""

    @model_validator(mode="after")
    def _check(self) -> "AstFrontEndConfig":
        if self.n_fft < self.win_length or self.n_fft % 2:
            raise ValueError(f"n_fft ({self.n_fft}) must be even and no less than win_length ({self.win_length})")
        nyquist = self.sample_rate / 2
        if not self.f_min < (self.f_max or nyquist) <= nyquist:
            raise ValueError(f"f_min ({self.f_min}) < f_max ({self.f_max}) <= {nyquist} Hz, half the rate, must hold")
        return self

    def build(self) -> "FrontEnd":
        return AstFrontEnd(self)


FrontEndConfig = AstFrontEndConfig
"""Any front end's config; a union on `kind` as soon as there are two."""


class FrontEnd(nn.Module):
    """What every front end offers. Calling it gives the normalised log-mel; padding is as the released code has it."""

    def __init__(self, config: FrontEndConfig) -> None:
        super().__init__()
        self.config = config
        self.sample_rate = config.sample_rate
        self.n_mels = config.n_mels

    def num_frames(self, num_samples: Count) -> Count:
        """How many real frames a clip of this many samples has (a number, or one for every clip of a batch)."""
        raise NotImplementedError

    def num_samples(self, n_frames: Count) -> Count:
        """The fewest samples that give `n_frames` real frames."""
        raise NotImplementedError

    def forward(
        self,
        waveform: Float[Tensor, "batch sample"],
        num_samples: Int[Tensor, "batch"] | None = None,
        n_frames: int | None = None,
    ) -> Float[Tensor, "batch mel frame"]:
        """Log-mel of every clip.

        Args:
            waveform: in [-1, 1]; what lies at and beyond a clip's num_samples has no influence.
            num_samples: real samples of every clip; None: all.
            n_frames: the width to pad or cut to, at the end; None: as many frames as the waveform has.
        """
        raise NotImplementedError


class AstFrontEnd(FrontEnd):
    """Log-mel as AST and SSAST were trained on.

    Equal, bit for bit on a CPU, to torchaudio.compliance.kaldi.fbank(htk_compat=True, use_energy=False, dither=0,
    window_type="hanning", num_mel_bins=128, frame_shift=10) of the waveform less its mean, which is what the released
    code calls (YuanGongND/ast src/dataloader.py; tests/golden/test_front_end_golden.py). As there, padded frames are
    0 before normalising, so they end as -mean / (2 std), louder than silence. With normalise="clip", which the released
    code does not have, they are 0 after it.
    """

    window: Tensor
    mel_bank: Tensor

    def __init__(self, config: AstFrontEndConfig) -> None:
        super().__init__(config)
        self.register_buffer("window", make_window(config.window, config.win_length), persistent=False)
        self.register_buffer("mel_bank", make_mel_bank(config), persistent=False)

    def num_frames(self, num_samples: Count) -> Count:
        n_frames = (num_samples - self.config.win_length) // self.config.hop_length + 1
        return n_frames.clamp(min=0) if isinstance(n_frames, Tensor) else max(0, n_frames)

    def num_samples(self, n_frames: Count) -> Count:
        num_samples = (n_frames - 1) * self.config.hop_length + self.config.win_length
        if isinstance(num_samples, Tensor):
            return num_samples.where(num_samples >= self.config.win_length, 0)
        return num_samples if n_frames > 0 else 0

    def forward(
        self,
        waveform: Float[Tensor, "..."],
        num_samples: Int[Tensor, "batch"] | None = None,
        n_frames: int | None = None,
    ) -> Float[Tensor, "batch mel frame"]:
        """See `FrontEnd.forward`."""
        check_waveform(waveform)
        device = waveform.device
        if num_samples is None:
            num_samples = torch.full((waveform.shape[0],), waveform.shape[1], device=device)
        num_samples = num_samples.clamp(max=waveform.shape[1])
        autocast_is_known = torch.amp.is_autocast_available(device.type)
        with torch.autocast(device.type, enabled=False) if autocast_is_known else nullcontext():
            waveform = waveform.float()
            if self.config.subtract_mean:
                waveform = waveform - _mean_of_real(waveform, num_samples)
            if n_frames is not None:
                waveform = waveform[:, : self.num_samples(n_frames)]
            log_mel = self._log_mel(waveform)  # (B, M, T)
            if n_frames is not None:
                log_mel = F.pad(log_mel, (0, n_frames - log_mel.shape[2]))
            frame = torch.arange(log_mel.shape[2], device=device)
            is_real = (frame < self.num_frames(num_samples)[:, None])[:, None]  # (B, 1, T)
            return self._normalise(log_mel, is_real)

    def _log_mel(self, waveform: Tensor) -> Tensor:
        n_frames = self.num_frames(waveform.shape[1])
        if waveform.shape[0] == 0 or n_frames == 0:
            return waveform.new_zeros(waveform.shape[0], self.n_mels, n_frames)
        at_once = _CPU_SAMPLES if waveform.device.type == "cpu" else _DEVICE_SAMPLES
        clips = max(1, at_once // waveform.shape[1])
        return torch.cat([self._log_mel_of(few) for few in waveform.split(clips)])

    def _log_mel_of(self, waveform: Tensor) -> Tensor:
        frames = waveform.unfold(1, self.config.win_length, self.config.hop_length)  # (B, T, win_length)
        frames = frames - frames.mean(2, keepdim=True)
        before = torch.cat((frames[:, :, :1], frames[:, :, :-1]), dim=2)  # the first sample is its own predecessor
        frames = (frames - _PREEMPHASIS * before) * self.window
        power = torch.fft.rfft(frames, n=self.config.n_fft).abs().pow(2.0)  # (B, T, n_fft // 2 + 1)
        return (power @ self.mel_bank.T).clamp(min=_LOG_FLOOR).log().transpose(1, 2)  # (B, M, T)

    def _normalise(self, log_mel: Tensor, is_real: Tensor) -> Tensor:
        if self.config.normalise == "dataset":
            return (log_mel.where(is_real, 0.0) - self.config.mean) / (2 * self.config.std)
        count = (is_real.sum(2, keepdim=True) * self.n_mels).clamp(min=1)  # (B, 1, 1)
        mean = log_mel.where(is_real, 0.0).sum((1, 2), keepdim=True) / count
        centred = (log_mel - mean).where(is_real, 0.0)
        std = (centred.square().sum((1, 2), keepdim=True) / count).sqrt().clamp(min=_STD_FLOOR)
        return centred / (2 * std)


def _mean_of_real(waveform: Tensor, num_samples: Tensor) -> Tensor:
    """(B, 1). In float32, and so for a full row the very number that the released code subtracts."""
    is_real = torch.arange(waveform.shape[1], device=waveform.device) < num_samples[:, None]  # (B, S)
    return waveform.where(is_real, 0.0).sum(1, keepdim=True) / num_samples.clamp(min=1)[:, None]


def check_waveform(waveform: Float[Tensor, "..."]) -> None:
    """Raises ShapeError for anything but mono waveforms (B, S)."""
    if waveform.ndim != 2:
        raise ShapeError(
            f"waveform: found {waveform.ndim} axes {tuple(waveform.shape)} - expected 2 (batch, samples), mono - "
            "add the batch axis with waveform[None], or take the mean of the channels"
        )


def make_window(name: str, win_length: int) -> Float[Tensor, "{win_length}"]:
    """Kaldi's windows; symmetric, where most libraries have periodic ones."""
    if name == "hamming":
        return torch.hamming_window(win_length, periodic=False, alpha=0.54, beta=0.46)
    hann = torch.hann_window(win_length, periodic=False)
    return hann.pow(0.85) if name == "povey" else hann


def make_mel_bank(config: AstFrontEndConfig) -> Float[Tensor, "mel bin"]:
    """Kaldi's triangles: linear in mel = 1127 ln(1 + f / 700), height 1, over the bins of the power spectrum.

    At 16 kHz with 128 bands, no bin falls under the triangle of band 3: it always sits at the log's floor.
    """
    low, high = (1127.0 * math.log(1.0 + f / 700.0) for f in (config.f_min, config.f_max or config.sample_rate / 2))
    step = (high - low) / (config.n_mels + 1)
    left = low + torch.arange(config.n_mels)[:, None] * step
    centre = low + (torch.arange(config.n_mels)[:, None] + 1.0) * step
    right = low + (torch.arange(config.n_mels)[:, None] + 2.0) * step
    frequency = config.sample_rate / config.n_fft * torch.arange(config.n_fft / 2)
    mel = (1127.0 * (1.0 + frequency / 700.0).log())[None, :]
    rising, falling = (mel - left) / (centre - left), (right - mel) / (right - centre)
    return F.pad(torch.minimum(rising, falling).clamp(min=0.0), (0, 1))  # Kaldi leaves out the bin at half the rate
