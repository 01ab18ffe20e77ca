"""One note of a sound font as a waveform: mono, dry, at any sample rate.

Every voice of the note is read from its recording at the pitch of the key, low-passed, shaped in loudness, and added.
Reading is band-limited: the recording, its loop written out, is resampled in the frequency domain, so that nothing
folds back when a 44.1 kHz recording is played high and written at 16 kHz. Left out of the specification: modulators
other than velocity to loudness, and the sends to reverb and chorus.

Source: SoundFont Technical Specification 2.04 (E-mu, 2006), section 9; where it is vague (velocity curve, scale of the
attenuation, gain of the filter), as FluidSynth 2.3 does it.
"""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float32, Float64, Int16, Int64

from zoo.data.prepare.sound_font import Sample, SoundFont, Voice
from zoo.data.prepare.sound_font_generator import Gen

Amounts = Mapping[int, int]
Curve = Float64[np.ndarray, "sample"]

_BLOCK = 32  # samples for which the low-pass stands still, 2 ms at 16 kHz
_TAIL = 256  # output samples that fade out after the end, so that the spectrum sees no jump
_ATTENUATION_SCALE = 0.4  # E-mu's hardware takes 0.4 of what the font says, and fonts are made for that

_RATIO_ERROR = 2e-4  # 0.35 cents


def _smooth_numbers(limit: int) -> Int64[np.ndarray, "smooth"]:
    """All numbers below `limit` whose largest prime factor is at most 11."""
    numbers = np.array([1])
    for prime in (2, 3, 5, 7, 11):
        powers = prime ** np.arange(int(np.log(limit) / np.log(prime)) + 1)
        numbers = np.unique(np.outer(numbers, powers).ravel())
        numbers = numbers[numbers < limit]
    return numbers


_SMOOTH = _smooth_numbers(2**24)
"""Lengths whose Fourier transform is fast."""


def render_note(
    font: SoundFont,
    program: int,
    key: int,
    velocity: int = 100,
    *,
    seconds: float = 2.0,
    held: float = 1.5,
    sample_rate: int = 16_000,
    bank: int = 0,
) -> Float32[np.ndarray, "sample"]:
    """The note of a key that is pressed at 0 s and released after `held` seconds; all zeros where no zone sounds.

    Key and velocity are those of MIDI: key 60 is middle C, velocities are 1 to 127. Full scale is 1; several loud
    voices together may exceed it.
    """
    out = np.zeros(round(seconds * sample_rate))
    for voice in font.voices(program, key, velocity, bank):
        out += _render_voice(font.wave, voice, key, velocity, out.size, held, sample_rate)
    return out.astype(np.float32)


def _render_voice(
    wave: Int16[np.ndarray, "recorded"],
    voice: Voice,
    key: int,
    velocity: int,
    num_samples: int,
    held: float,
    sample_rate: int,
) -> Curve:
    amounts, sample = voice.amounts, voice.sample
    key = amounts[Gen.FIXED_KEY] if amounts[Gen.FIXED_KEY] >= 0 else key
    velocity = min(amounts[Gen.FIXED_VELOCITY], 127) if amounts[Gen.FIXED_VELOCITY] > 0 else velocity
    time = np.arange(num_samples) / sample_rate

    def over_time(start: float | int, env: Gen | None, mod_lfo: Gen, vib_lfo: Gen | None = None) -> Curve:
        """`start` plus what the three sources add to it; most voices use one of them or none."""
        curve = np.full(num_samples, float(start))
        if env is not None and amounts[env]:
            curve += amounts[env] * _modulation_envelope(amounts, key, held, time)
        if amounts[mod_lfo]:
            curve += amounts[mod_lfo] * _triangle(amounts[Gen.MOD_LFO_DELAY], amounts[Gen.MOD_LFO_FREQ], time)
        if vib_lfo is not None and amounts[vib_lfo]:
            curve += amounts[vib_lfo] * _triangle(amounts[Gen.VIB_LFO_DELAY], amounts[Gen.VIB_LFO_FREQ], time)
        return curve

    cents = over_time(_tuning(amounts, sample, key), Gen.MOD_ENV_PITCH, Gen.MOD_LFO_PITCH, Gen.VIB_LFO_PITCH)
    # Recorded samples for one of the output; six octaves either way are beyond any sensible font.
    step = np.exp2(np.clip(cents, -7_200, 7_200) / 1_200) * (sample.sample_rate / sample_rate)
    out = _read(wave, sample, amounts, step, round(held * sample_rate))

    cutoff = over_time(amounts[Gen.FILTER_CUTOFF], Gen.MOD_ENV_FILTER, Gen.MOD_LFO_FILTER)[::_BLOCK]
    if cutoff.min() < 13_500:  # 20 kHz, beyond which the filter is off
        hertz = 8.176 * np.exp2(np.clip(cutoff, 1_500, 13_500) / 1_200)
        out = _low_pass(out, hertz, amounts[Gen.FILTER_Q] / 10, sample_rate)

    decibel = over_time(-_ATTENUATION_SCALE * amounts[Gen.ATTENUATION], None, Gen.MOD_LFO_VOLUME) / 10
    decibel += 40 * np.log10(velocity / 127) - _volume_envelope(amounts, key, held, time)
    angle = np.clip(amounts[Gen.PAN] / 1_000 + 0.5, 0, 1) * np.pi / 2
    mono = (np.cos(angle) + np.sin(angle)) / 2  # the mean of left and right
    return out * np.exp(decibel * (np.log(10) / 20)) * mono


