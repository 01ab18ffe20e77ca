"""UrbanSound8K (Salamon, Jacoby, Bello 2014): 8,732 slices of up to four seconds, ten official folds.

Layout: `metadata/UrbanSound8K.csv` (slice_file_name, fsID, start, end, salience, fold, classID, class) beside
`audio/fold1/100032-3-0-0.wav`, …; copies with `fold1/` and the CSV in one folder are read too. `start` and `end` count
in the recording of Freesound that a slice was cut from, not in the slice, so they are left out. Slices of one recording
(`fsID`) lie in one fold, so recordings are the groups. Classes are in the order of `classID`.
"""

from collections.abc import Mapping
from pathlib import Path

from zoo.data.labels import LabelTable
from zoo.data.prepare.layout import AudioFiles, Collector, find_file, read_rows
from zoo.data.prepare.preparer import Found, Preparer

CLASSES = (
    *("air_conditioner", "car_horn", "children_playing", "dog_bark", "drilling"),
    *("engine_idling", "gun_shot", "jackhammer", "siren", "street_music"),
)


def read_urbansound8k(root: Path, options: Mapping[str, str]) -> Found:
    """Every slice with its fold."""
    inside = "audio/" if (root / "audio").is_dir() else ""
    collector = Collector(AudioFiles(root, [f"{inside}fold{fold}" for fold in range(1, 11)]))
    table = find_file(root, "UrbanSound8K.csv", depth=1) or root / "metadata" / "UrbanSound8K.csv"
    for row in read_rows(table, ("slice_file_name", "fsID", "fold", "class")):
        name = f"fold{row['fold']}/{row['slice_file_name']}"
        collector.add(inside + name, f"audio/{name}", labels=(row["class"],), fold=row["fold"], group=row["fsID"])
    labels = LabelTable(CLASSES, "single-label")
    return Found(tuple(collector.clips), tuple(collector.missing), collector.files.unused(), labels)


URBANSOUND8K = Preparer(
    "urbansound8k",
    "UrbanSound8K: 8,732 urban sounds, 10 classes, 10 folds",
    "single-label",
    "https://urbansounddataset.weebly.com/urbansound8k.html",
    "CC BY-NC 3.0",
    "metadata/UrbanSound8K.csv beside audio/fold1/ to audio/fold10/",
    (("metadata/UrbanSound8K.csv",), ("UrbanSound8K.csv", "fold1")),
    read_urbansound8k,
)
