"""Augmentation in training: what is done to waveforms, what is done to log-mels, and mixing clips."""

from zoo.audio.augment.augment import Augment, AugmentConfig
from zoo.audio.augment.mixup import MixupConfig

__all__ = ["Augment", "AugmentConfig", "MixupConfig"]
