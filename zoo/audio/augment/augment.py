"""The `augment` section of a recipe, and what it does to the waveforms and log-mels of a batch.

Every clip's draws follow from its key, whatever else is in the batch; padding is never touched. What each setting is
for, and the settings of the released recipes: docs/augmentation.md.
"""

from typing import Annotated, Any, Literal

import torch
from jaxtyping import Float, Int
from pydantic import BeforeValidator, Field, model_validator
from torch import Tensor, nn

from zoo.audio.augment.mixup import MixupConfig
from zoo.audio.augment.noise import add_log_mel_noise, add_white_noise
from zoo.audio.augment.roll import roll
from zoo.audio.augment.spec_augment import mask_as_source, mask_with_mean
from zoo.config import Config
from zoo.draws import uniform, whole
from zoo.errors import ShapeError


def _as_pair(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


Width = Annotated[int, Field(ge=0, le=100_000)]
NumSamples = Annotated[int, Field(ge=0, le=10_000_000)]
WholeDecibels = Annotated[int, Field(ge=-100, le=100)]
Decibels = Annotated[float, Field(ge=-100, le=100)]
GainRange = Annotated[tuple[WholeDecibels, WholeDecibels], BeforeValidator(_as_pair)]
SnrRange = Annotated[tuple[Decibels, Decibels], BeforeValidator(_as_pair)]


class AugmentConfig(Config):
    """All off by default. In the order in which it is done, unless `spec_augment` says otherwise."""

    gain_db: GainRange | None = None
    """[lowest, highest] gain of a waveform, whole dB, both included and all alike. PaSST: [-7, 6]."""
    waveform_roll: NumSamples = 0
    """Largest circular shift of a waveform, in samples; -waveform_roll to waveform_roll are equally likely. PaSST: 50.
    With data.padding as_source the zeros behind a clip are rolled too, and count as sound."""
    waveform_mixup: MixupConfig | None = None
    """Mixes waveforms, and labels with them. Each of the two has its own gain and roll before."""
    noise_snr_db: SnrRange | None = None
    """[lowest, highest] signal-to-noise ratio of white noise on a waveform, dB."""
    time_roll: Width = 0
    """Largest circular shift of a log-mel, in frames; -time_roll to time_roll are equally likely. AST's noise recipe
    uses 10."""
    log_mel_noise: Annotated[float, Field(ge=0, le=100)] = 0.0
    """Largest noise on a normalised log-mel: 0 up to the clip's level on every value, the level being 0 to
    log_mel_noise. AST's noise recipe uses .1."""
    freq_mask: Width = 0
    """Widest mask over mel bands; 0 to freq_mask are equally likely. AST: 48 on AudioSet, 24 on ESC-50."""
    time_mask: Width = 0
    """Widest mask over frames; 0 to time_mask are equally likely. AST: 192 on AudioSet, 96 on ESC-50."""
    spec_augment: Literal["mean", "as_source"] = "mean"
    """`mean`: roll, noise, then masks that hold the data set's mean and leave some of the clip. `as_source`: the
    numbers and the order of the released code of AST, SSAST and PaSST: masks that hold a log-mel of 0 (loud), narrower
    than freq_mask and time_mask, then noise, then a roll by -time_roll to time_roll - 1."""
    log_mel_mixup: MixupConfig | None = None
    """Mixes finished log-mels, and labels with them; as PaSST does, but with partners from the whole data set."""

    @model_validator(mode="after")
    def _ordered(self) -> "AugmentConfig":
        ranges = (("gain_db", self.gain_db), ("noise_snr_db", self.noise_snr_db))
        wrong = [
            f"{name}: found {list(pair)} - expected [lowest, highest] - swap the two"
            for name, pair in ranges
            if pair is not None and pair[0] > pair[1]
        ]
        if wrong:
            raise ValueError("; ".join(wrong))
        return self

    @property
    def is_off(self) -> bool:
        on_log_mel = self.time_roll or self.log_mel_noise or self.freq_mask or self.time_mask
        return not (self.needs_waveform or on_log_mel or self.log_mel_mixup)

    @property
    def needs_waveform(self) -> bool:
        """Whether stored log-mels would not do."""
        on_waveform = self.gain_db or self.waveform_roll or self.waveform_mixup or self.noise_snr_db
        return bool(on_waveform)

    @property
    def mixes(self) -> bool:
        """Whether clips get partners."""
        return self.waveform_mixup is not None or self.log_mel_mixup is not None

    def build(self, zero_level: float | None = None) -> "Augment":
        """Args: `zero_level` is what a log-mel of 0 becomes by normalising; `spec_augment: as_source` needs it."""
        return Augment(self, zero_level)


class Augment(nn.Module):
    """What is done to clips one by one; mixing is in `zoo.audio.augment.mixup`.

    With `spec_augment: mean` it differs from the released AST code, by intent: masks hold 0 after normalising, the data
    set's mean, where the released code writes 0 before it and so makes masks louder than most sounds; the widest mask
    is included; time masks stay on the clip and leave at least one of its frames (tests/unit/test_augment.py).
    `as_source` is the released form (tests/unit/test_augment_as_source.py).
    """

    gains: Tensor

    def __init__(self, config: AugmentConfig, zero_level: float | None = None) -> None:
        super().__init__()
        assert config.spec_augment == "mean" or zero_level is not None, (
            "as_source masks need the front end's zero_level"
        )
        self.config = config
        self.zero_level = zero_level
        low, high = config.gain_db or (0, 0)
        # A table, for a power computed on the device would not be the same to the last bit on all of them.
        gains = [10 ** (gain_db / 20) for gain_db in range(low, high + 1)]
        self.register_buffer("gains", torch.tensor(gains), persistent=False)

    def vary_waveforms(
        self,
        waveform: Float[Tensor, "batch sample"],
        num_samples: Int[Tensor, "batch"],
        keys: Int[Tensor, "batch"],
    ) -> Float[Tensor, "batch sample"]:
        """Gain, then roll: what a clip gets before it is mixed."""
        if self.config.gain_db is not None:
            gain = self.gains[whole(uniform(keys, "gain", 1), 0, self.gains.shape[0] - 1)]  # (B, 1)
            waveform = waveform * gain
        if self.config.waveform_roll:
            reach = self.config.waveform_roll
            waveform = roll(waveform, num_samples, whole(uniform(keys, "waveform-roll", 1), -reach, reach)[:, 0])
        return waveform

    def add_noise(
        self,
        waveform: Float[Tensor, "batch sample"],
        num_samples: Int[Tensor, "batch"],
        keys: Int[Tensor, "batch"],
    ) -> Float[Tensor, "batch sample"]:
        """White noise: what a clip gets after it was mixed."""
        if self.config.noise_snr_db is None:
            return waveform
        return add_white_noise(waveform, num_samples, keys, *self.config.noise_snr_db)

    def forward(
        self,
        log_mel: Float[Tensor, "batch mel frame"],
        num_frames: Int[Tensor, "batch"] | None,
        keys: Int[Tensor, "batch"],
    ) -> Float[Tensor, "batch mel frame"]:
        """Augmented log-mels.

        Args:
            num_frames: real frames of every clip; None: all, padding then counts as sound (data.padding: as_source).
            keys: one per clip, from `zoo.draws.clip_keys`.
        Raises: ShapeError - a frequency mask could hide every band.
        """
        config = self.config
        _, n_mels, n_frames = log_mel.shape
        if config.freq_mask >= n_mels:
            raise ShapeError(
                f"augment.freq_mask: {config.freq_mask} - expected less than the {n_mels} mel bands of the front "
                "end - lower it"
            )
        if num_frames is None:
            num_frames = torch.full_like(keys, n_frames)
        num_frames = num_frames.clamp(max=n_frames)
        if config.spec_augment == "mean":
            log_mel = self._rolled(log_mel, num_frames, keys, config.time_roll)
            log_mel = self._noisy(log_mel, num_frames, keys)
            return mask_with_mean(log_mel, num_frames, keys, config.freq_mask, config.time_mask)
        assert self.zero_level is not None
        log_mel = mask_as_source(log_mel, num_frames, keys, config.freq_mask, config.time_mask, self.zero_level)
        log_mel = self._noisy(log_mel, num_frames, keys)
        return self._rolled(log_mel, num_frames, keys, config.time_roll - 1)

    def _rolled(self, log_mel: Tensor, num_frames: Tensor, keys: Tensor, furthest: int) -> Tensor:
        if not self.config.time_roll:
            return log_mel
        return roll(log_mel, num_frames, whole(uniform(keys, "time-roll", 1), -self.config.time_roll, furthest)[:, 0])

    def _noisy(self, log_mel: Tensor, num_frames: Tensor, keys: Tensor) -> Tensor:
        if not self.config.log_mel_noise:
            return log_mel
        return add_log_mel_noise(log_mel, num_frames, keys, self.config.log_mel_noise)
