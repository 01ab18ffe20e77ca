"""A fingerprint of a sound that survives codecs, gain, shifts, cuts and other sampling rates.

It is made of the places of the loudest points of a spectrogram (Wang, "An industrial-strength audio search algorithm",
ISMIR 2003): where a point is louder than all around it, it stays where it is, whatever the level. Three points
together are one hash: the frequencies of all, and how far apart they lie in time. Wang takes two; three are rarer by
so much that every clip of a large set can be looked up against all others.
"""

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

SAMPLE_RATE = 8_000
"""Hz, of the sound that a fingerprint is made of. Every codec keeps what lies below 4 kHz best."""
HOP_LENGTH = 128
"""Samples from one frame to the next: a shift between two clips is known to 16 ms, before they are correlated."""
TIME_BITS = 16
MAX_SECONDS = 600.0
"""Only so much of a clip has a fingerprint."""

Prints = NDArray[np.uint64]
"""The fingerprint of a clip, sorted: the hash in the upper 48 bits, the frame in the lower 16."""

_N_FFT = 512
_LOW_BIN, _HIGH_BIN = 4, 240  # 62 Hz to 3,750 Hz
_AROUND = (3, 5)  # frames and bins to either side over which a point is the loudest
_RANGE = 80 / 20 * np.log(10)  # points this far below the loudest are codec noise
_FLOOR = np.log(_N_FFT / 4 * 1e-5)  # of a tone at -100 dB of full scale
_FOLLOWING = 7  # points after the first, of which two are taken: 21 hashes a point
_MAX_FRAMES = 48
_TIME_STEP = 2  # frames: half of the shifts by one frame, which other framing causes, leave a hash as it is
_CHUNK = 4_096  # frames at a time
_MIN_HASHES, _HASHES_A_SECOND = 1_024, 100


def fingerprint(waveform: Float[Tensor, "sample"]) -> Prints:
    """The fingerprint of a waveform at `SAMPLE_RATE`; empty for silence, and for a sound without structure.

    A hash that occurs often in a clip is kept once, at its first place. Of a clip with many hashes, those of the
    smallest value are kept, 1,024 or 100 a second: two clips of one sound then keep the same ones.
    """
    hashes, frames = _hashes(*_peaks(waveform[: round(MAX_SECONDS * SAMPLE_RATE)]))
    hashes, first = np.unique(hashes, return_index=True)
    kept = max(_MIN_HASHES, round(_HASHES_A_SECOND * waveform.shape[0] / SAMPLE_RATE))
    prints: Prints = (hashes[:kept] << np.uint64(TIME_BITS)) | frames[first[:kept]].astype(np.uint64)
    return prints


def _peaks(waveform: Tensor) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Frame and bin of every point that is the loudest around it, in the order of time."""
    # Silence on both sides, so that the very beginning and end of a short sound have frames of their own.
    frames = F.pad(waveform, (_N_FFT, _N_FFT)).unfold(0, _N_FFT, HOP_LENGTH)  # (T, n_fft)
    window = torch.hann_window(_N_FFT)
    level = torch.cat(
        [
            torch.fft.rfft(few * window).abs()[:, _LOW_BIN:_HIGH_BIN].clamp(min=1e-9).log()
            for few in frames.split(_CHUNK)
        ]
    )  # (T, bins)
    time, bins = _AROUND
    highest = F.max_pool1d(level[None], 2 * bins + 1, 1, bins)[0]
    highest = F.max_pool1d(highest.T[None], 2 * time + 1, 1, time)[0].T
    is_peak = (level == highest) & (level > max(float(level.max()) - _RANGE, _FLOOR))
    frame, place = torch.nonzero(is_peak, as_tuple=True)
    return frame.numpy(), place.numpy()


def _hashes(frame: NDArray[np.int64], place: NDArray[np.int64]) -> tuple[Prints, NDArray[np.int64]]:
    """A hash of 48 bits for every three points, and the frame of the first of them."""
    found, at = [np.zeros(0, np.uint64)], [np.zeros(0, np.int64)]
    for second in range(1, _FOLLOWING):
        for third in range(second + 1, _FOLLOWING + 1):
            first = np.arange(max(0, len(frame) - third))
            to_second, to_third = frame[first + second] - frame[first], frame[first + third] - frame[first]
            near = to_third <= _MAX_FRAMES
            first, to_second, to_third = first[near], to_second[near], to_third[near]
            code = (place[first] << 16) | (place[first + second] << 8) | place[first + third]
            code = (code << 12) | (to_second // _TIME_STEP << 6) | to_third // _TIME_STEP
            found.append(_mixed(code.astype(np.uint64)))
            at.append(frame[first])
    return np.concatenate(found), np.concatenate(at)


def _mixed(code: Prints) -> Prints:
    """All bits of a code spread evenly over 48 bits (the finaliser of MurmurHash3)."""
    shift = np.uint64(33)
    code = (code ^ (code >> shift)) * np.uint64(0xFF51AFD7ED558CCD)
    code = (code ^ (code >> shift)) * np.uint64(0xC4CEB9FE1A85EC53)
    mixed: Prints = (code ^ (code >> shift)) >> np.uint64(TIME_BITS)
    return mixed
