"""AudioSet (Gemmeke et al. 2017): ten seconds of each of two million videos, 527 classes, several a clip.

Layout: `class_labels_indices.csv` (index, mid, display_name) and one or more of `balanced_train_segments.csv`,
`unbalanced_train_segments.csv` and `eval_segments.csv`, in SOURCE or up to two folders below it, and the audio anywhere
below SOURCE, one folder or many. The tables begin with three lines of comment; a row is
`--4gqARaEJE, 0.000, 10.000, "/m/068hy,/m/07q6cd_"`.

AudioSet is distributed as this list; everyone's audio is what YouTube had left on the day. So the names of files differ
(`ID.wav`, `YID.wav`, `ID_30.000_40.000.flac`, `ID_30000_40000.mp3`, …) and copies differ by many clips, which moves the
mAP: the missing ones are counted by split and listed. Ids are those of the videos: the same in every copy.

The splits keep AudioSet's names: balanced_train, unbalanced_train, eval.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from zoo.data.clip import Clip, clean_label
from zoo.data.labels import LabelTable
from zoo.data.prepare.layout import AudioFiles, find_file, read_cells
from zoo.data.prepare.preparer import Found, Preparer
from zoo.data.problems import Problems, listed
from zoo.errors import DataError

SPLITS = ("balanced_train", "unbalanced_train", "eval")
_LABELS = "class_labels_indices.csv"
_ID_LENGTH = 11
_TIMES = re.compile(r"(?:[_-](\d+(?:\.\d+)?))?(?:[_-](\d+(?:\.\d+)?))?")


@dataclass(frozen=True, slots=True)
class _Segment:
    labels: tuple[str, ...]
    split: str
    start: float
    end: float


def read_audioset(root: Path, options: Mapping[str, str]) -> Found:
    """The segments of all tables that are there."""
    table = find_file(root, _LABELS)
    tables = {split: path for split in SPLITS if (path := find_file(root, f"{split}_segments.csv")) is not None}
    if table is None or not tables:
        raise DataError(f"{root}: no {_LABELS if table is None else '*_segments.csv'} - expected {_LAYOUT} - add it")
    labels = LabelTable.read(str(table), "multi-label")
    segments: dict[str, _Segment] = {}
    problems = Problems(str(root))
    for split, path in tables.items():
        _read_segments(path, split, labels.aliases, segments, problems)
    problems.raise_if_any()
    files = AudioFiles(root)
    audio: dict[str, str] = {}
    for name in files.names:
        ytid = find_segment(PurePosixPath(name).stem, segments)
        if ytid is not None and ytid not in audio:
            audio[ytid] = name
            files.find(name)
    clips: list[Clip] = []
    missing: list[Clip] = []
    for ytid, segment in segments.items():
        clip = Clip(root / audio.get(ytid, ytid), ytid, segment.labels, split=segment.split)
        (clips if ytid in audio else missing).append(clip)
    absent = [split for split in SPLITS if split not in tables]
    notes = (f"no table of {listed(absent)}: these splits are left out",) if absent else ()
    return Found(tuple(clips), tuple(missing), files.unused(), labels, notes)


def _read_segments(
    path: Path, split: str, names: Mapping[str, str], segments: dict[str, _Segment], problems: Problems
) -> None:
    known: dict[str, tuple[str, ...]] = {}
    for row in read_cells(path):
        ytid = row[0]
        cell = ",".join(row[3:])  # without quotes around them, labels come apart
        try:
            if cell not in known:
                known[cell] = tuple(clean_label(names[mid.strip()]) for mid in cell.split(",") if mid.strip())
            segment = _Segment(known[cell], split, float(row[1]), float(row[2]))
        except (KeyError, ValueError, IndexError) as error:
            what = f"label {error} is not in {_LABELS}" if isinstance(error, KeyError) else f"row {row[:3]}"
            problems.add(f"{path}: {ytid}", f"{what} - expected ID, start, end, labels - fetch the table again")
            continue
        if ytid in segments:
            problems.add(f"{path}: {ytid}", "listed twice - expected every video once - take one row out")
        segments[ytid] = segment


def find_segment(stem: str, segments: Mapping[str, _Segment]) -> str | None:
    """The id that a file's name means; None where it is no segment's, or another part of the same video."""
    for begin in (0, 1) if stem[:1] == "Y" else (0,):
        ytid, rest = stem[begin : begin + _ID_LENGTH], stem[begin + _ID_LENGTH :]
        times = _TIMES.fullmatch(rest)
        segment = segments.get(ytid)
        if segment is not None and times is not None:
            wanted = (segment.start, segment.end)
            if all(is_time(text, seconds) for text, seconds in zip(times.groups(), wanted, strict=True)):
                return ytid
    return None


def is_time(text: str | None, seconds: float) -> bool:
    """Whether a number in a name is this time, in seconds or in milliseconds; no number is any time."""
    return text is None or float(text) in (seconds, round(seconds * 1000)) or float(text) == int(seconds)


_LAYOUT = (
    f"{_LABELS} and balanced_train_segments.csv, unbalanced_train_segments.csv or eval_segments.csv, "
    "and audio anywhere below (ID.wav, YID.wav, ID_30.000_40.000.flac, ID_30000_40000.mp3)"
)
AUDIOSET = Preparer(
    "audioset",
    "AudioSet: 10 s of 2 million videos, 527 classes; what your copy has of it",
    "multi-label",
    "https://research.google.com/audioset/download.html",
    "labels CC BY 4.0; the audio is its makers'",
    _LAYOUT,
    (),  # the tables may lie in a folder of their own, beside the audio: SOURCE is what holds both
    read_audioset,
)
