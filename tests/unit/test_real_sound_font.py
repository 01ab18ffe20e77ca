"""The font that the quickstart renders: a dozen instruments have the pitch of their key, and none is incomplete."""

import numpy as np
import pytest

from zoo.data.prepare.render import render_note
from zoo.data.prepare.sound_font import SoundFont, find_sound_font, read_sound_font
from zoo.data.prepare.sound_font_generator import Gen
from zoo.errors import DataError

RATE = 16_000


@pytest.fixture(scope="module")
def real_font() -> SoundFont:
    try:
        path = find_sound_font()
    except DataError:
        pytest.skip("the extra `quickstart` is not installed")
    return read_sound_font(path)


def _fundamental(wave: np.ndarray) -> float:
    """Hz: the first high peak of the autocorrelation."""
    size = 1 << 15
    window = np.hanning(wave.size)
    power = np.abs(np.fft.rfft(wave * window, size)) ** 2
    finer = 8  # points of the autocorrelation for one of the waveform
    lags = np.fft.irfft(power, finer * size)[: finer * 400]
    shape = np.fft.irfft(np.abs(np.fft.rfft(window, size)) ** 2, finer * size)[: finer * 400]
    peak = lags / shape * (shape[0] / lags[0])
    peak[: finer * 8] = 0  # below 2 kHz
    tops = np.flatnonzero((peak[1:-1] >= peak[:-2]) & (peak[1:-1] > peak[2:])) + 1
    first = tops[peak[tops] > 0.9 * peak[tops].max()][0]
    return RATE * finer / float(first)


PITCHED = {"piano": 0, "harpsichord": 6, "vibraphone": 11, "reed organ": 20, "nylon guitar": 24, "acoustic bass": 32}
PITCHED |= {"violin": 40, "harp": 46, "trumpet": 56, "tenor sax": 66, "clarinet": 71, "flute": 73, "square": 80}


@pytest.mark.parametrize("name", PITCHED)
def test_pitch_of_the_real_font(real_font: SoundFont, name: str) -> None:
    for key in (50, 61, 76):
        wave = render_note(real_font, PITCHED[name], key, seconds=1.0, held=1.0)
        hertz = _fundamental(wave[3_000:13_000].astype(float))
        assert abs(1200 * np.log2(hertz / 440) - 100 * (key - 69)) < 30, (key, hertz)


def test_every_melodic_program_of_the_real_font_is_complete(real_font: SoundFont) -> None:
    for program in range(112):
        voices = real_font.voices(program, 60, 100)
        assert voices, program
        for voice in voices:
            assert 0 <= voice.sample.start < voice.sample.end <= real_font.wave.size
            assert voice.amounts[Gen.LOOP_MODE] in (0, 1, 3)
