"""GTZAN (Tzanetakis, Cook 2002): 1,000 pieces of 30 seconds of music, 10 genres, no official split.

Layout: `genres/blues/blues.00000.au` as first distributed, or `genres_original/blues/blues.00000.wav` as on Kaggle.
The pieces are blues.00000 to rock.00099, so what a copy lacks is known; `jazz.00054` is damaged in the Kaggle copy and
comes up as unreadable.

Pieces repeat and artists are on both sides of any random split (Sturm 2013), so accuracies on one flatter. The
fault-filtered lists (Kereliuk, Sturm, Larsen 2015) are used when they lie anywhere beside: `train_filtered.txt`,
`valid_filtered.txt` and `test_filtered.txt`, with lines like `blues/blues.00029.wav`. Pieces in none of them get no
split.
"""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from zoo.data.labels import LabelTable
from zoo.data.prepare.layout import AudioFiles, Collector, find_file, read_names
from zoo.data.prepare.preparer import Found, Preparer

GENRES = ("blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock")
_PIECES = 100


def read_gtzan(root: Path, options: Mapping[str, str]) -> Found:
    """Every piece that was distributed."""
    folder = "genres_original" if (root / "genres_original").is_dir() else "genres"
    suffix = ".wav" if folder == "genres_original" else ".au"
    splits = {
        PurePosixPath(line).stem: split
        for split in ("train", "valid", "test")
        if (table := find_file(root, f"{split}_filtered.txt")) is not None
        for line in read_names(table)
    }
    collector = Collector(AudioFiles(root, [folder]))
    for genre in GENRES:
        for number in range(_PIECES):
            piece = f"{genre}.{number:05d}"
            collector.add(
                f"{folder}/{genre}/{piece}{suffix}", f"{genre}/{piece}", labels=(genre,), split=splits.get(piece)
            )
    outside = sum(clip.split is None for clip in collector.clips)
    note = (
        f"{outside} pieces are in none of the fault-filtered lists: they have no split"
        if splits
        else "no split: put train_filtered.txt, valid_filtered.txt and test_filtered.txt beside it (the fault-filtered "
        "lists), or make folds; any random split has artists on both sides"
    )
    labels = LabelTable(GENRES, "single-label")
    return Found(tuple(collector.clips), tuple(collector.missing), collector.files.unused(), labels, (note,))


GTZAN = Preparer(
    "gtzan",
    "GTZAN: 1,000 pieces of music, 10 genres",
    "single-label",
    "http://marsyas.info/downloads/datasets.html",
    "none stated",
    "genres/blues/*.au or genres_original/blues/*.wav, and so on for the 10 genres",
    (("genres_original",), ("genres",)),
    read_gtzan,
)