def _tuning(amounts: Amounts, sample: Sample, key: int) -> float:
    """Cents above the recording's own pitch."""
    recorded = sample.key if sample.key <= 127 else 60  # above 127: of no pitch
    root = amounts[Gen.ROOT_KEY] if 0 <= amounts[Gen.ROOT_KEY] <= 127 else recorded
    tuning = 100 * amounts[Gen.COARSE_TUNE] + amounts[Gen.FINE_TUNE] + sample.correction
    return float(amounts[Gen.SCALE_TUNING] * (key - root) + tuning)


# ---- pitch: reading the recording


def _read(wave: Int16[np.ndarray, "recorded"], sample: Sample, amounts: Amounts, step: Curve, released: int) -> Curve:
    """The recording read with a varying step; `released` is the output sample at which the key goes up."""
    position = np.concatenate([[0.0], np.cumsum(step)])
    is_steady = float(np.ptp(step)) == 0.0
    # A varying step is read from a finer copy, in the low part of whose band cubic interpolation is good.
    finer = 1 if is_steady else 4
    spacing = step.max() / finer
    num_out, num_in = _fast_lengths(int(position[-1] / spacing) + 4 + _TAIL * finer, spacing)
    source = _unroll(wave, sample, amounts, num_in, int(position[min(released, step.size)]))
    copy = _resample(source, num_out, finer)
    if is_steady:
        return copy[: step.size]
    at = position[:-1] * (num_out / num_in)
    whole = at.astype(np.int64)
    x = at - whole
    p0, p1, p2, p3 = copy[np.maximum(whole - 1, 0)], copy[whole], copy[whole + 1], copy[whole + 2]
    return p1 + 0.5 * x * (p2 - p0 + x * (2 * p0 - 5 * p1 + 4 * p2 - p3 + x * (3 * (p1 - p2) + p3 - p0)))  # Catmull-Rom


def _fast_lengths(least: int, spacing: float) -> tuple[int, int]:
    """(out, in): at least `least` output samples and `spacing` times as many recorded ones, to within 0.35 cents."""
    out = _SMOOTH[np.searchsorted(_SMOOTH, least) :][:80]
    exact = out * spacing
    near = _SMOOTH[np.minimum(np.searchsorted(_SMOOTH, exact * (1 - _RATIO_ERROR)), _SMOOTH.size - 1)]
    fits = np.flatnonzero(np.abs(near / exact - 1) < _RATIO_ERROR)
    if fits.size:
        return int(out[fits[0]]), int(near[fits[0]])
    return int(out[0]), max(1, round(exact[0]))


