"""Reading a sound font: which zones a note selects, what they inherit, and an error for every kind of damage."""

import struct
import sys
from collections.abc import Sequence
from importlib import metadata, util
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from zoo.data.prepare.render import render_note
from zoo.data.prepare.sound_font import find_sound_font, read_sound_font
from zoo.data.prepare.sound_font_generator import Gen
from zoo.errors import DataError

Zones = Sequence[Sequence[tuple[int, int]]]
Recording = tuple[str, np.ndarray, int, int, int, tuple[int, int]]  # name, wave, rate, key, correction, loop


def span(low: int, high: int) -> int:
    """A range of keys or velocities as it is stored."""
    return struct.unpack("<h", bytes([low, high]))[0]


def _chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def _bags(owners: Sequence[Zones]) -> tuple[list[int], bytes, bytes]:
    """(first bag of every owner and of the terminator, bag records, generator records)."""
    first, bags, gens = [0], b"", b""
    for zones in owners:
        for zone in zones:
            bags += struct.pack("<HH", len(gens) // 4, 0)
            gens += b"".join(struct.pack("<Hh", *pair) for pair in zone)
        first.append(len(bags) // 4)
    return first, bags + struct.pack("<HH", len(gens) // 4, 0), gens + bytes(4)


def build_font(recordings: Sequence[Recording], instruments: Sequence[Zones], presets: dict[int, Zones]) -> bytes:
    """The bytes of a SoundFont 2 file in bank 0."""
    wave, headers = np.zeros(0, "<i2"), b""
    for name, recorded, rate, key, correction, loop in recordings:
        start = wave.size
        numbers = (start, start + recorded.size, start + loop[0], start + loop[1], rate, key, correction, 0, 1)
        headers += struct.pack("<20sIIIIIBbHH", name.encode(), *numbers)
        wave = np.concatenate([wave, recorded.astype("<i2"), np.zeros(46, "<i2")])
    headers += struct.pack("<20s26x", b"EOS")
    first_i, ibag, igen = _bags(instruments)
    inst = b"".join(struct.pack("<20sH", b"instrument", bag) for bag in first_i)
    first_p, pbag, pgen = _bags(list(presets.values()))
    numbers = [*presets, 0]
    phdr = b"".join(struct.pack("<20sHHH12x", b"preset", p, 0, bag) for p, bag in zip(numbers, first_p, strict=True))
    lists = (phdr, pbag, bytes(10), pgen, inst, ibag, bytes(10), igen, headers)
    names = (b"phdr", b"pbag", b"pmod", b"pgen", b"inst", b"ibag", b"imod", b"igen", b"shdr")
    pdta = b"".join(_chunk(name, content) for name, content in zip(names, lists, strict=True))
    info = _chunk(b"LIST", b"INFO" + _chunk(b"ifil", struct.pack("<HH", 2, 1)))
    sdta = _chunk(b"LIST", b"sdta" + _chunk(b"smpl", wave.tobytes()))
    return _chunk(b"RIFF", b"sfbk" + info + sdta + _chunk(b"LIST", b"pdta" + pdta))


RAMP = np.arange(-500, 500) * 30
RECORDINGS: list[Recording] = [
    ("low", RAMP, 22_050, 48, -3, (100, 900)),
    ("high", RAMP[::-1], 44_100, 72, 0, (0, 1000)),
]
# One instrument: a global zone, and two zones that share the keys 58 to 62.
SPLIT: Zones = [
    [(Gen.VOL_ENV_RELEASE, -1200), (Gen.FINE_TUNE, 7)],
    [(Gen.KEY_RANGE, span(0, 62)), (Gen.FINE_TUNE, -5), (Gen.SAMPLE, 0)],
    [(Gen.KEY_RANGE, span(58, 127)), (Gen.VELOCITY_RANGE, span(64, 127)), (Gen.LOOP_MODE, 1), (Gen.SAMPLE, 1)],
]
WHOLE: Zones = [[(Gen.SAMPLE, 1)]]
# A preset: what its global zone adds, what its zone adds instead, and what has no meaning there.
PRESET: Zones = [
    [(Gen.FINE_TUNE, 2), (Gen.ATTENUATION, 10)],
    [(Gen.KEY_RANGE, span(0, 100)), (Gen.FINE_TUNE, 20), (Gen.ROOT_KEY, 10), (Gen.INSTRUMENT, 0)],
    [(Gen.PAN, 100)],  # not the first, and names no instrument: nothing
]
PLAIN: Zones = [[(Gen.INSTRUMENT, 1)]]
FONT = build_font(RECORDINGS, [SPLIT, WHOLE], {0: PRESET, 5: PLAIN})


@pytest.fixture
def font_file(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.sf2"
    path.write_bytes(FONT)
    return path


def test_recordings_are_read(font_file: Path) -> None:
    font = read_sound_font(font_file)
    low, high = font.samples
    assert low is not None
    assert high is not None
    assert (low.name, low.sample_rate, low.key, low.correction) == ("low", 22_050, 48, -3)
    np.testing.assert_array_equal(font.wave[low.start : low.end], RAMP)
    np.testing.assert_array_equal(font.wave[high.start : high.end], RAMP[::-1])
    assert (low.loop_start, low.loop_end) == (100, 900)
    assert {key: name for key, (name, _) in font.presets.items()} == {(0, 0): "preset", (0, 5): "preset"}


@pytest.mark.parametrize(
    ("key", "velocity", "expected"),
    [
        (57, 100, ["low"]),
        (58, 100, ["low", "high"]),
        (62, 63, ["low"]),
        (63, 64, ["high"]),
        (63, 63, []),
        (101, 99, []),
    ],
)
def test_key_and_velocity_choose_the_zones(font_file: Path, key: int, velocity: int, expected: list[str]) -> None:
    assert [voice.sample.name for voice in read_sound_font(font_file).voices(0, key, velocity)] == expected


def test_zones_inherit_and_presets_add(font_file: Path) -> None:
    low, high = read_sound_font(font_file).voices(0, 60, 100)
    # The zone's own value stands in for the global one, in the instrument and in the preset; then the preset is added.
    assert low.amounts[Gen.FINE_TUNE] == -5 + 20
    assert high.amounts[Gen.FINE_TUNE] == 7 + 20
    assert low.amounts[Gen.VOL_ENV_RELEASE] == -1200
    assert low.amounts[Gen.ATTENUATION] == 10
    assert low.amounts[Gen.ROOT_KEY] == -1, "a preset cannot say the root key"
    assert low.amounts[Gen.PAN] == 0
    assert (low.amounts[Gen.LOOP_MODE], high.amounts[Gen.LOOP_MODE]) == (0, 1)
    assert low.amounts[Gen.SCALE_TUNING] == 100
    assert low.amounts[Gen.VOL_ENV_ATTACK] == -12_000
    assert low.amounts[Gen.FILTER_CUTOFF] == 13_500


def test_recordings_of_a_program(font_file: Path) -> None:
    font = read_sound_font(font_file)
    assert font.recordings(0) == {0, 1}
    assert font.recordings(5) == {1}
    with pytest.raises(DataError, match=r"tiny\.sf2: no program 6 in bank 0"):
        font.voices(6, 60, 100)


def _patched(name: bytes, offset: int, value: bytes) -> bytes:
    """FONT with some bytes of a chunk replaced."""
    at = FONT.index(name) + 8 + offset
    return FONT[:at] + value + FONT[at + len(value) :]


DAMAGED = {
    "empty": (b"", "is no SoundFont 2"),
    "a wav file": (b"RIFF\x24\0\0\0WAVE" + bytes(32), "is no SoundFont 2"),
    "header alone": (FONT[:12], "has no smpl, phdr, .* chunk"),
    "cut in the recordings": (FONT[:200], "is cut short"),
    "cut in the lists": (FONT[:-100], "is cut short"),
    "no recordings": (FONT.replace(b"smpl", b"abcd"), "has no smpl chunk"),
    "half a record": (_patched(b"shdr", -4, struct.pack("<I", 137)), "shdr chunk of 137 bytes, not a multiple of 46"),
    "beyond the recordings": (_patched(b"shdr", 24, struct.pack("<I", 10**6)), "sample 'low' at 0..1000000 of 2092"),
    "no rate": (_patched(b"shdr", 36, bytes(4)), "sample 'low' .* 0 Hz"),
    "compressed": (_patched(b"shdr", 44, struct.pack("<H", 0x11)), "sample 'low' is compressed"),
    "zones out of order": (_patched(b"inst", 20, struct.pack("<H", 9)), "zone indices out of order"),
    "generators out of order": (_patched(b"ibag", 4, struct.pack("<H", 99)), "generator indices out of order"),
    "unknown sample": (_patched(b"igen", 4 * 4 + 2, struct.pack("<h", 2)), "names entry 2 of a list of 2"),
    "unknown instrument": (_patched(b"pgen", 4 * 5 + 2, struct.pack("<h", -1)), "names entry 65535 of a list of 2"),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_damaged_files_are_refused_in_one_line(tmp_path: Path, damage: str) -> None:
    data, text = DAMAGED[damage]
    path = tmp_path / "bad.sf2"
    path.write_bytes(data)
    with pytest.raises(DataError, match=rf"bad\.sf2: .*{text}.* - expected a whole SoundFont 2 file") as caught:
        read_sound_font(path)
    assert "\n" not in str(caught.value)


def test_what_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.sf2: cannot be read \(No such file or directory\) - expected"):
        read_sound_font(tmp_path / "none.sf2")
    with pytest.raises(DataError, match="cannot be read"):
        read_sound_font(tmp_path)


def test_recordings_that_are_not_in_the_file_do_not_sound(tmp_path: Path) -> None:
    path = tmp_path / "rom.sf2"
    path.write_bytes(_patched(b"shdr", 44, struct.pack("<H", 0x8001)))
    font = read_sound_font(path)
    assert [voice.sample.name for voice in font.voices(0, 60, 100)] == ["high"]
    assert font.recordings(0) == {1}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    changes=st.lists(st.tuples(st.integers(0, len(FONT) - 1), st.integers(0, 255)), max_size=6),
    length=st.integers(0, len(FONT)) | st.just(len(FONT)),
)
def test_any_damage_is_an_error_or_sounds(tmp_path: Path, changes: list[tuple[int, int]], length: int) -> None:
    data = bytearray(FONT)
    lists = FONT.index(b"pdta")
    for at, value in changes:
        data[lists + at % (len(FONT) - lists)] = value  # where it can hurt
    path = tmp_path / "fuzzed.sf2"
    path.write_bytes(data[:length])
    try:
        font = read_sound_font(path)
    except DataError:
        return
    for _, program in [key for key in font.presets if key[0] == 0]:
        for key in (0, 60, 127):
            assert np.isfinite(render_note(font, program, key, seconds=0.02, held=0.01)).all()


def test_missing_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "files", missing)
    monkeypatch.setattr(util, "find_spec", lambda name: None)
    with pytest.raises(DataError, match=r"TimGM6mb\.sf2: not found .* pip install 'spectrogram-zoo\[quickstart\]'"):
        find_sound_font()


def test_the_package_is_found_but_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a folder on the path without metadata, with code that would fail."""
    package = tmp_path / "pretty_midi"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    (package / "TimGM6mb.sf2").write_bytes(FONT)
    monkeypatch.setattr(metadata, "files", lambda name: None)
    monkeypatch.syspath_prepend(tmp_path)
    assert find_sound_font() == package / "TimGM6mb.sf2"
    assert "pretty_midi" not in sys.modules
