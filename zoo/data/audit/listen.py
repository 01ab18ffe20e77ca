"""What is to be known of one clip's audio, in one pass; this runs in worker processes, and little comes back."""

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from zoo.audio.decode import Audio, Decoded, UnusableAudio, decode, read_header
from zoo.audio.resample import resample
from zoo.data.audit.fingerprint import MAX_SECONDS, SAMPLE_RATE, Prints, fingerprint

QUIET = 1e-3
"""-60 dB of full scale."""

_SILENT = 2.0**-16
_FULL_SCALE = 0.9999  # the three highest of 16 bits
_RUN = 3  # samples at full scale in a row; a single one is a sound that was normalised to its peak
_BLOCK = 1 << 24  # samples at a time, 64 MB: six minutes at 44.1 kHz
_PART = 65_536  # samples whose squares lie in memory at once


@dataclass(frozen=True, slots=True)
class Heard:
    """What a clip sounds like, in numbers. With a `reason`, no audio could be had and the rest says nothing."""

    reason: str | None = None
    sample_rate: int = 0
    channels: int = 0
    format: str = ""
    num_samples: int = 0
    peak: float = 0.0
    mean: float = 0.0
    rms: float = 0.0
    clipped: float = 0.0
    """Share of the samples."""
    sound_begins: float = 0.0
    sound_ends: float = 0.0
    """Seconds, from the first to the last sample that is not silence."""
    oddities: tuple[str, ...] = ()
    digest: bytes = b""
    prints: Prints | None = None
    """None: not asked for, or silence."""

    @property
    def seconds(self) -> float:
        return self.num_samples / self.sample_rate if self.sample_rate else 0.0

    @property
    def is_silent(self) -> bool:
        return self.sound_ends <= self.sound_begins


@dataclass(frozen=True)
class Stretch:
    """The audio of a clip: a file, from `start` to `stop` seconds."""

    path: Audio
    start: float | None = None
    stop: float | None = None


def listen(stretch: Stretch, prints: bool = True, block: int = _BLOCK) -> Heard:
    """All numbers of a clip, of the mean of its channels, at the file's own sampling rate.

    Reads `block` samples at a time. Nothing that a file holds raises an error: it becomes the `reason`.
    """
    try:
        return _listen(stretch, prints, block)
    except UnusableAudio as error:
        return Heard(reason=error.reason)


def low_waveform(stretch: Stretch, block: int = _BLOCK) -> NDArray[np.float32]:
    """What fingerprints are made of: the first ten minutes at 8 kHz. Raises UnusableAudio."""
    rate = read_header(stretch.path).sample_rate
    waveform: NDArray[np.float32] = _low(stretch, rate, block).numpy()
    return waveform


def _listen(stretch: Stretch, prints: bool, block: int) -> Heard:
    header = read_header(stretch.path)
    rate = header.sample_rate
    sums = _Sums()
    oddities: dict[str, None] = {}
    only: Tensor | None = None
    for number, decoded in enumerate(_blocks(stretch, rate, rate, block)):
        only = decoded.waveform if number == 0 else None
        sums.add(decoded.waveform.numpy())
        oddities.update(dict.fromkeys(decoded.oddities))
    low, high = sums.low, sums.high
    is_silent = high - low < _SILENT
    printed = None
    if prints and not is_silent:
        whole = None if only is None else resample(only, rate, SAMPLE_RATE)
        printed = fingerprint(_low(stretch, rate, block) if whole is None else whole)
    mean = sums.total / sums.size
    return Heard(
        sample_rate=rate,
        channels=header.channels,
        format=header.format,
        num_samples=sums.size,
        peak=max(-low, high),
        mean=mean,
        rms=math.sqrt(max(0.0, sums.squares / sums.size - mean**2)),
        clipped=sums.clipped / sums.size,
        sound_begins=0.0 if is_silent else sums.first / rate,
        sound_ends=0.0 if is_silent else (sums.last + 1) / rate,
        oddities=tuple(oddities),
        digest=sums.digest.digest(),
        prints=printed,
    )


def _low(stretch: Stretch, rate: int, block: int) -> Float[Tensor, "sample"]:
    begin = stretch.start or 0.0
    end = begin + MAX_SECONDS if stretch.stop is None else min(stretch.stop, begin + MAX_SECONDS)
    at_once = max(1, block * SAMPLE_RATE // rate)
    some = Stretch(stretch.path, begin, end)
    blocks = [decoded.waveform for decoded in _blocks(some, rate, SAMPLE_RATE, at_once)]
    return torch.cat(blocks) if blocks else torch.zeros(0)


def _blocks(stretch: Stretch, own_rate: int, sample_rate: int, block: int) -> Iterator[Decoded]:
    """The clip at `sample_rate` in blocks, which joined are the whole clip. The last may be cut short by damage."""
    position = first = round((stretch.start or 0.0) * sample_rate)
    last = math.inf if stretch.stop is None else round(stretch.stop * sample_rate)
    if last <= first:
        decode(stretch.path, own_rate, stretch.start, stretch.stop)  # raises, with its own words
    while position < last:
        end = min(last, position + block)
        try:
            decoded = decode(stretch.path, sample_rate, position / sample_rate, end / sample_rate)
        except UnusableAudio as error:
            # Behind the first block these are the end of the file, or the place where it was cut off.
            if position > first and error.reason.startswith(("no samples", "undecodable")):
                return
            raise
        yield decoded
        position += decoded.waveform.shape[0]
        if position < end:
            return


class _Sums:
    """What is counted over the blocks of a clip."""

    def __init__(self) -> None:
        self.size = self.clipped = 0
        self.total = self.squares = 0.0
        self.low, self.high = math.inf, -math.inf
        self.first, self.last = math.inf, -1.0
        self.digest = hashlib.blake2b(digest_size=16)

    def add(self, samples: NDArray[np.float32]) -> None:
        self.low = min(self.low, float(samples.min()))
        self.high = max(self.high, float(samples.max()))
        self.total += float(samples.sum(dtype=np.float64))
        self.squares += sum(float(np.square(part, dtype=np.float64).sum()) for part in _parts(samples))
        loud = np.abs(samples) >= _FULL_SCALE
        if loud.any():
            self.clipped += _in_runs(loud)
        sounding = np.flatnonzero(np.abs(samples) >= _SILENT)
        if sounding.size:
            self.first = min(self.first, self.size + int(sounding[0]))
            self.last = self.size + int(sounding[-1])
        self.size += samples.size
        self.digest.update((samples + np.float32(0.0)).data)  # -0.0 becomes 0.0


def _parts(samples: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    return np.array_split(samples, 1 + samples.size // _PART)


def _in_runs(loud: NDArray[np.bool_]) -> int:
    """How many samples stand in runs of at least `_RUN`."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], loud, [False])).astype(np.int8)))
    lengths = edges[1::2] - edges[::2]
    return int(lengths[lengths >= _RUN].sum())
