"""Augmentation of normalised log-mels during training: a circular roll in time, then one mask on each axis.

Every clip's draws follow from its key, whatever else is in the batch; padding is never touched.
"""

from typing import Annotated

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor, nn

from zoo.config import Config
from zoo.draws import uniform
from zoo.errors import ShapeError

Width = Annotated[int, Field(ge=0, le=100_000)]


class AugmentConfig(Config):
    """All off by default."""

    time_roll: Width = 0
    """Largest circular shift, in frames; -time_roll to time_roll are equally likely. AST's noise recipe uses 10."""
    freq_mask: Width = 0
    """Widest mask over mel bands; 0 to freq_mask are equally likely. AST: 48 on AudioSet, 24 on ESC-50."""
    time_mask: Width = 0
    """Widest mask over frames; 0 to time_mask are equally likely. AST: 192 on AudioSet, 96 on ESC-50."""

    @property
    def is_off(self) -> bool:
        return not (self.time_roll or self.freq_mask or self.time_mask)

    def build(self) -> "Augment":
        return Augment(self)


class Augment(nn.Module):
    """SpecAugment's two masks (Park et al. 2019) and AST's roll.

    Differs from the released AST code, by intent: masks hold 0 after normalising, the data set's mean, where the
    released code writes 0 before it and so makes masks louder than most sounds; the widest mask is included; time
    masks stay on the clip and leave at least one of its frames (tests/unit/test_augment.py).
    """

    def __init__(self, config: AugmentConfig) -> None:
        super().__init__()
        self.config = config

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
        _, n_mels, n_frames = log_mel.shape
        if self.config.freq_mask >= n_mels:
            raise ShapeError(
                f"augment.freq_mask: {self.config.freq_mask} - expected less than the {n_mels} mel bands of the front "
                "end - lower it"
            )
        if num_frames is None:
            num_frames = torch.full_like(keys, n_frames)
        num_frames = num_frames[:, None].clamp(max=n_frames)  # (B, 1)
        frame = torch.arange(n_frames, device=log_mel.device)[None, :]  # (1, T)
        is_real = frame < num_frames
        if self.config.time_roll:
            shift = _draw(uniform(keys, "time-roll", 1), -self.config.time_roll, self.config.time_roll)
            source = torch.where(is_real, (frame - shift) % num_frames.clamp(min=1), frame)  # (B, T)
            log_mel = log_mel.gather(2, source[:, None, :].expand_as(log_mel))
        if self.config.freq_mask:
            band = torch.arange(n_mels, device=log_mel.device)[None, :]  # (1, M)
            is_hidden = _draw_mask(keys, "freq-mask", band, self.config.freq_mask, torch.full_like(num_frames, n_mels))
            log_mel = log_mel.masked_fill(is_hidden[:, :, None] & is_real[:, None, :], 0.0)
        if self.config.time_mask:
            is_hidden = _draw_mask(keys, "time-mask", frame, self.config.time_mask, num_frames)
            log_mel = log_mel.masked_fill(is_hidden[:, None, :], 0.0)
        return log_mel


def _draw(number: Tensor, low: Tensor | int, high: Tensor | int) -> Tensor:
    """Integers low to high, both included, from numbers in [0, 1)."""
    return (number * (high - low + 1)).long() + low


def _draw_mask(keys: Tensor, purpose: str, index: Tensor, widest: int, size: Tensor) -> Tensor:
    """(B, indices): one stretch in every row, wholly within its size (B, 1) and short of covering it."""
    numbers = uniform(keys, purpose, 2)
    width = _draw(numbers[:, :1], 0, (size - 1).clamp(min=0, max=widest))
    start = _draw(numbers[:, 1:], 0, size - width)
    return (index >= start) & (index < start + width)
