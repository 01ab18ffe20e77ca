"""Noise: white noise on waveforms by its signal-to-noise ratio, and AST's noise on normalised log-mels."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from zoo.audio.front_end import clips_at_once
from zoo.draws import uniform


def add_white_noise(
    waveform: Float[Tensor, "batch sample"],
    num_samples: Int[Tensor, "batch"],
    keys: Int[Tensor, "batch"],
    lowest_snr_db: float,
    highest_snr_db: float,
) -> Float[Tensor, "batch sample"]:
    """White Gaussian noise on the real samples of every clip.

    The power of a clip over the expected power of its noise is anything from `lowest_snr_db` to `highest_snr_db`, all
    alike. Silence stays silence.
    """
    is_real = torch.arange(waveform.shape[1], device=waveform.device) < num_samples[:, None]  # (B, S)
    energy = waveform.where(is_real, 0.0).double().square().sum(1, keepdim=True)
    loudness = (energy / num_samples.clamp(min=1)[:, None]).sqrt().float()  # (B, 1)
    snr_db = lowest_snr_db + uniform(keys, "white-noise-level", 1) * (highest_snr_db - lowest_snr_db)
    amplitude = loudness * 10 ** (-snr_db / 20)
    # In pieces: a drawn number is eight bytes several times over before it is one sample.
    pieces = zip(keys.split(clips_at_once(waveform)), amplitude.split(clips_at_once(waveform)), strict=True)
    noise = [loud * _gaussian(few, waveform.shape[1]) for few, loud in pieces]
    return waveform + torch.cat(noise).where(is_real, 0.0) if noise else waveform


def _gaussian(keys: Tensor, width: int) -> Tensor:
    """(B, width) of mean 0 and deviation 1, by Box and Muller 1958. A sample does not depend on `width`."""
    number = uniform(keys, "white-noise", width + width % 2)
    radius = (-2 * (1 - number[:, 0::2]).log()).sqrt()  # the logarithm of (0, 1]
    angle = 2 * math.pi * number[:, 1::2]
    return torch.stack((radius * angle.cos(), radius * angle.sin()), 2).flatten(1)[:, :width]


def add_log_mel_noise(
    log_mel: Float[Tensor, "batch mel frame"],
    num_frames: Int[Tensor, "batch"],
    keys: Int[Tensor, "batch"],
    highest: float,
) -> Float[Tensor, "batch mel frame"]:
    """A number from 0 up to the clip's level on every value of a real frame; the level is 0 to `highest`, all alike.

    With `highest` .1 it is the noise of AST's Speech Commands recipe, which only ever adds (src/dataloader.py).
    """
    _, n_mels, n_frames = log_mel.shape
    is_real = torch.arange(n_frames, device=log_mel.device) < num_frames[:, None]  # (B, T)
    level = uniform(keys, "log-mel-noise-level", 1)[:, :, None] * highest  # (B, 1, 1)
    number = uniform(keys, "log-mel-noise", n_frames * n_mels)  # frame by frame, whatever the width of the batch
    noise = number.view(-1, n_frames, n_mels).transpose(1, 2) * level  # (B, M, T)
    return log_mel + noise.where(is_real[:, None, :], 0.0)
