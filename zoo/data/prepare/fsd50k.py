"""FSD50K (Fonseca et al. 2022): 51,197 clips of Freesound, 200 classes of AudioSet, several a clip.

Layout, that of the unpacked archives: `FSD50K.dev_audio/64760.wav`, `FSD50K.eval_audio/37199.wav` and
`FSD50K.ground_truth/` with `vocabulary.csv` (index, label, mid; no header), `dev.csv` (fname, labels, mids, split) and
`eval.csv` (fname, labels, mids). Names are those of the vocabulary, in its order: `Acoustic_guitar`.

The splits are train and val of dev.csv (val is called valid here, as for every data set) and eval, called test. Where
`FSD50K.metadata/` is there, the uploaders are the groups.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from zoo.data.labels import LabelTable
from zoo.data.prepare.layout import AudioFiles, Collector, read_cells, read_rows
from zoo.data.prepare.preparer import Found, Preparer
from zoo.errors import DataError

_TRUTH = "FSD50K.ground_truth"
_SPLITS = {"val": "valid"}


def read_fsd50k(root: Path, options: Mapping[str, str]) -> Found:
    """Both parts; eval only where its table is there."""
    labels = _vocabulary(root / _TRUTH / "vocabulary.csv")
    collector = Collector(AudioFiles(root, ["FSD50K.dev_audio", "FSD50K.eval_audio"]))
    parts = [("dev", "train"), ("eval", "test")]
    for part, split in parts:
        table = root / _TRUTH / f"{part}.csv"
        if part == "eval" and not table.exists():
            continue
        uploaders = _uploaders(root / "FSD50K.metadata" / f"{part}_clips_info_FSD50K.json")
        columns = ("fname", "labels", "split") if part == "dev" else ("fname", "labels")
        for row in read_rows(table, columns):
            collector.add(
                f"FSD50K.{part}_audio/{row['fname']}.wav",
                labels=tuple(name.strip() for name in row["labels"].split(",") if name.strip()),
                split=_SPLITS.get(row["split"], row["split"]) if part == "dev" else split,
                group=uploaders.get(row["fname"]),
            )
    return Found(tuple(collector.clips), tuple(collector.missing), collector.files.unused(), labels)


def _vocabulary(path: Path) -> LabelTable:
    rows = [row for row in read_cells(path) if row[0].isdecimal()]
    if not rows or any(len(row) < 3 for row in rows):
        raise DataError(f"{path}: no rows of index, label, mid - expected the 200 classes - fetch the file again")
    rows.sort(key=lambda row: int(row[0]))
    return LabelTable(tuple(row[1] for row in rows), "multi-label", {row[2]: row[1] for row in rows})


def _uploaders(path: Path) -> dict[str, str]:
    """Who uploaded which clip; nobody known where there is no metadata."""
    if not path.exists():
        return {}
    try:
        clips = json.loads(path.read_text(encoding="utf-8"))
        return {str(name): str(clip["uploader"]).strip() for name, clip in clips.items() if clip.get("uploader")}
    except (ValueError, AttributeError, TypeError, KeyError) as error:
        raise DataError(f"{path}: {error} - expected the uploaders as distributed - fetch the file again") from None


FSD50K = Preparer(
    "fsd50k",
    "FSD50K: 51,197 clips of Freesound, 200 classes",
    "multi-label",
    "https://zenodo.org/records/4060432",
    "CC BY 4.0 as a whole; each clip its own (CC0, BY, BY-NC, Sampling+)",
    f"{_TRUTH}/ (vocabulary.csv, dev.csv, eval.csv) beside FSD50K.dev_audio/ and FSD50K.eval_audio/",
    ((f"{_TRUTH}/dev.csv",),),
    read_fsd50k,
)
