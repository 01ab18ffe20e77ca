"""NSynth (Engel et al. 2017): 305,979 notes of four seconds, each of one instrument.

Layout, the unpacked archives `nsynth-train.jsonwav`, `nsynth-valid.jsonwav`, `nsynth-test.jsonwav`: in `nsynth-train/`
and so on an `examples.json` (name of the note to its fields) and `audio/bass_synthetic_033-022-050.wav`. One of the
three is enough. Instruments are the groups; none of training is in the other two.

The label is the family of the instrument (11; `synth_lead` is in training alone), or with `label=source` whether it is
acoustic, electronic or synthetic, or with `label=pitch` the MIDI pitch, 0 to 127, as its number.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from zoo.data.labels import LabelTable
from zoo.data.prepare.layout import AudioFiles, Collector
from zoo.data.prepare.preparer import Found, Preparer
from zoo.data.problems import listed
from zoo.errors import DataError

FAMILIES = (
    *("bass", "brass", "flute", "guitar", "keyboard", "mallet", "organ", "reed", "string", "synth_lead", "vocal"),
)
SOURCES = ("acoustic", "electronic", "synthetic")
PITCHES = tuple(str(pitch) for pitch in range(128))
_SPLITS = ("train", "valid", "test")
_CHOICES = {
    "family": ("instrument_family_str", FAMILIES),
    "source": ("instrument_source_str", SOURCES),
    "pitch": ("pitch", PITCHES),
}


def read_nsynth(root: Path, options: Mapping[str, str]) -> Found:
    """The notes of all parts that are there."""
    column, names = _CHOICES[options["label"]]
    parts = [split for split in _SPLITS if (root / f"nsynth-{split}" / "examples.json").exists()]
    collector = Collector(AudioFiles(root, [f"nsynth-{split}/audio" for split in parts]))
    for split in parts:
        path = root / f"nsynth-{split}" / "examples.json"
        try:
            notes = json.loads(path.read_text(encoding="utf-8"))
            for name, note in notes.items():
                collector.add(
                    f"nsynth-{split}/audio/{name}.wav",
                    labels=(str(note[column]),),
                    split=split,
                    group=str(note["instrument_str"]),
                )
        except (ValueError, AttributeError, TypeError, KeyError) as error:
            raise DataError(
                f"{path}: {type(error).__name__} {error} - expected NSynth's notes with {column} - fetch it again"
            ) from None
    absent = [f"nsynth-{split}" for split in _SPLITS if split not in parts]
    remarks = (f"no {listed(absent)}: left out",) if absent else ()
    labels = LabelTable(names, "single-label")
    return Found(tuple(collector.clips), tuple(collector.missing), collector.files.unused(), labels, remarks)


NSYNTH = Preparer(
    "nsynth",
    "NSynth: 305,979 notes of 4 s, 11 families of instruments",
    "single-label",
    "https://magenta.tensorflow.org/datasets/nsynth",
    "CC BY 4.0",
    "nsynth-train/, nsynth-valid/ or nsynth-test/, each with examples.json and audio/",
    tuple((f"nsynth-{split}/examples.json",) for split in _SPLITS),
    read_nsynth,
    {"label": tuple(_CHOICES)},
)
