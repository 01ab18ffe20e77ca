"""The generators of a SoundFont 2 zone: the numbers that say how a recording is played.

Source: SoundFont Technical Specification 2.04 (E-mu, 2006), section 8.1. Those that are absent here (reverb and chorus
sends, exclusive class and the like) have no effect on a single dry note.
"""

from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType


class Gen(IntEnum):
    """The generators used here, by their numbers in the file. cB: 0.1 dB. A duration of x tc is 2^(x/1200) s."""

    START = 0  # samples, as the next three
    END = 1
    LOOP_START = 2
    LOOP_END = 3
    START_COARSE = 4  # 32,768 samples
    MOD_LFO_PITCH = 5  # cents at the top of the triangle
    VIB_LFO_PITCH = 6
    MOD_ENV_PITCH = 7  # cents at the top of the envelope
    FILTER_CUTOFF = 8  # cents above 8.176 Hz
    FILTER_Q = 9  # cB
    MOD_LFO_FILTER = 10  # cents
    MOD_ENV_FILTER = 11
    END_COARSE = 12
    MOD_LFO_VOLUME = 13  # cB
    PAN = 17  # -500 left to 500 right
    MOD_LFO_DELAY = 21  # tc
    MOD_LFO_FREQ = 22  # cents above 8.176 Hz
    VIB_LFO_DELAY = 23
    VIB_LFO_FREQ = 24
    MOD_ENV_DELAY = 25  # tc, as the next three
    MOD_ENV_ATTACK = 26
    MOD_ENV_HOLD = 27
    MOD_ENV_DECAY = 28
    MOD_ENV_SUSTAIN = 29  # 0.1 % below the top
    MOD_ENV_RELEASE = 30  # tc
    MOD_ENV_HOLD_BY_KEY = 31  # tc per key below 60
    MOD_ENV_DECAY_BY_KEY = 32
    VOL_ENV_DELAY = 33
    VOL_ENV_ATTACK = 34
    VOL_ENV_HOLD = 35
    VOL_ENV_DECAY = 36
    VOL_ENV_SUSTAIN = 37  # cB below the top
    VOL_ENV_RELEASE = 38
    VOL_ENV_HOLD_BY_KEY = 39
    VOL_ENV_DECAY_BY_KEY = 40
    INSTRUMENT = 41
    KEY_RANGE = 43  # low byte to high byte, both included
    VELOCITY_RANGE = 44
    LOOP_START_COARSE = 45
    FIXED_KEY = 46
    FIXED_VELOCITY = 47
    ATTENUATION = 48  # cB
    LOOP_END_COARSE = 50
    COARSE_TUNE = 51  # semitones
    FINE_TUNE = 52  # cents
    SAMPLE = 53
    LOOP_MODE = 54  # 1: for ever; 3: until the key is released
    SCALE_TUNING = 56  # cents per key
    ROOT_KEY = 58


_DURATIONS = (
    *(Gen.MOD_LFO_DELAY, Gen.VIB_LFO_DELAY),
    *(Gen.MOD_ENV_DELAY, Gen.MOD_ENV_ATTACK, Gen.MOD_ENV_HOLD, Gen.MOD_ENV_DECAY, Gen.MOD_ENV_RELEASE),
    *(Gen.VOL_ENV_DELAY, Gen.VOL_ENV_ATTACK, Gen.VOL_ENV_HOLD, Gen.VOL_ENV_DECAY, Gen.VOL_ENV_RELEASE),
)
DEFAULTS: Mapping[int, int] = MappingProxyType(
    {
        **dict.fromkeys(Gen, 0),
        **dict.fromkeys(_DURATIONS, -12_000),
        Gen.FILTER_CUTOFF: 13_500,
        Gen.FIXED_KEY: -1,
        Gen.FIXED_VELOCITY: -1,
        Gen.SCALE_TUNING: 100,
        Gen.ROOT_KEY: -1,
    }
)
"""What a generator amounts to in an instrument whose zone does not say. -1: not set."""

ADDITIVE = frozenset(Gen) - {
    *(Gen.START, Gen.START_COARSE, Gen.END, Gen.END_COARSE),
    *(Gen.LOOP_START, Gen.LOOP_START_COARSE, Gen.LOOP_END, Gen.LOOP_END_COARSE, Gen.LOOP_MODE),
    *(Gen.FIXED_KEY, Gen.FIXED_VELOCITY, Gen.ROOT_KEY),
    *(Gen.INSTRUMENT, Gen.SAMPLE, Gen.KEY_RANGE, Gen.VELOCITY_RANGE),
}
"""What a preset's zone adds to an instrument's; the others have no meaning in a preset (section 8.5)."""
