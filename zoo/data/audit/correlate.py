"""Whether two waveforms are one recording, at a shift that is roughly known.

The measure is the normalised correlation after both spectra were made flatter by the same filter. In plain audio a few
low notes or the hum of the mains hold nearly all of the energy, and correlate between recordings that have nothing else
in common; flattened to half the decibels, all bands that a codec keeps have their say.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zoo.data.audit.fingerprint import SAMPLE_RATE

MIN_CORRELATION = 0.85
"""Over the whole time that two clips have in common; docs/audit.md has what real data gives."""
MIN_IN_PART = 0.9
"""In every quarter of a second of a stretch, where the clips agree in that stretch alone."""
MIN_SHARED = 1.0
"""Seconds of such a stretch."""

_MIN_OVERLAP = 0.4  # seconds, or that share of the shorter clip: a few common samples prove nothing
_FEWEST = 200  # samples, 25 ms
_SLACK = 256  # samples by which the rough shift may be wrong: two frames
_LAGS = 640  # samples to either side among which a steady tone agrees again and again (80 ms: down to 12 Hz)
_STEADY = 0.9  # of the highest correlation, reached again at another shift
_BAND_HZ, _LOWEST_HZ, _HIGHEST_HZ = 50, 100, 3_800
_BAND_FLOOR = 1e-4  # of the power in the strongest band: a filter must not lift codec noise without end
_PIECE = SAMPLE_RATE // 4
_QUIET_PIECE = 1e-5  # of the energy of the loudest piece
_FINE = 8  # steps a sample: other rates put the samples of one sound in other places
_EPSILON = 1e-30


@dataclass(frozen=True)
class Match:
    """How two clips agree. `offset` is seconds: what lies at t in the first lies at t + offset in the second."""

    offset: float
    correlation: float
    """From 0 to 1, over the time that is shared."""
    shared: float
    """Seconds, silence left out."""
    is_steady: bool
    """They agree as well at other shifts: a steady tone, or a short loop."""


def match(first: NDArray[np.float32], second: NDArray[np.float32], offset: int) -> Match | None:
    """How two waveforms at `SAMPLE_RATE` agree at about `offset` samples; None where they are not one recording."""
    begin, end = max(0, -offset), min(len(first), len(second) - offset)
    shorter = min(len(first), len(second))
    if end - begin < max(_FEWEST, _MIN_OVERLAP * min(SAMPLE_RATE, shorter)):
        return None
    size = end - begin
    fast = _fast_size(size + _LAGS)
    one = np.fft.rfft(first[begin:end].astype(np.float64), fast)
    two = np.fft.rfft(second[begin + offset : end + offset].astype(np.float64), fast)
    shape = _flattening(np.abs(one) ** 2, np.abs(two) ** 2, fast)
    one, two = one * shape, two * shape
    lag, is_steady = _best_lag(one, two, fast)
    turn = np.exp(2j * np.pi / fast * lag * np.arange(len(two)))
    one_flat, two_flat = np.fft.irfft(one, fast)[:size], np.fft.irfft(two * turn, fast)[:size]
    margin = int(np.ceil(abs(lag)))
    if size > 4 * margin:
        one_flat, two_flat = one_flat[margin : size - margin], two_flat[margin : size - margin]
    seconds = (offset + lag) / SAMPLE_RATE
    return _judged(one_flat, two_flat, seconds, is_steady)


def _judged(one: NDArray[np.float64], two: NDArray[np.float64], offset: float, is_steady: bool) -> Match | None:
    """The match over all of two aligned waveforms, or over the longest stretch in which they agree."""
    num_pieces = max(1, round(len(one) / _PIECE))
    begins = np.linspace(0, len(one), num_pieces, endpoint=False).astype(np.int64)
    energy_one, energy_two = np.add.reduceat(one**2, begins), np.add.reduceat(two**2, begins)
    product = np.add.reduceat(one * two, begins)
    sounding = (energy_one > _QUIET_PIECE * energy_one.max()) & (energy_two > _QUIET_PIECE * energy_two.max())
    piece = len(one) / num_pieces / SAMPLE_RATE
    whole = _ratio(product.sum(), energy_one.sum(), energy_two.sum())
    if whole >= MIN_CORRELATION:
        return Match(offset, whole, float(sounding.sum()) * piece, is_steady)
    agrees = sounding & (np.abs(product) >= MIN_IN_PART * np.sqrt(energy_one * energy_two) + _EPSILON)
    begin, end = _longest_run(agrees)
    if (end - begin) * piece < MIN_SHARED:
        return None
    part = slice(begin, end)
    correlation = _ratio(product[part].sum(), energy_one[part].sum(), energy_two[part].sum())
    return Match(offset, correlation, (end - begin) * piece, is_steady)


def _ratio(product: float, energy_one: float, energy_two: float) -> float:
    return float(min(1.0, abs(product) / (np.sqrt(energy_one * energy_two) + _EPSILON)))


def _flattening(power_one: NDArray[np.float64], power_two: NDArray[np.float64], fast: int) -> NDArray[np.float64]:
    """The gain of every bin: the mean power of both, in bands of 50 Hz, to the power of -1/4; 0 outside the bands."""
    hertz = np.arange(_LOWEST_HZ, _HIGHEST_HZ + 1, _BAND_HZ)
    edges = np.minimum(np.round(hertz * fast / SAMPLE_RATE).astype(np.int64), len(power_one) - 1)
    widths = np.maximum(1, np.diff(edges))
    level = np.ones(len(widths))
    for power in (power_one, power_two):
        band = np.add.reduceat(power, edges)[:-1] / widths
        level *= np.maximum(band / (band.max() + _EPSILON), _BAND_FLOOR)
    gain = np.zeros(len(power_one))
    gain[edges[0] : edges[-1]] = np.repeat(level ** (-1 / 8), np.diff(edges))
    return gain


def _best_lag(one: NDArray[np.complex128], two: NDArray[np.complex128], fast: int) -> tuple[float, bool]:
    """By how many samples the second lies behind, to an eighth; and whether it agrees elsewhere as well."""
    cross = np.conj(one) * two
    around = np.fft.irfft(cross, fast)
    lags = np.arange(-_LAGS, _LAGS + 1)
    heights = np.abs(around[lags])
    middle = slice(_LAGS - _SLACK, _LAGS + _SLACK + 1)
    best = int(np.argmax(heights[middle])) + middle.start
    low, high = best, best  # the peak itself reaches down to half of its height on both sides
    while low > 0 and heights[low] > heights[best] / 2:
        low -= 1
    while high < len(heights) - 1 and heights[high] > heights[best] / 2:
        high += 1
    elsewhere = max(heights[:low].max(initial=0.0), heights[high + 1 :].max(initial=0.0))
    return float(lags[best]) + _rest(cross, int(lags[best]), fast), bool(elsewhere >= _STEADY * heights[best])


def _rest(cross: NDArray[np.complex128], lag: int, fast: int) -> float:
    """What to add to a lag for the highest correlation: from -1 to 1 sample, in steps of an eighth."""
    bins = 2j * np.pi / fast * np.arange(len(cross))
    turned, step = cross * np.exp(bins * (lag - 1)), np.exp(bins / _FINE)
    sums = []
    for _ in range(2 * _FINE + 1):
        sums.append(abs(float(turned.real.sum())))
        turned *= step
    return int(np.argmax(sums)) / _FINE - 1


def _longest_run(agrees: NDArray[np.bool_]) -> tuple[int, int]:
    """Begin and end of the longest run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], agrees, [False])).astype(np.int8)))
    begins, ends = edges[::2], edges[1::2]
    if len(begins) == 0:
        return 0, 0
    longest = int(np.argmax(ends - begins))
    return int(begins[longest]), int(ends[longest])


def _fast_size(size: int) -> int:
    """The next length that is fast to transform: 2, 3 or 5 times powers of two."""
    return min(odd << max(0, (-(-size // odd) - 1).bit_length()) for odd in (2, 3, 5, 9, 15))
