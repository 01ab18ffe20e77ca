"""The quickstart's notes: balanced, never straddling the split, the same each time, and made once."""

import csv
import os
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from zoo.data.manifest import SourceConfig, read_manifest
from zoo.data.prepare import instruments
from zoo.data.prepare.instruments import (
    COLUMNS,
    PITCH_CLASSES,
    InstrumentSet,
    group_programs,
    held_out_groups,
    prepare_instruments,
)
from zoo.data.prepare.render import render_note
from zoo.data.prepare.sound_font import Sample, SoundFont, find_sound_font, read_sound_font
from zoo.data.prepare.sound_font_generator import Gen
from zoo.errors import DataError

SHARED = {0: [0], 1: [0, 1], 2: [1], 3: [2], 4: [3], 5: [4]}  # 0, 1 and 2 hang together; 5 is silent below key 84


def _font(path: Path) -> SoundFont:
    """Programs of one zone a recording: looped tones of one period, an octave apart in colour, at middle C."""
    period = np.arange(168) / 168
    tones = [sum(np.sin(2 * np.pi * k * period) for k in range(1, i + 3)) / (i + 2) for i in range(5)]
    wave = np.round(np.concatenate(tones) * 20_000).astype(np.int16)
    samples = tuple(
        Sample(f"tone {i}", 168 * i, 168 * (i + 1), 168 * i, 168 * (i + 1), 44_100, 60, 5) for i in range(5)
    )
    zone = {int(Gen.LOOP_MODE): 1}
    zones = [
        tuple(zone | {int(Gen.SAMPLE): i} | ({int(Gen.KEY_RANGE): 84 | 127 << 8} if p == 5 else {}) for i in used)
        for p, used in SHARED.items()
    ]
    presets = {(0, p): (f"program {p}", ({int(Gen.INSTRUMENT): p},)) for p in SHARED}
    return SoundFont(path, wave, samples, tuple(zones), MappingProxyType(presets))


def _quick_note(font: SoundFont, program: int, key: int, velocity: int, *, seconds: float, **_: float) -> np.ndarray:
    """Stands for the renderer where only files matter: a ramp that says what it is, or silence."""
    loud = 0.5 if font.voices(program, key, velocity) else 0.0
    return loud * np.linspace(-1, key / 128, round(seconds * instruments.SAMPLE_RATE))


