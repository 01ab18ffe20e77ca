"""Bring a waveform to another sampling rate.

The sum is torchaudio's: sinc interpolation, cut off 1 % below the lower of the two Nyquist frequencies, under a Hann
window that reaches over six zero crossings. torchaudio does it as a strided convolution with one filter per output
phase; between rates with a small common divisor (44 101 -> 16 000) that kernel takes gigabytes, so for those the same
sum runs here over its non-zero taps alone (tests/unit/test_resample.py shows both equal).
"""

import math
from collections.abc import Callable
from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from zoo.errors import DataError

_ZERO_CROSSINGS = 6
_ROLLOFF = 0.99
_MAX_KERNEL = 2_000_000  # floats, 8 MB
_CHUNK = 65_536  # output samples at a time, when taps are gathered


def resampled_length(num_samples: int, from_rate: int, to_rate: int) -> int:
    """ceil(num_samples * to_rate / from_rate), without rounding on the way."""
    return -(-num_samples * to_rate // from_rate)


def reduced(from_rate: int, to_rate: int) -> tuple[int, int]:
    """The two rates without their common divisor: so many samples in make so many samples out, over and over."""
    divisor = math.gcd(from_rate, to_rate)
    return from_rate // divisor, to_rate // divisor


def reach(from_rate: int, to_rate: int) -> int:
    """How many input samples on either side an output sample depends on."""
    step_in, step_out = reduced(from_rate, to_rate)
    return math.ceil(_ZERO_CROSSINGS * step_in / (min(step_in, step_out) * _ROLLOFF))


def resample(waveform: Float[Tensor, "sample"], from_rate: int, to_rate: int) -> Float[Tensor, "resampled"]:
    """The same sound at `to_rate` (Hz); its length is exactly `resampled_length`.

    Raises: DataError - torchaudio is needed and cannot be imported.
    """
    if from_rate == to_rate or waveform.numel() == 0:
        return waveform
    step_in, step_out = reduced(from_rate, to_rate)
    if step_out * (step_in + 2 * reach(from_rate, to_rate)) > _MAX_KERNEL:
        return _resample_taps(waveform, step_in, step_out)
    length = resampled_length(waveform.shape[0], from_rate, to_rate)
    # torchaudio counts its output in float32, which loses samples at the end of a long clip: zeros behind the clip
    # change no output, and make enough of them.
    padded = F.pad(waveform, (0, step_in + waveform.shape[0] // 2**20))
    result: Tensor = _torchaudio_resample(step_in, step_out)(padded)
    return result[:length]


@lru_cache(maxsize=16)
def _torchaudio_resample(step_in: int, step_out: int) -> Callable[[Tensor], Tensor]:
    """torchaudio's transform, which keeps its kernel. The one lazy import: most data needs no resampling."""
    try:
        from torchaudio.transforms import Resample
    except (ImportError, OSError, RuntimeError, AttributeError) as error:
        found = " ".join(str(error).split()) or type(error).__name__
        raise DataError(
            f"resampling: torchaudio cannot be imported ({found}) - expected torchaudio 2.11.0, which works with "
            "torch 2.11 to 2.14 - install that pair, or convert the audio to the front end's sampling rate"
        ) from error
    transform: Callable[[Tensor], Tensor] = Resample(step_in, step_out)
    return transform


@lru_cache(maxsize=4)
def _taps(step_in: int, step_out: int) -> Float[Tensor, "phase tap"]:
    """The weights of the input samples `first - reach ... first + reach + 1` for every output phase.

    `first` is the last input sample that is not later than the output sample.
    """
    side = reach(step_in, step_out)
    phase = torch.arange(step_out)[:, None]
    tap = torch.arange(-side, side + 2)[None, :]
    # Distance between input and output sample, in units of 1 / (step_in * step_out): exact in integers.
    distance = (phase * step_in // step_out + tap) * step_out - phase * step_in
    cutoff = min(step_in, step_out) * _ROLLOFF
    crossings = (distance.double() * cutoff / (step_in * step_out)).clamp(-_ZERO_CROSSINGS, _ZERO_CROSSINGS)
    window = torch.cos(crossings * (math.pi / 2 / _ZERO_CROSSINGS)) ** 2
    return (torch.sinc(crossings) * window * (cutoff / step_in)).float()


def _resample_taps(waveform: Tensor, step_in: int, step_out: int) -> Tensor:
    taps = _taps(step_in, step_out)
    side = reach(step_in, step_out)
    length = resampled_length(waveform.shape[0], step_in, step_out)
    windows = F.pad(waveform, (side, side + 1)).unfold(0, taps.shape[1], 1)  # (S, taps)
    chunks = []
    for start in range(0, length, _CHUNK):
        output = torch.arange(start, min(start + _CHUNK, length))
        chunks.append((windows[output * step_in // step_out] * taps[output % step_out]).sum(1))
    return torch.cat(chunks)