def _unroll(
    wave: Int16[np.ndarray, "recorded"], sample: Sample, amounts: Amounts, size: int, released: int
) -> Float32[np.ndarray, "unrolled"]:
    """The first `size` samples of the recording with its loop written out, in [-1, 1); zeros after its end."""
    start = sample.start + amounts[Gen.START] + 32_768 * amounts[Gen.START_COARSE]
    end = sample.end + amounts[Gen.END] + 32_768 * amounts[Gen.END_COARSE]
    loop_start = sample.loop_start + amounts[Gen.LOOP_START] + 32_768 * amounts[Gen.LOOP_START_COARSE]
    loop_end = sample.loop_end + amounts[Gen.LOOP_END] + 32_768 * amounts[Gen.LOOP_END_COARSE]
    start, end = max(start, 0), min(end, wave.size)
    mode = amounts[Gen.LOOP_MODE] & 3
    out = np.zeros(size, np.float32)
    if mode in (1, 3) and start <= loop_start < loop_end <= end:
        index = np.arange(start, start + size)
        index = np.where(index < loop_end, index, loop_start + (index - loop_start) % (loop_end - loop_start))
        if mode == 3 and released < size:
            index[released:] = np.minimum(index[released] + np.arange(size - released), end)
        sounds = index < end
        out[sounds] = wave[index[sounds]]
    else:
        recorded = wave[start : max(start, min(end, start + size))]
        out[: recorded.size] = recorded
    return out / np.float32(32_768)


def _resample(source: Float32[np.ndarray, "unrolled"], size: int, finer: int) -> Curve:
    """`source` on `size` points over the same time, without what the output, `finer` times coarser, cannot hold.

    The end fades out over `_TAIL` output samples.
    """
    tail = min(source.size, round(_TAIL * finer * source.size / size))
    source[source.size - tail :] *= _slope(tail)
    limit = size // finer // 2 + 1
    spectrum = np.fft.rfft(source)[:limit]
    if spectrum.size == limit:  # a slope at the limit rings less than a cliff
        width = limit // 20
        spectrum[limit - width :] *= _slope(width)
    return np.fft.irfft(spectrum, size).astype(np.float64) * (size / source.size)


def _slope(size: int) -> Float32[np.ndarray, "{size}"]:
    return 0.5 + 0.5 * np.cos(np.linspace(0, np.pi, size, dtype=np.float32))


# ---- timbre and loudness over time


def _seconds(amounts: Amounts, gen: Gen, by_key: Gen | None = None, key: int = 60) -> float:
    scale = amounts[by_key] * (60 - key) if by_key is not None else 0
    return float(2 ** (np.clip(amounts[gen] + scale, -12_000, 8_000) / 1_200))


def _triangle(delay: int, frequency: int, time: Curve) -> Curve:
    """An LFO: 0 until its delay is over, then up to 1, down to -1, and so on."""
    hertz = 8.176 * 2 ** (np.clip(frequency, -16_000, 4_500) / 1_200)
    phase = np.maximum(time - 2 ** (np.clip(delay, -12_000, 5_000) / 1_200), 0) * hertz
    return 1 - np.abs((phase + 0.25) % 1 * 4 - 2)


def _modulation_envelope(amounts: Amounts, key: int, held: float, time: Curve) -> Curve:
    """0 to 1: up in the attack, held, straight down to the sustained level; straight to 0 when released.

    The attack is convex, so that as cents it is about a straight line in Hz.
    """
    top = _seconds(amounts, Gen.MOD_ENV_DELAY)
    attack = _seconds(amounts, Gen.MOD_ENV_ATTACK)
    fall = top + attack + _seconds(amounts, Gen.MOD_ENV_HOLD, Gen.MOD_ENV_HOLD_BY_KEY, key)
    decay = _seconds(amounts, Gen.MOD_ENV_DECAY, Gen.MOD_ENV_DECAY_BY_KEY, key)
    sustain = 1 - float(np.clip(amounts[Gen.MOD_ENV_SUSTAIN], 0, 1_000)) / 1_000
    pressed = np.minimum(time, held)
    rise = np.clip(1 + 5 / 12 * np.log10(np.maximum((pressed - top) / attack, 1e-6)), 0, 1)
    level = np.minimum(rise, np.maximum(1 - (pressed - fall) / decay, sustain))
    return np.maximum(level - np.maximum(time - held, 0) / _seconds(amounts, Gen.MOD_ENV_RELEASE), 0)


