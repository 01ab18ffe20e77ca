"""OpenMIC-2018 (Humphrey, Durand, McFee 2018): 20,000 ten-second clips of music, 20 instruments, partly labelled.

Layout, the unpacked archive: `audio/000/000046_3840.ogg`, `openmic-2018-aggregated-labels.csv` (sample_key, instrument,
relevance, num_responses) and `partitions/split01_train.csv`, `partitions/split01_test.csv` (one key a line). With
`openmic-2018-metadata.csv` there, artists are the groups; no artist is in both splits.

An instrument with a relevance of .5 or more is present, as in the authors' code. Only about two instruments of a clip
were asked about; a manifest has no word for "not asked", so those count as absent here. Training then sees some false
absences, and the mAP is lower than the published ones, which are taken over the asked pairs alone.
"""

from collections.abc import Mapping
from pathlib import Path

from zoo.data.labels import LabelTable
from zoo.data.prepare.layout import AudioFiles, Collector, read_names, read_rows
from zoo.data.prepare.preparer import Found, Preparer
from zoo.errors import DataError

CLASSES = (
    *("accordion", "banjo", "bass", "cello", "clarinet", "cymbals", "drums", "flute", "guitar", "mallet_percussion"),
    *("mandolin", "organ", "piano", "saxophone", "synthesizer", "trombone", "trumpet", "ukulele", "violin", "voice"),
)
_TABLE = "openmic-2018-aggregated-labels.csv"
_PRESENT = 0.5


def read_openmic2018(root: Path, options: Mapping[str, str]) -> Found:
    """Every clip of the table, with the instruments that are present."""
    relevance: dict[str, dict[str, float]] = {}
    for row in read_rows(root / _TABLE, ("sample_key", "instrument", "relevance")):
        try:
            relevance.setdefault(row["sample_key"], {})[row["instrument"]] = float(row["relevance"])
        except ValueError:
            raise DataError(
                f"{root / _TABLE}: relevance {row['relevance']!r} of {row['sample_key']} - expected 0 to 1 - "
                "fetch the file again"
            ) from None
    splits = {
        key: split for split in ("train", "test") for key in read_names(root / "partitions" / f"split01_{split}.csv")
    }
    metadata = root / "openmic-2018-metadata.csv"
    artists = {}
    if metadata.exists():
        artists = {row["sample_key"]: row["artist_id"] for row in read_rows(metadata, ("sample_key", "artist_id"))}
    collector = Collector(AudioFiles(root, ["audio"]))
    for key in sorted(relevance):
        present = tuple(name for name in CLASSES if relevance[key].get(name, 0.0) >= _PRESENT)
        collector.add(f"audio/{key[:3]}/{key}.ogg", labels=present, split=splits.get(key), group=artists.get(key))
    unknown = {name for asked in relevance.values() for name in asked} - set(CLASSES)
    if unknown:
        raise DataError(f"{root / _TABLE}: instruments {sorted(unknown)} - expected {list(CLASSES)} - fetch it again")
    asked = sum(map(len, relevance.values()))
    note = (
        f"{asked:,} of {len(relevance) * len(CLASSES):,} pairs of clip and instrument were asked about; the others "
        "count as absent, so the mAP is not that of the literature (taken over asked pairs)"
    )
    labels = LabelTable(CLASSES, "multi-label")
    return Found(tuple(collector.clips), tuple(collector.missing), collector.files.unused(), labels, (note,))


OPENMIC2018 = Preparer(
    "openmic2018",
    "OpenMIC-2018: 20,000 clips of music, 20 instruments, partly labelled",
    "multi-label",
    "https://zenodo.org/records/1432913",
    "CC BY 4.0",
    f"{_TABLE} and partitions/ beside audio/000/000046_3840.ogg, …",
    ((_TABLE,),),
    read_openmic2018,
)
