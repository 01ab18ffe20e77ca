"""Sounds for the tests of the audit that are as different from each other as real ones: music, speech, noise."""

from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy.signal import butter, lfilter

RATE = 16_000

Sound = NDArray[np.float32]


def noise(seed: int, seconds: float = 4.0) -> Sound:
    """Rain: noise of the same colour with every seed."""
    rng = np.random.default_rng(seed)
    b, a = butter(2, [300, 5_000], "bandpass", fs=RATE)
    return _levelled(lfilter(b, a, rng.standard_normal(round(seconds * RATE))))


def music(seed: int, seconds: float = 4.0) -> Sound:
    """Notes of a scale with harmonics and decays, a few a second, over very little noise."""
    rng = np.random.default_rng(seed)
    wave = 1e-3 * rng.standard_normal(round(seconds * RATE))
    begin = 0.0
    while begin < seconds - 0.1:
        size = min(len(wave) - int(begin * RATE), int(rng.uniform(0.2, 0.6) * RATE))
        time = np.arange(size) / RATE
        pitch = 220 * 2 ** (rng.choice([0, 2, 4, 5, 7, 9, 11, 12]) / 12)
        tone = sum(np.sin(2 * np.pi * pitch * k * time + rng.uniform(0, 6)) / k for k in range(1, 7))
        wave[int(begin * RATE) : int(begin * RATE) + size] += tone * np.exp(-4 * time)
        begin += rng.uniform(0.1, 0.3)
    return _levelled(wave)


def speech(seed: int, seconds: float = 1.0, word: int = 0) -> Sound:
    """A gliding buzz through moving formants: one word, which each seed says in its own way."""
    rng, path = np.random.default_rng(seed), np.random.default_rng(1_000 + word)
    size = round(seconds * RATE)
    pitch = rng.uniform(90, 220) * (1 + 0.1 * np.sin(np.linspace(0, rng.uniform(2, 5), size)))
    buzz = np.diff(np.floor(np.cumsum(pitch / RATE)), prepend=0) + 0.02 * rng.standard_normal(size)
    parts = []
    for part in np.array_split(buzz, 8):
        for formant in path.uniform(300, 3_400, 3) * rng.uniform(0.9, 1.1):
            b, a = butter(1, [formant * 0.9, formant * 1.1], "bandpass", fs=RATE)
            part = part + 3 * lfilter(b, a, part)
        parts.append(part)
    return _levelled(np.concatenate(parts) * np.hanning(size))


def _levelled(wave: NDArray[np.float64]) -> Sound:
    return (0.4 * wave / np.abs(wave).max()).astype(np.float32)


def write(path: Path, wave: Sound, rate: int = RATE, **how: object) -> Path:
    """A file of any format, by its ending unless said otherwise; a wav without one."""
    how = how if path.suffix or "format" in how else {**how, "format": "WAV"}
    soundfile.write(path, wave, rate, **how)
    return path


def as_mp3(path: Path, wave: Sound, rate: int = RATE, compression: float = 0.5) -> Path:
    """At a compression of .5 some 85 kbit/s, at .9 some 25."""
    how = {"format": "MP3", "bitrate_mode": "CONSTANT", "compression_level": compression}
    return write(path, wave, rate, **how)
