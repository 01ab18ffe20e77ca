"""The quickstart's audio: two-second notes of recorded instruments, labelled with their pitch class.

The notes come from the recordings of a sound font: every program (instrument) plays each of the twelve pitch classes
once, in an octave, at a loudness, an onset and a length that are drawn. Programs that share recordings form a group,
and a group lies on one side of the split, so that a model is measured on instruments that it never heard.

Pitch class is the task because it is the one with honest groups in numbers: families of instruments have a few groups
each, and a family never heard in training is guesswork, while each pitch class is played by every group.
"""

import csv
import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import torch

from zoo.data.prepare.render import render_note
from zoo.data.prepare.sound_font import SoundFont, find_sound_font, read_sound_font
from zoo.draws import clip_keys, stable_id, uniform
from zoo.errors import DataError

PITCH_CLASSES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
FAMILIES = (
    *("piano", "chromatic percussion", "organ", "guitar", "bass", "strings", "ensemble", "brass"),
    *("reed", "pipe", "synth lead", "synth pad", "synth effects", "ethnic", "percussive", "sound effects"),
)
"""General MIDI: eight programs each."""

SAMPLE_RATE = 16_000
SECONDS = 2.0
COLUMNS = ("filename", "label", "group", "program", "key", "family", "split", "seconds")

# The melodic programs without those that do not sound the key: orchestra hit (a chord), whistle (nine semitones low),
# and glockenspiel (below its range, the partial that is heard is a semitone off).
_PROGRAMS = tuple(program for program in range(112) if program not in (9, 55, 78))
_LOWEST_KEY, _NUM_OCTAVES = 36, 5  # C2 (65 Hz) to B6 (1,976 Hz)
_EVAL_SHARE = 0.3
_SILENT = 1e-3  # peak, of full scale
_SEED = 0
_STAMP = "prepared.json"
_VERSION = 1  # raise it when the same font would give other notes

Row = dict[str, str | int | float]


@dataclass(frozen=True)
class InstrumentSet:
    """A folder of notes: `manifest` is read like any other, with `split` "train" or "eval"."""

    folder: Path
    manifest: Path
    num_notes: int
    num_train: int
    num_eval: int
    num_programs: int
    num_groups: int
    num_eval_groups: int
    num_silent: int
    """Notes left out because the program plays nothing there in any octave."""
    was_ready: bool
    """Nothing had to be rendered."""

    @property
    def hours(self) -> float:
        return self.num_notes * SECONDS / 3600


def prepare_instruments(
    out: Path, sound_font: Path | None = None, progress: Callable[[int, int], None] | None = None
) -> InstrumentSet:
    """Render the notes into `out/audio` with `out/manifest.csv`, or find them there from an earlier call.

    Args:
        sound_font: a General MIDI SoundFont 2 file; None for the one that the extra `quickstart` installs.
        progress: called with (notes done, notes in all) after every note.

    Raises: DataError when the font is missing or damaged, or when `out` holds something else.
    """
    font_path = sound_font or find_sound_font()
    font = read_sound_font(font_path)
    made_from: dict[str, str | int] = {"version": _VERSION, "sound_font": font_path.name, "sha256": _sha256(font_path)}
    ready = _find_ready(out, made_from)
    if ready is not None:
        return ready
    if out.exists() and not _is_ours(out):
        raise DataError(f"{out}: holds something else - expected a new or empty folder - choose another")
    # Made under another name and renamed: a folder of that name is a complete one, wherever this is interrupted.
    work = out.parent / f".{out.name}.{os.getpid()}"
    try:
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        rows, num_silent = _render_all(font, work, progress)
        made = _write_tables(out, work, rows, num_silent, made_from)
        if out.exists():
            shutil.rmtree(out)
        os.replace(work, out)
    except (OSError, soundfile.LibsndfileError) as error:
        ready = _find_ready(out, made_from)  # another process may have been faster
        if ready is not None:
            return ready
        raise DataError(f"{out}: cannot be written ({error}) - expected room and permission") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return made


def group_programs(recordings: Mapping[int, Iterable[int]]) -> dict[int, str]:
    """Program -> name of its group; programs that share a recording, directly or through others, are in one group."""
    parent = {program: program for program in recordings}

    def root(program: int) -> int:
        while parent[program] != program:
            program = parent[program]
        return program

    first_user: dict[int, int] = {}
    for program in sorted(recordings):
        for recording in recordings[program]:
            other = root(first_user.setdefault(recording, program))
            here = root(program)
            parent[max(here, other)] = min(here, other)
    return {program: f"recordings-{root(program):03d}" for program in recordings}


