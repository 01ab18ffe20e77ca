"""VoxCeleb1 (Nagrani, Chung, Zisserman 2017): 153,516 utterances of 1,251 celebrities, for naming the speaker.

Layout: `iden_split.txt` (fetched apart from the audio; lines are `1 id10001/1zcIwhmdeo4/00001.wav`) beside
`wav/id10001/1zcIwhmdeo4/00001.wav`, or beside `dev/wav/` and `test/wav/` (SUPERB's layout), or any folders called `wav`
up to three levels below. 1, 2 and 3 are training, validation and test of the identification task, in which every
speaker is on all sides and every video on one: videos are the groups. Classes are all speakers of the list by name,
which is the order of SUPERB.
"""

from collections.abc import Mapping
from pathlib import Path

from zoo.data.labels import LabelTable
from zoo.data.prepare.layout import AudioFiles, Collector, find_file, read_names
from zoo.data.prepare.preparer import Found, Preparer
from zoo.errors import DataError

_LIST = "iden_split.txt"
_SPLITS = {"1": "train", "2": "valid", "3": "test"}


def read_voxceleb1(root: Path, options: Mapping[str, str]) -> Found:
    """Every utterance of the identification list."""
    table = find_file(root, _LIST, depth=1) or root / _LIST
    lines = [line.split() for line in read_names(table)]
    wrong = next((line for line in lines if len(line) != 2 or line[0] not in _SPLITS or line[1].count("/") != 2), None)
    if wrong is not None:
        raise DataError(f"{table}: {' '.join(wrong)!r} - expected lines like 1 id10001/1zcIwhmdeo4/00001.wav")
    folders = [
        path.relative_to(root).as_posix()
        for pattern in ("wav", "*/wav", "*/*/wav")
        for path in sorted(root.glob(pattern))
        if path.is_dir()
    ]
    prefixes = [f"{folder}/" for folder in folders] or [""]
    collector = Collector(AudioFiles(root, folders or [""]))
    for number, name in lines:
        speaker, video, _ = name.split("/")
        places = [prefix + name for prefix in prefixes]
        place = next((place for place in places if collector.files.find(place)), places[0])
        collector.add(place, name, labels=(speaker,), split=_SPLITS[number], group=f"{speaker}/{video}")
    labels = LabelTable(tuple(sorted({name.split("/", 1)[0] for _, name in lines})), "single-label")
    return Found(tuple(collector.clips), tuple(collector.missing), collector.files.unused(), labels)


VOXCELEB1 = Preparer(
    "voxceleb1",
    "VoxCeleb1: 153,516 utterances of 1,251 speakers, identification",
    "single-label",
    "https://www.robots.ox.ac.uk/~vgg/data/voxceleb/vox1.html (audio) and …/meta/iden_split.txt",
    "CC BY 4.0; the videos are their makers'",
    f"{_LIST} beside wav/id10001/…, or beside dev/wav/ and test/wav/",
    ((_LIST,),),
    read_voxceleb1,
)
