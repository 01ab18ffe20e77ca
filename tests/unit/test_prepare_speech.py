"""Speech: Speech Commands, LibriSpeech, VoxCeleb1 and IEMOCAP, each in a small imitation of its layout."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import soundfile

from zoo.data.clip import Clip
from zoo.data.labels import LabelTable
from zoo.data.manifest import SourceConfig, read_manifest
from zoo.data.prepare.speech_commands import ALL_WORDS, TEST_ARCHIVE
from zoo.errors import DataError
from zoo.use.prepare import prepare
from zoo.weights.catalogue import find

Tree = Callable[..., Path]


def clips_of(report: dict) -> dict[str, Clip]:
    manifest = read_manifest(SourceConfig(path=report["manifest"]), labelled=report["labels"] is not None)
    assert manifest.hash == report["hash"]
    return {clip.id: clip for clip in manifest.clips}


# Speech Commands

TRAINED = (
    "yes/aaaaaaaa_nohash_0.wav",
    "yes/aaaaaaaa_nohash_1.wav",
    "bed/bbbbbbbb_nohash_0.wav",
    "go/aaaaaaaa_nohash_0.wav",
)
VALIDATED = ("yes/cccccccc_nohash_0.wav", "cat/cccccccc_nohash_0.wav")
TESTED = ("stop/dddddddd_nohash_0.wav", "tree/dddddddd_nohash_0.wav", "off/dddddddd_nohash_3.wav")


def commands(root: Path, tree: Tree, without: str = "", noise: bool = True) -> Path:
    audio = {name: 0.2 for name in (*TRAINED, *VALIDATED, *TESTED) if name != without}
    noises = {
        "_background_noise_/hum.wav": 22.5,
        "_background_noise_/tap.wav": 10.0,
        "_background_noise_/README.md": "x",
    }
    lists = {"validation_list.txt": "\n".join(VALIDATED) + "\n", "testing_list.txt": "\n".join(TESTED) + "\n"}
    return tree(root, {**audio, **lists, **(noises if noise else {}), "LICENSE": "CC"})


def test_version_2_has_35_words_in_the_order_of_the_released_checkpoint(tmp_path: Path, file_tree: Tree) -> None:
    report = prepare(
        "speech-commands-v2", commands(tmp_path / "v2", file_tree, without=VALIDATED[1]), out=tmp_path / "o"
    )
    clips = clips_of(report)
    splits = {name: clip.split for name, clip in clips.items()}
    assert splits == {
        **dict.fromkeys(TRAINED, "train"),
        **dict.fromkeys(VALIDATED[:1], "valid"),
        **dict.fromkeys(TESTED, "test"),
    }
    assert clips["go/aaaaaaaa_nohash_0.wav"].group == clips["yes/aaaaaaaa_nohash_1.wav"].group == "aaaaaaaa"
    assert report["groups_in_several"]["split"] == 0
    assert report["missing"] == {"count": 1, "first": [VALIDATED[1]]}
    assert report["extra"]["count"] == 0
    table = LabelTable.read(report["labels"], "single-label")
    known = find("ast-base-stride10-speech-commands").labels
    assert known is not None
    assert table.names == tuple(known) == ALL_WORDS
    assert table.places(Clip(Path("x"), "x", ("/m/spcmd34",))) == (34,)


def test_superb_without_its_test_archive(tmp_path: Path, file_tree: Tree) -> None:
    root = commands(tmp_path / "v1", file_tree)
    report = prepare("speech-commands-v1", root, out=tmp_path / "out")
    clips = clips_of(report)
    labels = {name: clip.labels[0] for name, clip in clips.items() if clip.start is None}
    assert labels == {
        **{name: name.split("/")[0] for name in (*TRAINED, *VALIDATED, *TESTED)},
        **dict.fromkeys([TRAINED[2], VALIDATED[1], TESTED[1]], "_unknown_"),
    }
    silence = [clip for clip in clips.values() if clip.labels == ("_silence_",)]
    assert len(silence) == 22 + 10
    assert all(clip.stop - clip.start == 1.0 for clip in silence)
    assert Counter((clip.path.name, clip.split) for clip in silence) == {
        ("hum.wav", "train"): 18,
        ("hum.wav", "valid"): 2,
        ("hum.wav", "test"): 2,
        ("tap.wav", "train"): 8,
        ("tap.wav", "valid"): 1,
        ("tap.wav", "test"): 1,
    }
    last = {
        split: max(c.stop for c in silence if c.split == split and c.path.name == "hum.wav")
        for split in ("train", "test")
    }
    assert last == {"train": 18.0, "test": 20.0}  # no second is in two splits
    assert any("not SUPERB's test set" in note for note in report["notes"])
    table = LabelTable.read(report["labels"], "single-label")
    assert table.names == (
        *("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go", "_unknown_", "_silence_"),
    )


@pytest.mark.parametrize("beside", [True, False])
def test_superb_with_its_test_archive(tmp_path: Path, file_tree: Tree, beside: bool) -> None:
    root = commands(tmp_path / "speech_commands_v0.01", file_tree)
    archive = tmp_path / TEST_ARCHIVE if beside else root / TEST_ARCHIVE
    names = ("yes/eeeeeeee_nohash_0.wav", "_unknown_/ffffffff_nohash_0.wav", "_silence_/0.wav")
    file_tree(archive, dict.fromkeys(names, 0.3))
    report = prepare("speech-commands-v1", root, out=tmp_path / "out")
    tested = {name: clip for name, clip in clips_of(report).items() if clip.split == "test"}
    assert {name: clip.labels[0] for name, clip in tested.items()} == {
        f"{TEST_ARCHIVE}/{name}": name.split("/")[0] for name in names
    }
    assert tested[f"{TEST_ARCHIVE}/_unknown_/ffffffff_nohash_0.wav"].group == "ffffffff"
    assert report["extra"]["count"] == report["missing"]["count"] == 0
    assert Counter(c.split for c in clips_of(report).values() if c.labels == ("_silence_",)) == {
        "train": 20 + 9,
        "valid": 2 + 1,
        "test": 1,
    }
    assert any("3 clips of testing_list.txt are left out" in note for note in report["notes"])


def test_superb_given_the_folder_above(tmp_path: Path, file_tree: Tree) -> None:
    commands(tmp_path / "all" / "speech_commands_v0.01", file_tree)
    file_tree(tmp_path / "all" / TEST_ARCHIVE, {"yes/eeeeeeee_nohash_0.wav": 0.3})
    report = prepare("speech_commands_v1", tmp_path / "all", out=tmp_path / "out")
    assert report["splits"]["test"]["clips"] == 1
    assert any("found in" in note and "speech_commands_v0.01" in note for note in report["notes"])


def test_noise_that_cannot_be_read_gives_no_silence(tmp_path: Path, file_tree: Tree) -> None:
    root = commands(tmp_path / "v1", file_tree, noise=False)
    file_tree(root, {"_background_noise_/broken.wav": b"RIFF"})
    report = prepare("speech-commands-v1", root, out=tmp_path / "out")
    assert report["clips_of_class"]["_silence_"] == 0
    assert any("broken.wav gives no silence" in note for note in report["notes"])


def test_version_2_under_the_name_of_version_1_is_told(tmp_path: Path, file_tree: Tree) -> None:
    root = file_tree(commands(tmp_path / "v1", file_tree), {"visual/aaaaaaaa_nohash_0.wav": 0.1})
    report = prepare("speech-commands-v1", root, out=tmp_path / "out")
    assert any("version 0.02" in note for note in report["notes"])


# LibriSpeech


def libri(root: Path, tree: Tree) -> Path:
    chapter = "train-clean-100/103/1240/103-1240"
    return tree(
        root,
        {
            f"{chapter}-0000.flac": 0.3,
            f"{chapter}-0001.flac": 0.4,
            f"{chapter}.trans.txt": "103-1240-0000 CHAPTER ONE\n103-1240-0001 MISSUS RACHEL\n103-1240-0002 THAT HAD\n",
            "train-clean-100/1034/121119/1034-121119-0000.flac": 0.2,
            "dev-clean/84/121123/84-121123-0000.flac": 0.5,
            "dev-clean/84/121123/84-121123.trans.txt": "84-121123-0000 GO\n",
            "SPEAKERS.TXT": ";ID  |SEX| SUBSET |MINUTES| NAME\n103 | F | train-clean-100 | 25.0 | Karen\n",
        },
    )


def test_librispeech(tmp_path: Path, file_tree: Tree) -> None:
    report = prepare("librispeech", libri(tmp_path / "LibriSpeech", file_tree), out=tmp_path / "out")
    clips = clips_of(report)
    assert {name: (clip.split, clip.group) for name, clip in clips.items()} == {
        "train-clean-100/103/1240/103-1240-0000.flac": ("train-clean-100", "103"),
        "train-clean-100/103/1240/103-1240-0001.flac": ("train-clean-100", "103"),
        "train-clean-100/1034/121119/1034-121119-0000.flac": ("train-clean-100", "1034"),
        "dev-clean/84/121123/84-121123-0000.flac": ("dev-clean", "84"),
    }
    assert report["missing"] == {"count": 1, "first": ["train-clean-100/103/1240/103-1240-0002.flac"]}
    assert (report["labels"], report["task"], report["classes"]) == (None, None, 0)
    assert not (tmp_path / "out" / "labels.csv").exists()
    assert report["next"].startswith("zoo pretrain ")
    assert report["hash"] == report["hash_without_labels"]


# VoxCeleb1

UTTERANCES = [
    (1, "id10002/0_laIeN-Q44/00001.wav"),
    (1, "id10001/1zcIwhmdeo4/00001.wav"),
    (1, "id10001/1zcIwhmdeo4/00002.wav"),
    (2, "id10001/7gWzIy6yIIk/00001.wav"),
    (3, "id10001/9mQ11vBs1wc/00001.wav"),
    (3, "id10270/x6uYqmx31kE/00001.wav"),
]


@pytest.mark.parametrize("layout", ["wav", "dev/wav", "vox1/dev/wav"])
def test_voxceleb1(tmp_path: Path, file_tree: Tree, layout: str) -> None:
    lists = "".join(f"{number} {name}\n" for number, name in UTTERANCES)
    # Speakers from id10270 to id10309 are in the test archive of the verification task.
    other = layout.replace("dev", "test")
    audio = {f"{other if 'id10270' in name else layout}/{name}": 0.2 for _, name in UTTERANCES[1:]}
    root = file_tree(tmp_path / "VoxCeleb1", {"iden_split.txt": lists, **audio, f"{layout}/id10001/new/00001.wav": 0.1})
    report = prepare("voxceleb1", root, out=tmp_path / "out")
    clips = clips_of(report)
    assert {name: clip.split for name, clip in clips.items()} == {
        name: {1: "train", 2: "valid", 3: "test"}[number] for number, name in UTTERANCES[1:]
    }
    video = clips["id10001/1zcIwhmdeo4/00002.wav"]
    assert (video.labels, video.group) == (("id10001",), "id10001/1zcIwhmdeo4")
    assert LabelTable.read(report["labels"], "single-label").names == ("id10001", "id10002", "id10270")
    assert report["missing"] == {"count": 1, "first": ["id10002/0_laIeN-Q44/00001.wav"]}
    assert report["extra"]["count"] == 1
    assert report["groups_in_several"]["split"] == 0


def test_a_line_of_voxceleb1s_list_that_is_none(tmp_path: Path, file_tree: Tree) -> None:
    root = file_tree(
        tmp_path / "v", {"iden_split.txt": "1 id10001/a/1.wav\n4 id10001/a/2.wav\n", "wav/id10001/a/1.wav": 0.1}
    )
    with pytest.raises(DataError, match=r"iden_split.txt: '4 id10001/a/2.wav' - expected lines like 1 id10001"):
        prepare("voxceleb1", root, out=tmp_path / "out")


# IEMOCAP

EVALUATION = """% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]