def held_out_groups(groups: Mapping[int, str]) -> frozenset[str]:
    """The groups of the eval split: drawn, as many as stay within their share of the programs."""
    sizes = Counter(groups.values())
    left = _EVAL_SHARE * len(groups)
    chosen = set()
    for group in sorted(sizes, key=lambda name: stable_id(f"{_SEED}/{name}")):
        if sizes[group] <= left:
            chosen.add(group)
            left -= sizes[group]
    return frozenset(chosen)


def _render_all(font: SoundFont, out: Path, progress: Callable[[int, int], None] | None) -> tuple[list[Row], int]:
    programs = [program for program in _PROGRAMS if (0, program) in font.presets]
    groups = group_programs({program: font.recordings(program) for program in programs})
    held_out = held_out_groups(groups)
    (out / "audio").mkdir()
    rows: list[Row] = []
    for done, (program, pitch_class) in enumerate((p, c) for p in programs for c in range(12)):
        note = _draw_note(font, program, pitch_class)
        if note is not None:
            key, wave = note
            filename = f"audio/{program:03d}_{key:03d}.wav"
            soundfile.write(out / filename, wave, SAMPLE_RATE, subtype="PCM_16")
            split = "eval" if groups[program] in held_out else "train"
            values = (filename, PITCH_CLASSES[pitch_class], groups[program], program, key, FAMILIES[program // 8])
            rows.append(dict(zip(COLUMNS, (*values, split, SECONDS), strict=True)))
        if progress is not None:
            progress(done + 1, 12 * len(programs))
    if not rows:
        raise DataError(f"{font.path}: no audible melodic program - expected a General MIDI font")
    return rows, 12 * len(programs) - len(rows)


def _draw_note(font: SoundFont, program: int, pitch_class: int) -> tuple[int, np.ndarray] | None:
    """(key, waveform) in the first of the drawn octaves in which the program sounds; None if it does in none."""
    keys = clip_keys(_SEED, 0, torch.tensor([stable_id(f"{program}/{pitch_class}")]))
    octaves = uniform(keys, "octave", _NUM_OCTAVES)[0].argsort().tolist()
    loudness, onset, held = uniform(keys, "note", 3)[0].tolist()
    num_before = int(0.15 * SAMPLE_RATE * onset)
    for octave in octaves:
        key = _LOWEST_KEY + 12 * octave + pitch_class
        wave = render_note(
            font,
            program,
            key,
            velocity=60 + int(60 * loudness),
            seconds=SECONDS - num_before / SAMPLE_RATE,
            held=1.0 + 0.7 * held,
            sample_rate=SAMPLE_RATE,
        )
        peak = float(np.abs(wave).max())
        if peak >= _SILENT:
            return key, np.pad(wave / max(peak, 1.0), (num_before, 0))
    return None


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _write_tables(
    out: Path, work: Path, rows: list[Row], num_silent: int, made_from: dict[str, str | int]
) -> InstrumentSet:
    """The manifest, and last the stamp that says what it was made from; both into `work`, which is to become `out`."""
    with (work / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    splits = Counter(row["split"] for row in rows)
    counts = {
        "num_notes": len(rows),
        "num_train": splits["train"],
        "num_eval": splits["eval"],
        "num_programs": len({row["program"] for row in rows}),
        "num_groups": len({row["group"] for row in rows}),
        "num_eval_groups": len({row["group"] for row in rows if row["split"] == "eval"}),
        "num_silent": num_silent,
    }
    stamp = {"made_from": made_from, "manifest_sha256": _sha256(work / "manifest.csv"), "counts": counts}
    (work / _STAMP).write_text(json.dumps(stamp, indent=2) + "\n", encoding="utf-8")
    return InstrumentSet(out, out / "manifest.csv", **counts, was_ready=False)


def _is_ours(out: Path) -> bool:
    """Whether nothing but an earlier set is in `out`, so that it may be replaced."""
    names = {entry.name for entry in out.iterdir()} if out.is_dir() else {""}
    return not names or (_STAMP in names and names <= {_STAMP, "manifest.csv", "audio"})


def _find_ready(out: Path, made_from: dict[str, str | int]) -> InstrumentSet | None:
    """What an earlier call left in `out`, if it is of the same font and version and every note is still there."""
    manifest = out / "manifest.csv"
    try:
        stamp = json.loads((out / _STAMP).read_text(encoding="utf-8"))
        if stamp["made_from"] != made_from or stamp["manifest_sha256"] != _sha256(manifest):
            return None
        with manifest.open(newline="", encoding="utf-8") as file:
            expected = {Path(row["filename"]).name for row in csv.DictReader(file)}
        size = 44 + 2 * round(SECONDS * SAMPLE_RATE)  # header and 16-bit samples
        found = {entry.name for entry in os.scandir(out / "audio") if entry.stat().st_size == size}
        return InstrumentSet(out, manifest, **stamp["counts"], was_ready=True) if expected <= found else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
