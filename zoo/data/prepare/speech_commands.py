"""Speech Commands (Warden 2018): version 0.01 as SUPERB uses it (12 classes), version 0.02 with all 35 words.

Layout, the unpacked archive: `yes/0a7c2a8d_nohash_0.wav`, …, `_background_noise_/*.wav`, `validation_list.txt` and
`testing_list.txt`, whose lines are `yes/0a7c2a8d_nohash_0.wav`; what is in neither list is for training. The speaker is
what stands before `_nohash_`, and no speaker is in two splits.

Version 0.02: the 35 words in the order of the released AST checkpoint (`/m/spcmd00`, …). `_background_noise_` is no
class and is left out.

Version 0.01, after s3prl's `downstream/speech_commands` (SUPERB's keyword spotting): ten words, every other word as
`_unknown_`, and `_silence_`. Training and validation are split as above (s3prl hashes the speaker, which is how the
lists were made). The test set is the archive `speech_commands_test_set_v0.01` (3,081 clips), looked for in the root and
beside it; the clips of `testing_list.txt` are then left out, as in SUPERB. Without it they are the test split, which is
not SUPERB's.

Silence differs on purpose. s3prl counts the six noise files once each, draws them with the weight of a class, and cuts
a random second, of the same files in training and validation. A manifest has no weights, and sharing noise between the
splits flatters, so here silence is every whole second of each file: the last tenth for validation, the tenth before it
for testing where there is no test archive, the rest for training.
"""

import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from zoo.audio.decode import UnusableAudio, duration
from zoo.data.clip import Clip
from zoo.data.labels import LabelTable
from zoo.data.prepare.layout import AudioFiles, Collector, read_names
from zoo.data.prepare.preparer import Found, Preparer

WORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
UNKNOWN, SILENCE = "_unknown_", "_silence_"
NOISE = "_background_noise_"
ALL_WORDS = (
    *("backward", "follow", "five", "bed", "zero", "on", "learn", "two", "house", "tree", "dog", "stop", "seven"),
    *("eight", "down", "six", "forward", "cat", "right", "visual", "four", "wow", "no", "nine", "off", "three"),
    *("left", "marvin", "yes", "up", "sheila", "happy", "bird", "go", "one"),
)
TEST_ARCHIVE = "speech_commands_test_set_v0.01"
_ONLY_IN_V2 = ("backward", "follow", "forward", "learn", "visual")
_SPEAKER = re.compile(r"([0-9a-f]+)_nohash_")


def read_version_2(root: Path, options: Mapping[str, str]) -> Found:
    """The 35 words of version 0.02."""
    collector = Collector(AudioFiles(root))
    splits = _splits(root)
    noise = 0
    for name in _listed_or_there(collector.files, splits):
        word = name.split("/", 1)[0]
        if word in ALL_WORDS:
            collector.add(name, labels=(word,), split=splits.get(name, "train"), group=_speaker(name))
        elif word == NOISE:
            collector.files.find(name)
            noise += 1
    mids = {f"/m/spcmd{index:02d}": word for index, word in enumerate(ALL_WORDS)}
    labels = LabelTable(ALL_WORDS, "single-label", mids)
    notes = (f"{noise} files of {NOISE} are left out: they are no words",) if noise else ()
    return Found(tuple(collector.clips), tuple(collector.missing), collector.files.unused(), labels, notes)