@pytest.fixture
def font_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file in whose place the font above is read; its notes are short, and no real ones."""
    path = tmp_path / "six.sf2"
    path.write_bytes(b"stands for the font")
    monkeypatch.setattr(instruments, "read_sound_font", _font)
    monkeypatch.setattr(instruments, "_EVAL_SHARE", 0.4)
    monkeypatch.setattr(instruments, "SECONDS", 0.2)
    monkeypatch.setattr(instruments, "render_note", _quick_note)
    return path


@pytest.fixture
def real_notes(font_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instruments, "SECONDS", 2.0)
    monkeypatch.setattr(instruments, "render_note", render_note)


def _rows(made: InstrumentSet) -> list[dict[str, str]]:
    with made.manifest.open(newline="") as file:
        return list(csv.DictReader(file))


def _content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.usefixtures("real_notes")
def test_the_manifest_is_true_of_the_notes(font_file: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    made = prepare_instruments(tmp_path / "new" / "set", font_file, lambda done, total: seen.append((done, total)))
    rows = _rows(made)
    assert tuple(rows[0]) == COLUMNS
    assert seen == [(i + 1, 72) for i in range(72)]
    assert (made.num_notes, made.num_silent, made.num_programs, made.num_groups) == (72, 0, 6, 4)
    assert made.num_train + made.num_eval == len(rows) == 72
    assert made.num_eval == sum(row["split"] == "eval" for row in rows) > 0
    assert made.hours == pytest.approx(72 * 2 / 3600)
    assert not made.was_ready
    for row in rows:
        info = soundfile.info(made.folder / row["filename"])
        assert (info.samplerate, info.frames, info.channels, info.subtype) == (16_000, 32_000, 1, "PCM_16")
        key = int(row["key"])
        assert row["label"] == PITCH_CLASSES[key % 12]
        assert 36 <= key < 96
        assert float(row["seconds"]) == 2.0
        assert row["family"] == "piano"
        wave, _ = soundfile.read(made.folder / row["filename"])
        spectrum = np.abs(np.fft.rfft(wave[4_000:14_000] * np.hanning(10_000), 80_000))  # 0.2 Hz a bin
        first = int(np.flatnonzero(spectrum > 0.5 * spectrum.max())[0])
        fundamental = first + int(np.argmax(spectrum[first : first + 30]))
        assert abs(12 * np.log2(fundamental / 5 / 440) + 69 - key) < 0.2, row
    assert all(int(row["key"]) >= 84 for row in rows if row["program"] == "5"), "only there it sounds"
    assert sorted(os.listdir(tmp_path / "new")) == ["set"], "no folder of its own is left behind"


def test_pitch_classes_are_balanced_and_groups_never_straddle(font_file: Path, tmp_path: Path) -> None:
    rows = _rows(prepare_instruments(tmp_path / "set", font_file))
    for split in ("train", "eval"):
        counts = Counter(row["label"] for row in rows if row["split"] == split)
        assert set(counts) == set(PITCH_CLASSES)
        assert len(set(counts.values())) == 1
    splits = defaultdict(set)
    for row in rows:
        splits[row["group"]].add(row["split"])
    assert all(len(found) == 1 for found in splits.values())
    assert len({row["group"] for row in rows if row["program"] in "012"}) == 1


def test_the_manifest_is_read_like_any_other(font_file: Path, tmp_path: Path) -> None:
    made = prepare_instruments(tmp_path / "set", font_file)
    train = read_manifest(SourceConfig(path=str(made.manifest), split="train"), labelled=True)
    assert len(train) == made.num_train
    assert train.labels() == tuple(sorted(PITCH_CLASSES))
    assert all(clip.path.is_file() and clip.group for clip in train.clips)


def test_the_same_each_time(font_file: Path, tmp_path: Path) -> None:
    one, two = (prepare_instruments(tmp_path / name, font_file).folder for name in ("one", "two"))
    assert _content(one) == _content(two)


def test_made_once(font_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = prepare_instruments(tmp_path / "set", font_file)
    monkeypatch.setattr(instruments, "render_note", None)  # would fail if it was called
    assert prepare_instruments(tmp_path / "set", font_file) == replace(first, was_ready=True)


def _remove_note(folder: Path) -> None:
    next((folder / "audio").iterdir()).unlink()


def _cut_note(folder: Path) -> None:
    next((folder / "audio").iterdir()).write_bytes(b"RIFF")


def _change_manifest(folder: Path) -> None:
    (folder / "manifest.csv").write_text("filename,label\n")


def _break_stamp(folder: Path) -> None:
    (folder / "prepared.json").write_text("[1")


def _old_stamp(folder: Path) -> None:
    stamp = folder / "prepared.json"
    stamp.write_text(stamp.read_text().replace('"version": ', '"version": 99'))


@pytest.mark.parametrize("damage", [_remove_note, _cut_note, _change_manifest, _break_stamp, _old_stamp])
def test_made_again_when_it_is_not_whole(font_file: Path, tmp_path: Path, damage: Callable[[Path], None]) -> None:
    first = prepare_instruments(tmp_path / "set", font_file)
    before = _content(first.folder)
    damage(first.folder)
    assert not prepare_instruments(tmp_path / "set", font_file).was_ready
    assert _content(first.folder) == before


def test_made_again_for_another_font(font_file: Path, tmp_path: Path) -> None:
    prepare_instruments(tmp_path / "set", font_file)
    font_file.write_bytes(b"another")
    assert not prepare_instruments(tmp_path / "set", font_file).was_ready


@pytest.mark.parametrize("stop", [KeyboardInterrupt, OSError])
def test_an_interruption_leaves_nothing(font_file: Path, tmp_path: Path, stop: type[BaseException]) -> None:
    def interrupt(done: int, total: int) -> None:
        if done == 5:
            raise stop("no space left")

    with pytest.raises(KeyboardInterrupt if stop is KeyboardInterrupt else DataError):
        prepare_instruments(tmp_path / "set", font_file, interrupt)
    assert sorted(os.listdir(tmp_path)) == ["six.sf2"]


def test_a_folder_with_something_else_is_left_alone(font_file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "thesis.txt").write_text("years of work")
    with pytest.raises(DataError, match="mine: holds something else - expected a new or empty folder"):
        prepare_instruments(folder, font_file)
    with pytest.raises(DataError, match="holds something else"):
        prepare_instruments(font_file, font_file)
    made = prepare_instruments(tmp_path / "set", font_file)
    (made.folder / "manifest.csv").unlink()
    (made.folder / "thesis.txt").write_text("years of work")
    with pytest.raises(DataError, match="holds something else"):
        prepare_instruments(tmp_path / "set", font_file)
    assert (made.folder / "thesis.txt").read_text() == "years of work"
    (tmp_path / "empty").mkdir()
    assert prepare_instruments(tmp_path / "empty", font_file).num_notes == 72


def test_a_program_without_a_sound_is_dropped_and_counted(
    font_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(instruments, "_NUM_OCTAVES", 3)  # up to key 71, where program 5 has no zone
    made = prepare_instruments(tmp_path / "set", font_file)
    assert (made.num_notes, made.num_silent, made.num_programs) == (60, 12, 5)


def test_a_font_without_melodies_is_refused(font_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instruments, "_PROGRAMS", (99,))
    with pytest.raises(DataError, match="no audible melodic program - expected a General MIDI font"):
        prepare_instruments(tmp_path / "set", font_file)


def test_a_missing_font(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.sf2: cannot be read"):
        prepare_instruments(tmp_path / "set", tmp_path / "none.sf2")


def _slow_groups(recordings: dict[int, list[int]]) -> set[frozenset[int]]:
    """Merge until nothing changes."""
    groups = [({program}, set(used)) for program, used in recordings.items()]
    for _ in recordings:
        for one in groups:
            for other in groups:
                if one is not other and one[1] & other[1]:
                    one[0].update(other[0])
                    one[1].update(other[1])
    return {frozenset(max((g[0] for g in groups if program in g[0]), key=len)) for program in recordings}


@given(st.dictionaries(st.integers(0, 127), st.lists(st.integers(0, 30), max_size=3), max_size=20))
def test_groups_are_what_hangs_together(recordings: dict[int, list[int]]) -> None:
    found = defaultdict(set)
    for program, group in group_programs(recordings).items():
        found[group].add(program)
    assert {frozenset(programs) for programs in found.values()} == _slow_groups(recordings)
    assert all(group == f"recordings-{min(programs):03d}" for group, programs in found.items())


@given(st.lists(st.integers(1, 6), min_size=8, max_size=40))
def test_held_out_groups_stay_within_their_share(sizes: list[int]) -> None:
    groups = {p: f"g{i}" for i, size in enumerate(sizes) for p in range(10 * i, 10 * i + size)}
    held_out = held_out_groups(groups)
    share = sum(group in held_out for group in groups.values()) / len(groups)
    assert share <= 0.3
    assert share > 0.3 - 6 / len(groups), "nothing that fits is left out"


# ---- the real font


@pytest.fixture(scope="module")
def real_font_file() -> Path:
    try:
        return find_sound_font()
    except DataError:
        pytest.skip("the extra `quickstart` is not installed")


def test_the_split_of_the_real_font(real_font_file: Path) -> None:
    font = read_sound_font(real_font_file)
    used = {program: font.recordings(program) for program in instruments._PROGRAMS}
    groups = group_programs(used)
    held_out = held_out_groups(groups)
    train = set().union(*(used[p] for p in used if groups[p] not in held_out))
    evaluated = set().union(*(used[p] for p in used if groups[p] in held_out))
    assert not train & evaluated, "no recording is on both sides"
    assert len(set(groups.values())) == 46
    assert 0.25 < sum(group in held_out for group in groups.values()) / len(groups) <= 0.3
    assert len({program // 8 for program in used if groups[program] in held_out}) >= 8, "many families are heard"


def test_a_few_programs_of_the_real_font(real_font_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instruments, "_PROGRAMS", (0, 24, 56, 73))
    made = prepare_instruments(tmp_path / "set")
    assert (made.num_notes, made.num_silent, made.num_programs, made.num_groups) == (48, 0, 4, 4)
    peaks = [np.abs(soundfile.read(made.folder / row["filename"])[0]).max() for row in _rows(made)]
    assert min(peaks) > 0.01
    assert max(peaks) <= 1.0


@pytest.mark.slow
def test_the_whole_set(real_font_file: Path, tmp_path: Path) -> None:
    made = prepare_instruments(tmp_path / "set")
    assert (made.num_notes, made.num_silent, made.num_programs) == (1_308, 0, 109)
    counts = Counter((row["split"], row["label"]) for row in _rows(made))
    assert len(counts) == 24
    assert len(set(counts.values())) == 2
