"""ESC-50 and ESC-10 (Piczak 2015): environmental sounds of five seconds, five official folds.

Layout, that of the repository karolpiczak/ESC-50: `audio/1-100032-A-0.wav` and `meta/esc50.csv` with the columns
filename, fold, target, category, esc10, src_file, take. Recordings (`src_file`) lie in one fold each, so they are the
groups. ESC-10 is the part whose `esc10` is True; its ten classes keep the order of ESC-50.

The released AST code calls class i `/m/07rwj` and i in two digits; its lists of clips are understood with this table.
"""

from collections.abc import Mapping
from pathlib import Path

from zoo.data.labels import LabelTable
from zoo.data.prepare.layout import AudioFiles, Collector, read_rows, whole_number
from zoo.data.prepare.preparer import Found, Preparer

_COLUMNS = ("filename", "fold", "target", "category", "esc10", "src_file")


def read_esc50(root: Path, options: Mapping[str, str]) -> Found:
    """All 50 classes."""
    return _read(root, only_esc10=False)


def read_esc10(root: Path, options: Mapping[str, str]) -> Found:
    """The ten classes of ESC-10. The other clips are no extra files."""
    return _read(root, only_esc10=True)


def _read(root: Path, only_esc10: bool) -> Found:
    collector = Collector(AudioFiles(root, ["audio"]))
    names: dict[int, str] = {}
    table = root / "meta" / "esc50.csv"
    for row in read_rows(table, _COLUMNS):
        name = f"audio/{row['filename']}"
        if only_esc10 and row["esc10"].strip().lower() != "true":
            collector.files.find(name)
            continue
        names[whole_number(row["target"], f"{table}: target of {row['filename']}")] = row["category"]
        collector.add(name, labels=(row["category"],), fold=row["fold"], group=row["src_file"])
    mids = {f"/m/07rwj{target:02d}": name for target, name in names.items()}
    in_order = tuple(names[target] for target in sorted(names))
    labels = LabelTable(in_order, "single-label", {} if only_esc10 else mids)
    return Found(tuple(collector.clips), tuple(collector.missing), collector.files.unused(), labels)


_PAGE = "https://github.com/karolpiczak/ESC-50"
_LAYOUT = "meta/esc50.csv beside audio/1-100032-A-0.wav, …"
_LANDMARKS = (("meta/esc50.csv",),)

ESC50 = Preparer(
    "esc50",
    "ESC-50: 2,000 environmental sounds, 50 classes, 5 folds",
    "single-label",
    _PAGE,
    "CC BY-NC 3.0",
    _LAYOUT,
    _LANDMARKS,
    read_esc50,
)
ESC10 = Preparer(
    "esc10",
    "ESC-10: the 400 sounds of 10 classes of ESC-50, 5 folds",
    "single-label",
    _PAGE,
    "CC BY 3.0",
    _LAYOUT,
    _LANDMARKS,
    read_esc10,
)