[6.2901 - 8.2357]\tSes0{s}F_impro01_F000\tneu\t[2.5000, 2.5000, 2.5000]
C-E2:\tNeutral;\t()
C-F1:\tNeutral;\t(curious)

[10.0100 - 11.3925]\tSes0{s}F_impro01_M000\texc\t[2.5000, 2.5000, 2.5000]
[14.8872 - 18.0175]\tSes0{s}F_impro01_M001\thap\t[2.5000, 2.5000, 2.5000]
[19.2900 - 20.7875]\tSes0{s}F_impro01_F001\txxx\t[2.5000, 3.0000, 3.0000]
[21.3257 - 24.7400]\tSes0{s}F_impro01_F002\tfru\t[2.0000, 3.5000, 3.5000]
[25.0000 - 26.0000]\tSes0{s}F_impro01_F003\tang\t[2.0000, 3.5000, 3.5000]
"""


def iemocap(root: Path, tree: Tree, sessions: tuple[int, ...] = (1, 2, 3, 4, 5)) -> Path:
    files: dict[str, float | str | bytes] = {}
    for s in sessions:
        wav = f"Session{s}/sentences/wav/Ses0{s}F_impro01/Ses0{s}F_impro01"
        files |= {f"{wav}_{turn}.wav": 0.2 for turn in ("F000", "M000", "M001", "F001", "F002")}
        files[f"Session{s}/dialog/EmoEvaluation/Ses0{s}F_impro01.txt"] = EVALUATION.replace("{s}", str(s))
        files[f"Session{s}/dialog/EmoEvaluation/._Ses0{s}F_impro01.txt"] = b"\x00\x05\x16"
        files[f"Session{s}/dialog/EmoEvaluation/Categorical/Ses0{s}F_impro01_e2_cat.txt"] = (
            "Ses01F_impro01_F000 :sad; ()\n"
        )
        files[f"Session{s}/dialog/wav/Ses0{s}F_impro01.wav"] = 0.3  # the whole dialogue
    return tree(root, files)


def test_iemocap(tmp_path: Path, file_tree: Tree) -> None:
    report = prepare("iemocap", iemocap(tmp_path / "IEMOCAP_full_release", file_tree), out=tmp_path / "out")
    clips = clips_of(report)
    assert len(clips) == 15
    inside = "Session2/sentences/wav/Ses02F_impro01/Ses02F_impro01"
    assert clips[f"{inside}_F000.wav"].labels == ("neu",)
    assert clips[f"{inside}_M000.wav"].labels == clips[f"{inside}_M001.wav"].labels == ("hap",)
    # Who speaks, not who wore the markers: two speakers a session.
    assert (clips[f"{inside}_F000.wav"].group, clips[f"{inside}_M000.wav"].group) == ("Ses02F", "Ses02M")
    assert report["groups"] == 10
    assert report["groups_in_several"]["fold"] == 0
    assert {name: (part["clips"], part["missing"]) for name, part in report["folds"].items()} == {
        str(session): (3, 1) for session in (1, 2, 3, 4, 5)
    }
    assert LabelTable.read(report["labels"], "single-label").names == ("neu", "hap", "ang", "sad")
    assert report["extra"]["count"] == 0
    assert any(note.startswith("10 utterances of other emotions") for note in report["notes"])


def test_iemocap_in_part(tmp_path: Path, file_tree: Tree) -> None:
    report = prepare("iemocap", iemocap(tmp_path / "x", file_tree, sessions=(2, 5)), out=tmp_path / "out")
    assert list(report["folds"]) == ["2", "5"]
    assert any("no Session1, Session3, Session4" in note for note in report["notes"])


def test_another_format_of_the_same_audio_is_found(tmp_path: Path, file_tree: Tree) -> None:
    root = iemocap(tmp_path / "x", file_tree)
    for wav in list(root.glob("Session*/sentences/wav/*/*.wav")):
        wave, rate = soundfile.read(wav)
        soundfile.write(wav.with_suffix(".flac"), wave, rate)
        wav.unlink()
    report = prepare("iemocap", root, out=tmp_path / "out")
    assert report["clips"] == 15
    clip = clips_of(report)["Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav"]
    assert clip.path.suffix == ".flac"
