"""From a clip to the bytes of its member, in a worker process."""

import io
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import soundfile
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from zoo.audio.byte_range import ByteRange
from zoo.audio.decode import Audio, UnusableAudio, decode, duration, read_header
from zoo.audio.front_end import FrontEnd
from zoo.audio.front_ends import AnyFrontEndConfig
from zoo.audio.uninterrupted import uninterrupted
from zoo.audio.unnormalised import without_normalisation
from zoo.data.batch import BadAudio
from zoo.data.clip import Clip
from zoo.data.shards.layout import PackOptions
from zoo.data.shards.names import audio_ending
from zoo.data.shards.units import Unit

MAX_MEMBER = 8 * 2**30 - 1  # what the size field of a plain tar header can hold
_MAX_WAV = 4 * 2**30 - 2**16
_STRETCH = 3600.0  # seconds that are decoded at once
_MAX_FEATURE_SECONDS = 3600


@dataclass(frozen=True)
class Encoded:
    """What is to be packed of a unit; nothing where none of its clips can be used."""

    unit: Unit
    ending: str
    content: bytes | None
    """None: the bytes of the file as they are."""
    size: int
    usable: tuple[tuple[int, float], ...]
    """Of every usable clip, its place in the unit and its seconds."""
    bad: tuple[BadAudio, ...]
    clipped: int = 0
    """Samples beyond full scale."""


def encode(options: PackOptions, unit: Unit) -> Encoded:
    """Reads all of the unit's sound. Unusable clips, and odd ones, are told in `bad`."""
    try:
        if options.mode == "original":
            return _original(unit)
        (clip,) = unit.clips
        ending, content, seconds, oddities, clipped = (
            _features(clip, options) if options.mode == "features" else _pcm(clip, options)
        )
        if len(content) > MAX_MEMBER:
            raise UnusableAudio(clip.path, "8 GiB or more when encoded: too large for a member")
    except UnusableAudio as error:
        bad = tuple(BadAudio(clip.id, str(clip.path), error.reason, False) for clip in unit.clips)
        return Encoded(unit, "", None, 0, (), bad)
    bad = _odd(clip, oddities)
    return Encoded(unit, ending, content, len(content), ((0, seconds),), bad, clipped)


def _original(unit: Unit) -> Encoded:
    size = unit.audio.size if isinstance(unit.audio, ByteRange) else _file_size(unit.audio)
    usable, bad = [], []
    for place, clip in enumerate(unit.clips):
        try:
            if size > MAX_MEMBER:
                raise UnusableAudio(clip.path, "8 GiB or more: too large for a member")
            seconds, oddities = _measure(clip)
        except UnusableAudio as error:
            bad.append(BadAudio(clip.id, str(clip.path), error.reason, False))
            continue
        usable.append((place, seconds))
        bad += _odd(clip, oddities)
    return Encoded(unit, audio_ending(unit.name), None, size, tuple(usable), tuple(bad))


def _file_size(path: Path) -> int:
    try:
        return os.stat(path).st_size
    except (OSError, ValueError):
        return 0  # decoding says why


def _measure(clip: Clip) -> tuple[float, tuple[str, ...]]:
    """Seconds that decode, and what is odd. What lasts for hours is decoded an hour at a time."""
    rate, begin = read_header(clip.path).sample_rate, clip.start or 0.0
    end = min(duration(clip.path), float("inf") if clip.stop is None else clip.stop)
    if end - begin <= _STRETCH:
        decoded = decode(clip.path, rate, clip.start, clip.stop)
        return decoded.waveform.shape[0] / rate, decoded.oddities
    samples, oddities = 0, dict[str, None]()
    while begin < end:
        try:
            decoded = decode(clip.path, rate, begin, min(end, begin + _STRETCH))
        except UnusableAudio as error:
            if not samples:
                raise
            oddities[error.reason] = None  # crops before it can be used
            break
        samples += decoded.waveform.shape[0]
        oddities |= dict.fromkeys(odd for odd in decoded.oddities if odd != "silent")
        begin += _STRETCH
    return samples / rate, tuple(oddities)


def _pcm(clip: Clip, options: PackOptions) -> tuple[str, bytes, float, tuple[str, ...], int]:
    assert options.sample_rate is not None
    decoded = decode(clip.path, options.sample_rate, clip.start, clip.stop)
    samples, clipped = to_pcm16(decoded.waveform)
    if options.mode == "wav" and samples.nbytes > _MAX_WAV:
        raise UnusableAudio(clip.path, "4 GiB or more: too long for WAV")
    file = io.BytesIO()
    with uninterrupted():
        soundfile.write(file, samples, options.sample_rate, format=options.mode.upper(), subtype="PCM_16")
    return options.mode, file.getvalue(), samples.shape[0] / options.sample_rate, decoded.oddities, clipped


def to_pcm16(waveform: Float[Tensor, "sample"]) -> tuple[np.ndarray, int]:
    """16-bit samples, and how many were beyond full scale. What was 16-bit, and was not resampled, is as it was.

    +1, one step above what 16 bits hold, is not counted: files in full scale have it.
    """
    steps = (waveform * 32768.0).round()
    clipped = int(((steps > 32768.0) | (steps < -32768.0)).sum())
    return steps.clamp(-32768, 32767).to(torch.int16).numpy(), clipped


def _features(clip: Clip, options: PackOptions) -> tuple[str, bytes, float, tuple[str, ...], int]:
    assert options.front_end is not None
    assert options.dtype is not None
    front_end = _front_end(options.front_end)
    if _seconds(clip) > _MAX_FEATURE_SECONDS:
        raise UnusableAudio(clip.path, "longer than an hour: too long for one log-mel, cut it with start and stop")
    decoded = decode(clip.path, front_end.sample_rate, clip.start, clip.stop)
    waveform = decoded.waveform
    padded = F.pad(waveform, (0, max(0, front_end.min_samples - waveform.shape[0])))  # one frame at least
    with torch.no_grad():
        log_mel = front_end(padded[None])[0].as_subclass(Tensor)  # (M, T)
    numbers = np.ascontiguousarray(log_mel.T.numpy().astype(options.dtype))
    file = io.BytesIO()
    np.lib.format.write_array(file, numbers, version=(1, 0), allow_pickle=False)
    return "npy", file.getvalue(), waveform.shape[0] / front_end.sample_rate, decoded.oddities, 0


def _seconds(clip: Clip) -> float:
    end = duration(clip.path) if clip.stop is None else clip.stop
    return end - (clip.start or 0.0)


@lru_cache(maxsize=1)
def _front_end(config: AnyFrontEndConfig) -> FrontEnd:
    return without_normalisation(config).build()


def _odd(clip: Clip, oddities: tuple[str, ...]) -> tuple[BadAudio, ...]:
    path: Audio = clip.path
    return (BadAudio(clip.id, str(path), "; ".join(oddities), True),) if oddities else ()