def _volume_envelope(amounts: Amounts, key: int, held: float, time: Curve) -> Curve:
    """Attenuation in dB: the amplitude rises in a straight line, is held, and falls to the sustained level.

    A fall is straight in dB; decay and release times are those of a fall of 100 dB.
    """
    begin = _seconds(amounts, Gen.VOL_ENV_DELAY)
    attack = _seconds(amounts, Gen.VOL_ENV_ATTACK)
    fall = begin + attack + _seconds(amounts, Gen.VOL_ENV_HOLD, Gen.VOL_ENV_HOLD_BY_KEY, key)
    decay = _seconds(amounts, Gen.VOL_ENV_DECAY, Gen.VOL_ENV_DECAY_BY_KEY, key)
    sustain = float(np.clip(amounts[Gen.VOL_ENV_SUSTAIN], 0, 1_000)) / 10
    pressed = np.minimum(time, held)
    down = np.clip((pressed - fall) * (100 / decay), 0, sustain)
    down += np.maximum(time - held, 0) * (100 / _seconds(amounts, Gen.VOL_ENV_RELEASE))
    rising = slice(0, int(np.searchsorted(time, begin + attack)))
    ramp = np.clip((pressed[rising] - begin) / attack, 1e-6, 1)
    down[rising] -= 20 * np.log10(ramp)
    if rising.stop < time.size and held < begin + attack:  # released in the attack: it falls from where it was
        down[rising.stop :] -= 20 * np.log10(np.clip((held - begin) / attack, 1e-6, 1))
    return down


def _low_pass(wave: Curve, cutoff: Float64[np.ndarray, "block"], resonance: float, sample_rate: int) -> Curve:
    """A resonant two-pole low-pass; `cutoff` has one value (Hz) for every `_BLOCK` samples, `resonance` is in dB.

    The recursion runs over one block for all blocks at once, from a state of zero and from both unit states; then the
    states are handed from block to block. Coefficients: Vicanek (2016), "Matched second order digital filters", whose
    gain at 0 Hz and at half the sample rate is the analogue one, so that cutoffs near and above 8 kHz are right.
    """
    quality = 10 ** ((float(np.clip(resonance, 0, 96)) - 3.01) / 20)
    corner = 2 * cutoff / sample_rate
    poles = np.exp(-np.pi * corner / (2 * quality))
    a1 = -2 * poles * np.cos(np.pi * np.minimum(corner * np.sqrt(1 - 1 / (2 * quality) ** 2), 1))
    a2 = poles**2
    at_zero = 1 + a1 + a2
    at_half = (1 - a1 + a2) * corner**2 / np.sqrt((1 - corner**2) ** 2 + (corner / quality) ** 2)
    b0 = (at_zero + at_half) / 2
    b1 = at_zero - b0

    num = cutoff.size
    blocks = np.zeros((num, _BLOCK))
    blocks.reshape(-1)[: wave.size] = wave / np.sqrt(quality)
    out = np.zeros((_BLOCK, 3, num))  # from no state with the input; from either unit state without
    s1, s2 = np.zeros((2, 3, num))
    s1[1], s2[2] = 1, 1
    for step in range(_BLOCK):
        y = s1.copy()
        y[0] += b0 * blocks[:, step]
        s1 = s2 - a1 * y
        s1[0] += b1 * blocks[:, step]
        s2 = -a2 * y
        out[step] = y
    first, second = 0.0, 0.0
    states = np.zeros((2, num))
    for block, (own1, by11, by12, own2, by21, by22) in enumerate(zip(*s1.tolist(), *s2.tolist(), strict=True)):
        states[:, block] = first, second
        first, second = own1 + by11 * first + by12 * second, own2 + by21 * first + by22 * second
    mixed = out[:, 0] + states[0] * out[:, 1] + states[1] * out[:, 2]
    return mixed.T.reshape(-1)[: wave.size]