def read_superb(root: Path, options: Mapping[str, str]) -> Found:
    """The 12 classes of SUPERB's keyword spotting from version 0.01."""
    archive = next((folder for folder in (root / TEST_ARCHIVE, root.parent / TEST_ARCHIVE) if folder.is_dir()), None)
    inside = f"{TEST_ARCHIVE}/"
    collector = Collector(AudioFiles(root))
    splits = _splits(root)
    silent: list[Clip] = []
    notes: list[str] = []
    left_out = 0
    for name in _listed_or_there(collector.files, splits):
        word = name.split("/", 1)[0]
        split = splits.get(name, "train")
        if "/" not in name or name.startswith(inside):
            continue
        if word == NOISE:
            collector.files.find(name)
            silent += _silence(root / name, name, archive is None, notes)
        elif split == "test" and archive is not None:
            collector.files.find(name)
            left_out += 1
        else:
            collector.add(name, labels=(word if word in WORDS else UNKNOWN,), split=split, group=_speaker(name))
    clips = collector.clips + silent
    extra = [name for name in collector.files.unused() if not name.startswith(inside)]
    if archive is None:
        notes.append(
            f"no {TEST_ARCHIVE} beside it: the test split is testing_list.txt, which is not SUPERB's test set; "
            "accuracies on it are not comparable with published ones"
        )
    else:
        tested = Collector(AudioFiles(archive))
        for name in tested.files.names:
            word = name.split("/", 1)[0]
            if word in (*WORDS, UNKNOWN, SILENCE):
                tested.add(name, inside + name, labels=(word,), split="test", group=_speaker(name))
        clips += tested.clips
        extra += [inside + name for name in tested.files.unused()]
        notes.append(f"the test split is {TEST_ARCHIVE}; {left_out:,} clips of testing_list.txt are left out for it")
    if any((root / word).is_dir() for word in _ONLY_IN_V2):
        notes.append("this is version 0.02, which has more words: SUPERB's numbers are those of version 0.01")
    labels = LabelTable((*WORDS, UNKNOWN, SILENCE), "single-label")
    return Found(tuple(clips), tuple(collector.missing), tuple(extra), labels, tuple(notes))


def _splits(root: Path) -> dict[str, str]:
    """The split of every clip that the two lists name."""
    lists = (("valid", "validation_list.txt"), ("test", "testing_list.txt"))
    return {name: split for split, file in lists for name in read_names(root / file)}


def _listed_or_there(files: AudioFiles, splits: Mapping[str, str]) -> list[str]:
    """Every clip once, by name: the audio as it is there, and what the lists name without audio being there."""
    known = set(files.names)
    by_stem = {name.rsplit(".", 1)[0] for name in known}
    return sorted(known | {name for name in splits if name.rsplit(".", 1)[0] not in by_stem})


def _speaker(name: str) -> str | None:
    found = _SPEAKER.search(PurePosixPath(name).name)
    return found[1] if found else None


def _silence(path: Path, name: str, also_test: bool, notes: list[str]) -> list[Clip]:
    """Every whole second of one noise file."""
    try:
        seconds = int(duration(path))
    except UnusableAudio as error:
        notes.append(f"{name} gives no silence: {error.reason}")
        return []
    tenth = max(1, round(seconds / 10))
    clips = []
    for start in range(seconds):
        left = seconds - start
        split = "valid" if left <= tenth else "test" if also_test and left <= 2 * tenth else "train"
        clips.append(Clip(path, f"{name}#{start}-{start + 1}", (SILENCE,), float(start), float(start + 1), split=split))
    return clips


_LAYOUT = "yes/, no/, …, _background_noise_/, validation_list.txt and testing_list.txt"
_LANDMARKS = (("validation_list.txt", "testing_list.txt"),)

SPEECH_COMMANDS_V1 = Preparer(
    "speech-commands-v1",
    "Speech Commands 0.01, the 12 classes of SUPERB's keyword spotting",
    "single-label",
    "http://download.tensorflow.org/data/speech_commands_v0.01.tar.gz and speech_commands_test_set_v0.01.tar.gz",
    "CC BY 4.0",
    f"{_LAYOUT}; {TEST_ARCHIVE}/ in it or beside it",
    _LANDMARKS,
    read_superb,
)
SPEECH_COMMANDS_V2 = Preparer(
    "speech-commands-v2",
    "Speech Commands 0.02, all 35 words",
    "single-label",
    "http://download.tensorflow.org/data/speech_commands_v0.02.tar.gz",
    "CC BY 4.0",
    _LAYOUT,
    _LANDMARKS,
    read_version_2,
)
