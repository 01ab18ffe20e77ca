"""LibriSpeech (Panayotov et al. 2015): 1,000 hours of English read aloud, here for pretraining without labels.

Layout, the unpacked archives: `LibriSpeech/train-clean-100/84/121123/84-121123-0000.flac`, with
`84-121123.trans.txt` beside it, whose lines begin with the names of the chapter's utterances: that tells what is
missing. The subsets that are there are the splits; speakers (the first folder) are the groups.
"""

from collections.abc import Mapping
from pathlib import Path

from zoo.data.prepare.layout import AudioFiles, Collector, read_names
from zoo.data.prepare.preparer import Found, Preparer

SUBSETS = (
    *("train-clean-100", "train-clean-360", "train-other-500"),
    *("dev-clean", "dev-other", "test-clean", "test-other"),
)


def read_librispeech(root: Path, options: Mapping[str, str]) -> Found:
    """Every utterance of the subsets that are there, by name."""
    subsets = [subset for subset in SUBSETS if (root / subset).is_dir()]
    collector = Collector(AudioFiles(root, subsets))
    for subset in subsets:
        names = {name for name in collector.files.names if name.startswith(f"{subset}/") and name.count("/") == 3}
        there = {name.rsplit(".", 1)[0] for name in names}
        for transcript in (root / subset).glob("*/*/*.trans.txt"):
            chapter = transcript.parent.relative_to(root).as_posix()
            spoken = {f"{chapter}/{line.split(' ', 1)[0]}" for line in read_names(transcript)}
            names |= {f"{name}.flac" for name in spoken - there}
        for name in sorted(names):
            collector.add(name, split=subset, group=name.split("/")[1])
    return Found(tuple(collector.clips), tuple(collector.missing), collector.files.unused())


LIBRISPEECH = Preparer(
    "librispeech",
    "LibriSpeech: 1,000 hours of English read aloud, for pretraining",
    "none",
    "https://www.openslr.org/12",
    "CC BY 4.0",
    "train-clean-100/84/121123/84-121123-0000.flac, …; any of the seven subsets",
    tuple((subset,) for subset in SUBSETS),
    read_librispeech,
)
