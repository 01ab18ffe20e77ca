"""One note: pitch, loop, loudness and filter, against what the font says and against slow obvious versions."""

from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest

from zoo.data.prepare import render
from zoo.data.prepare.render import render_note
from zoo.data.prepare.sound_font import Sample, SoundFont
from zoo.data.prepare.sound_font_generator import DEFAULTS, Gen

RATE = 16_000
PERIOD = 100  # samples of the loop: 441 Hz at 44.1 kHz
SECOND = 1200  # cents to a factor of two, in tuning and in durations alike


def _tone(period: float = PERIOD, size: int = 44_100) -> np.ndarray:
    return np.sin(2 * np.pi * np.arange(size) / period)


def _font(*zones: dict[int, int], wave: np.ndarray | None = None, rate: int = 44_100, **sample: int) -> SoundFont:
    """One program whose zones all play one recording, by default a tone that loops, at key 60."""
    if wave is None:
        wave = _tone()
    fields = {"start": 0, "end": wave.size, "loop_start": 0, "loop_end": 44_100 // PERIOD * PERIOD} | sample
    recording = Sample("tone", sample_rate=rate, **({"key": 60, "correction": 0} | fields))
    played = tuple({Gen.SAMPLE: 0, Gen.LOOP_MODE: 1} | zone for zone in zones or ({},))
    stored = np.round(wave * 20_000).astype(np.int16)
    presets = MappingProxyType({(0, 0): ("tone", ({int(Gen.INSTRUMENT): 0},))})
    return SoundFont(Path("tone.sf2"), stored, (recording,), (played,), presets)


def _loudness(wave: np.ndarray, at: float, width: float = 0.02) -> float:
    """Root mean square in dB around a time in seconds."""
    part = wave[int((at - width / 2) * RATE) : int((at + width / 2) * RATE)].astype(float)
    return float(10 * np.log10(np.mean(part**2) + 1e-20))


def _frequency(wave: np.ndarray, start: float = 0.1, stop: float = 0.9) -> float:
    """Hz of a pure tone, from the slope of the phase of its analytic signal."""
    spectrum = np.fft.fft(wave.astype(float))
    spectrum[wave.size // 2 :] = 0
    phase = np.unwrap(np.angle(np.fft.ifft(spectrum)))[int(start * RATE) : int(stop * RATE)]
    return float(np.polyfit(np.arange(phase.size) / RATE, phase, 1)[0] / (2 * np.pi))


def _cents(hertz: float, reference: float) -> float:
    return 1200 * float(np.log2(hertz / reference))


# ---- pitch


@pytest.mark.parametrize(
    ("zone", "sample", "key", "expected"),
    [
        ({}, {}, 60, 0),
        ({}, {}, 72, 1200),
        ({}, {}, 41, -1900),
        ({}, {"key": 48}, 60, 1200),
        ({Gen.ROOT_KEY: 55}, {"key": 48}, 60, 500),
        ({}, {"key": 255}, 60, 0),  # no pitch known
        ({Gen.COARSE_TUNE: -3, Gen.FINE_TUNE: 41}, {}, 60, -259),
        ({}, {"correction": -17}, 61, 83),
        ({Gen.SCALE_TUNING: 50}, {}, 70, 500),
        ({Gen.SCALE_TUNING: 0}, {}, 90, 0),
        ({Gen.FIXED_KEY: 65}, {}, 90, 500),
    ],
)
@pytest.mark.parametrize("rate", [44_100, 12_000])
def test_tuning(zone: dict[int, int], sample: dict[str, int], key: int, expected: float, rate: int) -> None:
    wave = render_note(_font(zone, rate=rate, **sample), 0, key, seconds=1.0, held=1.0)
    assert _cents(_frequency(wave), rate / PERIOD) == pytest.approx(expected, abs=0.4)


def test_a_note_played_high_does_not_fold_back() -> None:
    """3 kHz three octaves up is 24 kHz: nothing is left, where plain interpolation would sound at 8 kHz."""
    font = _font(wave=_tone(44_100 / 3_000))
    assert np.abs(render_note(font, 0, 60)).max() > 0.05
    assert np.abs(render_note(font, 0, 96)[1_000:-1_000]).max() < 1e-3


@pytest.mark.parametrize("gen", [Gen.MOD_LFO_PITCH, Gen.VIB_LFO_PITCH])
def test_vibrato(gen: Gen) -> None:
    delay, hertz = (
        (Gen.MOD_LFO_DELAY, Gen.MOD_LFO_FREQ) if gen == Gen.MOD_LFO_PITCH else (Gen.VIB_LFO_DELAY, Gen.VIB_LFO_FREQ)
    )
    zone = {gen: 100, delay: -SECOND, hertz: -3 * 1200}  # from 0.5 s, at 8.176 / 8 Hz
    wave = render_note(_font(zone), 0, 60, seconds=2.0, held=2.0)
    assert _cents(_frequency(wave, 0.1, 0.45), 441) == pytest.approx(0, abs=0.5)
    quarter = 0.25 / 1.022
    up, down = 0.5 + quarter, 0.5 + 3 * quarter  # 97.5: the mean of the 100 at the top over the window
    assert _cents(_frequency(wave, up - 0.0125, up + 0.0125), 441) == pytest.approx(97.5, abs=1.5)
    assert _cents(_frequency(wave, down - 0.0125, down + 0.0125), 441) == pytest.approx(-97.5, abs=1.5)


def test_a_gliding_pitch_stays_clean() -> None:
    """A tone read with a moving step has nothing but the tone: all else is 60 dB below."""
    steps = 2.75 * np.exp2(0.02 * np.sin(np.arange(32_000) / 2_000))
    read = render._read(
        np.round(_tone(30, 200_000) * 20_000).astype(np.int16),
        Sample("tone", 0, 200_000, 0, 1, 44_100, 60, 0),
        DEFAULTS,
        steps,
        32_000,
    )
    position = np.concatenate([[0.0], np.cumsum(steps)[:-1]])
    error = read - np.sin(2 * np.pi * position / 30) * 20_000 / 32_768
    assert np.sqrt(np.mean(error[100:-100] ** 2)) < 1e-3 * 20_000 / 32_768


def test_modulation_envelope_bends_the_pitch() -> None:
    zone = {Gen.MOD_ENV_PITCH: 600, Gen.MOD_ENV_DECAY: 0, Gen.MOD_ENV_SUSTAIN: 500, Gen.MOD_ENV_RELEASE: 0}
    zone |= {Gen.VOL_ENV_RELEASE: 8_000}
    wave = render_note(_font(zone), 0, 60, seconds=2.0, held=1.5)
    for at, expected in ((0.25, 450), (0.75, 300), (1.4, 300), (1.75, 150)):
        assert _cents(_frequency(wave, at - 0.02, at + 0.02), 441) == pytest.approx(expected, abs=3)


# ---- loops


def test_a_loop_of_one_period_is_seamless() -> None:
    wave = render_note(_font(wave=_tone(size=3 * PERIOD), loop_start=PERIOD, loop_end=2 * PERIOD), 0, 60, held=2.0)
    spectrum = np.abs(np.fft.rfft(wave[2_000:30_000] * np.hanning(28_000))) ** 2
    tone = round(441 * 28_000 / RATE)
    assert spectrum[tone - 20 : tone + 21].sum() / spectrum.sum() > 1 - 1e-6
    assert _loudness(wave, 1.9, 0.1) == pytest.approx(_loudness(wave, 0.5, 0.1), abs=0.05)


@pytest.mark.parametrize(
    ("mode", "at_1s", "at_end"), [(0, False, False), (1, True, True), (2, False, False), (3, True, False)]
)
def test_loop_modes(mode: int, at_1s: bool, at_end: bool) -> None:
    """Half a second is recorded: not looped, looped for ever, or until the release at 1.5 s."""
    zone = {Gen.LOOP_MODE: mode, Gen.VOL_ENV_RELEASE: 8_000}
    font = _font(zone, wave=_tone(size=22_050), loop_start=PERIOD, loop_end=200 * PERIOD)
    wave = render_note(font, 0, 60, velocity=127)
    level = 20 * np.log10(20_000 / 32_768 * np.sqrt(0.5)) - 3.01
    assert _loudness(wave, 0.2) == pytest.approx(level, abs=0.1)
    for at, sounds in ((1.0, at_1s), (1.98, at_end)):
        assert _loudness(wave, at) == pytest.approx(level if sounds else -200, abs=0.6 if sounds else 120), at


def test_after_the_release_the_rest_is_played() -> None:
    """Mode 3: behind the loop, the recording goes on an octave higher."""
    both = np.concatenate([_tone(size=4_400), _tone(PERIOD / 2, 44_100)])
    font = _font({Gen.LOOP_MODE: 3, Gen.VOL_ENV_RELEASE: 8_000}, wave=both, loop_start=0, loop_end=4_400)
    wave = render_note(font, 0, 60, seconds=2.0, held=1.0)
    assert _cents(_frequency(wave, 0.2, 0.9), 441) == pytest.approx(0, abs=1)
    assert _cents(_frequency(wave, 1.2, 1.8), 441) == pytest.approx(1200, abs=1)


def test_offsets_move_the_recording_and_its_loop() -> None:
    both = np.concatenate([_tone(size=4_400), _tone(PERIOD / 2, 44_100)])
    wave = render_note(
        _font({Gen.START: 4_400, Gen.LOOP_START: 5_000, Gen.LOOP_MODE: 0}, wave=both), 0, 60, seconds=0.5
    )
    assert _cents(_frequency(wave, 0.1, 0.4), 441) == pytest.approx(1200, abs=1)
    looped = _font({Gen.LOOP_START: 4_400, Gen.LOOP_END: 4_400}, wave=both, loop_start=0, loop_end=4_400)
    assert _cents(_frequency(render_note(looped, 0, 60, held=2.0), 1.0, 1.9), 441) == pytest.approx(1200, abs=1)


@pytest.mark.parametrize(("start", "end"), [(500, 400), (0, 60_000), (0, 0)])
def test_an_impossible_loop_is_no_loop(start: int, end: int) -> None:
    wave = render_note(_font(loop_start=start, loop_end=end), 0, 60, held=2.0)
    assert _loudness(wave, 0.9) > -20
    assert _loudness(wave, 1.5) < -60


# ---- loudness


def test_volume_envelope() -> None:
    zone = {
        Gen.VOL_ENV_DELAY: -2 * SECOND,  # to 0.25 s
        Gen.VOL_ENV_ATTACK: -SECOND,  # to 0.75 s
        Gen.VOL_ENV_HOLD: -2 * SECOND,  # to 1.0 s
        Gen.VOL_ENV_DECAY: SECOND,  # 50 dB in a second
        Gen.VOL_ENV_SUSTAIN: 200,  # 20 dB, from 1.4 s
        Gen.VOL_ENV_RELEASE: 0,  # 100 dB in a second, from 1.6 s
    }
    wave = render_note(_font(zone), 0, 60, seconds=2.0, held=1.6)
    top = _loudness(wave, 0.9)
    assert _loudness(wave, 0.2) < -100
    expected = {0.5: 20 * np.log10(0.5), 0.6875: 20 * np.log10(0.875), 1.2: -10, 1.5: -20, 1.7: -30, 1.8: -40}
    for at, decibel in expected.items():
        assert _loudness(wave, at) - top == pytest.approx(decibel, abs=0.15), at


def test_released_in_the_attack_it_falls_from_where_it_was() -> None:
    zone = {Gen.VOL_ENV_ATTACK: SECOND, Gen.VOL_ENV_RELEASE: SECOND}  # 2 s up; 50 dB in a second down
    wave = render_note(_font(zone), 0, 60, seconds=2.0, held=0.5)
    top = _loudness(render_note(_font(), 0, 60, seconds=1.0, held=1.0), 0.5)
    assert _loudness(wave, 0.25) - top == pytest.approx(20 * np.log10(0.125), abs=0.2)
    assert _loudness(wave, 1.0) - top == pytest.approx(20 * np.log10(0.25) - 25, abs=0.1)


def test_decay_follows_the_key() -> None:
    zone = {Gen.VOL_ENV_DECAY: 0, Gen.VOL_ENV_SUSTAIN: 1000, Gen.VOL_ENV_DECAY_BY_KEY: 100}
    for key, slope in ((60, 100), (72, 200), (48, 50)):  # dB a second
        wave = render_note(_font(zone), 0, key, held=2.0)
        assert _loudness(wave, 0.1) - _loudness(wave, 0.3) == pytest.approx(slope * 0.2, abs=0.3)


@pytest.mark.parametrize(
    ("zone", "velocity", "decibel"),
    [
        ({}, 127, 0),
        ({}, 64, 40 * np.log10(64 / 127)),
        ({Gen.ATTENUATION: 100}, 127, -4),
        ({Gen.FIXED_VELOCITY: 32}, 127, 40 * np.log10(32 / 127)),
        ({Gen.PAN: -500}, 127, -3.01),  # the mean of one channel and silence
    ],
)
def test_loudness(zone: dict[int, int], velocity: int, decibel: float) -> None:
    plain = _loudness(render_note(_font(), 0, 60, 127), 0.5)
    assert _loudness(render_note(_font(zone), 0, 60, velocity), 0.5) - plain == pytest.approx(decibel, abs=0.02)


def test_tremolo() -> None:
    zone = {Gen.MOD_LFO_VOLUME: 60, Gen.MOD_LFO_FREQ: -3 * 1200}  # 6 dB either way, a period of 0.978 s
    wave = render_note(_font(zone), 0, 60, held=2.0)
    top, bottom = _loudness(wave, 0.25 / 1.022), _loudness(wave, 0.75 / 1.022)
    assert top - bottom == pytest.approx(12, abs=0.5)


def test_left_and_right_are_averaged() -> None:
    left, right = (
        render_note(_font({Gen.PAN: -500}), 0, 60),
        render_note(_font({Gen.PAN: 500, Gen.FINE_TUNE: 5}), 0, 60),
    )
    both = render_note(_font({Gen.PAN: -500}, {Gen.PAN: 500, Gen.FINE_TUNE: 5}), 0, 60)
    np.testing.assert_allclose(both, left + right, atol=1e-6)


def test_outside_every_zone_is_silence() -> None:
    font = _font({Gen.KEY_RANGE: 40 | 50 << 8})
    assert not render_note(font, 0, 60, seconds=0.7).any()
    assert render_note(font, 0, 60, seconds=0.7).shape == (11_200,)
    assert render_note(font, 0, 45, seconds=0.7).any()


# ---- filter


def _slow_low_pass(wave: np.ndarray, cutoff: np.ndarray, quality: float) -> np.ndarray:
    """One sample after the other, as the book has it."""
    out, state1, state2 = [], 0.0, 0.0
    for i, x in enumerate(wave):
        f = 2 * cutoff[i // render._BLOCK] / RATE
        pole = np.exp(-np.pi * f / (2 * quality))
        a1, a2 = -2 * pole * np.cos(np.pi * min(f * np.sqrt(1 - 1 / (4 * quality**2)), 1)), pole**2
        zero = 1 + a1 + a2
        half = (1 - a1 + a2) * f**2 / np.sqrt((1 - f**2) ** 2 + (f / quality) ** 2)
        b0, b1 = (zero + half) / 2, (zero - half) / 2
        y = b0 * x / np.sqrt(quality) + state1
        state1, state2 = b1 * x / np.sqrt(quality) - a1 * y + state2, -a2 * y
        out.append(y)
    return np.array(out)


@pytest.mark.parametrize("resonance", [0.0, 12.0])
@pytest.mark.parametrize("size", [1_000, 1_024])
def test_low_pass_equals_the_slow_recursion(resonance: float, size: int) -> None:
    rng = np.random.default_rng(0)
    wave = rng.standard_normal(size)
    cutoff = np.exp(rng.uniform(np.log(100), np.log(15_000), -(-size // render._BLOCK)))
    fast = render._low_pass(wave, cutoff, resonance, RATE)
    np.testing.assert_allclose(fast, _slow_low_pass(wave, cutoff, 10 ** ((resonance - 3.01) / 20)), atol=1e-10)


@pytest.mark.parametrize("cutoff", [300.0, 1_500.0, 6_000.0, 12_000.0])
@pytest.mark.parametrize("resonance", [0.0, 15.0])
def test_low_pass_has_the_analogue_gain(cutoff: float, resonance: float) -> None:
    impulse = np.zeros(RATE)
    impulse[0] = 1
    out = render._low_pass(impulse, np.full(RATE // render._BLOCK, cutoff), resonance, RATE)
    gain = 20 * np.log10(np.abs(np.fft.rfft(out)))
    hertz = np.arange(gain.size) + 1e-9
    quality = 10 ** ((resonance - 3.01) / 20)
    analogue = -10 * np.log10(quality * ((1 - (hertz / cutoff) ** 2) ** 2 + (hertz / cutoff / quality) ** 2))
    heard = slice(20, 7_000)
    audible = analogue[heard] > -30
    assert np.abs(gain - analogue)[heard][audible].max() < (1.6 if cutoff < RATE / 2 else 3.5)


def test_modulation_envelope_opens_the_filter() -> None:
    zone = {Gen.FILTER_CUTOFF: 8_000, Gen.MOD_ENV_FILTER: 4_000, Gen.MOD_ENV_DECAY: 0, Gen.MOD_ENV_SUSTAIN: 1_000}
    noise = np.random.default_rng(0).uniform(-1, 1, 88_200)
    wave = render_note(_font(zone, wave=noise, loop_end=88_200), 0, 60, held=2.0)
    open_, closed = (np.abs(np.fft.rfft(wave[at : at + 2_000])) ** 2 for at in (200, 24_000))
    high = slice(500, None)  # above 4 kHz; the cutoff falls from 8.4 kHz to 831 Hz
    assert 10 * np.log10(open_[high].sum() / closed[high].sum()) > 25
    assert abs(10 * np.log10(open_[:50].sum() / closed[:50].sum())) < 6
