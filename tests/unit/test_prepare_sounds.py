"""Sounds and videos: ESC-50, ESC-10, UrbanSound8K, FSD50K and AudioSet, each in a small imitation of its layout."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from zoo.data.clip import Clip
from zoo.data.labels import LabelTable
from zoo.data.manifest import SourceConfig, read_manifest
from zoo.data.prepare.audioset import _Segment, find_segment
from zoo.errors import DataError
from zoo.use.prepare import prepare

Tree = Callable[..., Path]


def clips_of(report: dict) -> dict[str, Clip]:
    manifest = read_manifest(SourceConfig(path=report["manifest"]), labelled=report["labels"] is not None)
    assert manifest.hash == report["hash"]
    return {clip.id: clip for clip in manifest.clips}


def table_of(report: dict) -> LabelTable:
    return LabelTable.read(report["labels"], report["task"])


# ESC-50 and ESC-10

ESC_ROWS = [
    # Not in the order of the classes, and two takes of one recording.
    ("1-17367-A-10.wav", 1, 10, "rain", True, 17367, "A"),
    ("1-17367-B-10.wav", 1, 10, "rain", True, 17367, "B"),
    ("2-100032-A-0.wav", 2, 0, "dog", True, 100032, "A"),
    ("3-9999-A-7.wav", 3, 7, "insects", False, 9999, "A"),
    ("5-4444-A-7.wav", 5, 7, "insects", False, 4444, "A"),
]


def esc(root: Path, tree: Tree, without: tuple[str, ...] = ()) -> Path:
    header = "filename,fold,target,category,esc10,src_file,take\n"
    text = header + "".join(",".join(map(str, row)) + "\n" for row in ESC_ROWS)
    audio = {f"audio/{row[0]}": 0.5 for row in ESC_ROWS if row[0] not in without}
    # Classes without clips in this imitation keep their place in the table through one row each.
    extra = [target for target in range(11) if target not in (0, 7, 10)]
    text += "".join(f"9-{target}-A-{target}.wav,4,{target},class{target},False,{target},A\n" for target in extra)
    return tree(root, {"meta/esc50.csv": text, **audio, "meta/esc50-human.xlsx": b"x"})


def test_esc50(tmp_path: Path, file_tree: Tree) -> None:
    root = esc(tmp_path / "ESC-50-master", file_tree, without=("5-4444-A-7.wav",))
    file_tree(root, {"audio/mine.wav": 0.1})
    report = prepare("esc50", root, out=tmp_path / "out")
    clips = clips_of(report)
    dog = clips["audio/2-100032-A-0.wav"]
    assert (dog.labels, dog.fold, dog.group, dog.split) == (("dog",), "2", "100032", None)
    assert dog.path == root / "audio" / "2-100032-A-0.wav"
    assert report["clips"] == 4
    assert report["hours"] == pytest.approx(4 * 0.5 / 3600, abs=1e-4)
    assert report["missing"]["count"] == 9
    assert "audio/5-4444-A-7.wav" in (tmp_path / "out" / "missing.txt").read_text().splitlines()
    assert report["extra"] == {"count": 1, "first": ["audio/mine.wav"]}
    assert {name: (part["clips"], part["missing"]) for name, part in report["folds"].items()} == {
        **{"1": (2, 0), "2": (1, 0), "3": (1, 0), "4": (0, 8), "5": (0, 1)}
    }
    assert report["groups"] == 3
    assert report["groups_in_several"] == {"split": 0, "fold": 0}
    table = table_of(report)
    assert (table.names[0], table.names[7], table.names[10]) == ("dog", "insects", "rain")
    # The lists of the released AST code name classes by these.
    assert table.places(Clip(Path("x"), "x", ("/m/07rwj07",))) == (7,)


def test_esc10_keeps_the_order_and_the_folds(tmp_path: Path, file_tree: Tree) -> None:
    report = prepare("esc10", esc(tmp_path / "ESC-50", file_tree), out=tmp_path / "out")
    clips = clips_of(report)
    assert sorted(clips) == [f"audio/{row[0]}" for row in ESC_ROWS if row[4]]
    assert table_of(report).names == ("dog", "rain")
    assert report["extra"]["count"] == report["missing"]["count"] == 0


def test_a_recording_on_both_sides_is_told(tmp_path: Path, file_tree: Tree) -> None:
    root = esc(tmp_path / "ESC-50", file_tree)
    table = root / "meta" / "esc50.csv"
    table.write_text(table.read_text().replace("1-17367-B-10.wav,1,", "1-17367-B-10.wav,2,"))
    assert prepare("esc50", root, out=tmp_path / "out")["groups_in_several"]["fold"] == 1


# UrbanSound8K


def urban(root: Path, tree: Tree, inside: str = "audio/", table: str = "metadata/UrbanSound8K.csv") -> Path:
    rows = [
        "100032-3-0-0.wav,100032,0.0,0.317551,1,5,3,dog_bark",
        "100263-2-0-117.wav,100263,58.5,62.5,1,5,2,children_playing",
        "100263-2-0-121.wav,100263,60.5,64.5,1,5,2,children_playing",
        "100648-1-0-0.wav,100648,4.823402,5.471927,2,10,1,car_horn",
        "7061-6-0-0.wav,7061,0.0,1.0,1,1,6,gun_shot",
    ]
    audio = {f"{inside}fold{row.split(',')[5]}/{row.split(',')[0]}": 0.3 for row in rows[:-1]}
    header = "slice_file_name,fsID,start,end,salience,fold,classID,class\n"
    return tree(root, {table: header + "\n".join(rows) + "\n", **audio, f"{inside}fold1/.DS_Store": b"x"})


def test_urbansound8k(tmp_path: Path, file_tree: Tree) -> None:
    report = prepare("urbansound8k", urban(tmp_path / "UrbanSound8K", file_tree), out=tmp_path / "out")
    clips = clips_of(report)
    assert len(clips) == 4
    horn = clips["audio/fold10/100648-1-0-0.wav"]
    assert (horn.labels, horn.fold, horn.group) == (("car_horn",), "10", "100648")
    # The table's start and end count in the recording of Freesound, not in the slice.
    assert all(clip.start is None and clip.stop is None for clip in clips.values())
    assert list(report["folds"]) == ["1", "5", "10"]
    assert report["groups_in_several"]["fold"] == 0
    assert report["missing"] == {"count": 1, "first": ["audio/fold1/7061-6-0-0.wav"]}
    assert table_of(report).names[3] == "dog_bark"
    assert len(table_of(report)) == 10


def test_a_flat_copy_of_urbansound8k_is_the_same_set(tmp_path: Path, file_tree: Tree) -> None:
    first = prepare("urbansound8k", urban(tmp_path / "a", file_tree), out=tmp_path / "out1")
    flat = urban(tmp_path / "b", file_tree, inside="", table="UrbanSound8K.csv")
    assert prepare("urbansound8k", flat, out=tmp_path / "out2")["hash"] == first["hash"]


# FSD50K


def fsd(root: Path, tree: Tree, metadata: bool = True) -> Path:
    truth = "FSD50K.ground_truth"
    files: dict[str, float | str | bytes] = {
        f"{truth}/vocabulary.csv": "0,Accordion,/m/0mkg\n1,Acoustic_guitar,/m/042v_gx\n2,Guitar,/m/0342h\n",
        f"{truth}/dev.csv": 'fname,labels,mids,split\n64760,"Acoustic_guitar,Guitar","/m/042v_gx,/m/0342h",train\n'
        "16399,Accordion,/m/0mkg,val\n",
        f"{truth}/eval.csv": 'fname,labels,mids\n37199,"Guitar","/m/0342h"\n175151,Accordion,/m/0mkg\n',
        "FSD50K.dev_audio/64760.wav": 0.3,
        "FSD50K.dev_audio/16399.wav": 0.6,
        "FSD50K.eval_audio/37199.wav": 0.3,
    }
    if metadata:
        dev = {"64760": {"uploader": "ann"}, "16399": {"uploader": "ben"}}
        files["FSD50K.metadata/dev_clips_info_FSD50K.json"] = json.dumps(dev)
        files["FSD50K.metadata/eval_clips_info_FSD50K.json"] = json.dumps({"37199": {"uploader": "cid"}})
    return tree(root, files)


def test_fsd50k(tmp_path: Path, file_tree: Tree) -> None:
    report = prepare("fsd50k", fsd(tmp_path / "FSD50K", file_tree), out=tmp_path / "out")
    clips = clips_of(report)
    guitar = clips["FSD50K.dev_audio/64760.wav"]
    assert (guitar.labels, guitar.split, guitar.group) == (("Acoustic_guitar", "Guitar"), "train", "ann")
    assert {name: clip.split for name, clip in clips.items()} == {
        "FSD50K.dev_audio/64760.wav": "train",
        "FSD50K.dev_audio/16399.wav": "valid",
        "FSD50K.eval_audio/37199.wav": "test",
    }
    assert report["splits"]["test"]["missing"] == 1
    assert report["task"] == "multi-label"
    table = table_of(report)
    assert table.names == ("Accordion", "Acoustic_guitar", "Guitar")
    assert table.places(Clip(Path("x"), "x", ("/m/0342h", "/m/0mkg"))) == (0, 2)


def test_fsd50k_without_metadata_has_no_groups(tmp_path: Path, file_tree: Tree) -> None:
    report = prepare("fsd50k", fsd(tmp_path / "FSD50K", file_tree, metadata=False), out=tmp_path / "out")
    assert report["groups"] == 0
    assert (tmp_path / "out" / "manifest.csv").read_text().splitlines()[0] == "path,labels,split,id"


def test_a_label_outside_the_vocabulary_is_told_before_anything_is_written(tmp_path: Path, file_tree: Tree) -> None:
    root = fsd(tmp_path / "FSD50K", file_tree)
    (root / "FSD50K.ground_truth" / "vocabulary.csv").write_text("0,Accordion,/m/0mkg\n1,Guitar,/m/0342h\n")
    with pytest.raises(DataError, match="label 'Acoustic_guitar'"):
        prepare("fsd50k", root, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


# AudioSet

AUDIOSET_LABELS = (
    'index,mid,display_name\n0,/m/09x0r,"Speech"\n1,/m/05zppz,"Male speech, man speaking"\n2,/m/04rlf,"Music"\n'
)
COMMENTS = "# Segments csv created Sun Mar  5 10:54:31 2017\n# num_ytids=2\n# YTID, start_seconds, end_seconds, x\n"
BALANCED = [
    ("--4gqARaEJE", "0.000", "10.000", "/m/09x0r,/m/05zppz"),
    ("Y12345678_-", "30.000", "40.000", "/m/04rlf"),
    ("-0SdAVK79lg", "30.000", "40.000", "/m/04rlf,/m/09x0r"),
    ("abcdefghijk", "5.500", "15.500", "/m/09x0r"),
    ("never_there", "30.000", "40.000", "/m/04rlf"),
]
EVAL = [("EEEEEEEEEEE", "70.000", "80.000", "/m/05zppz"), ("gone_gone_g", "0.000", "10.000", "/m/04rlf")]


def segments(rows: list[tuple[str, str, str, str]]) -> str:
    return COMMENTS + "".join(f'{row[0]}, {row[1]}, {row[2]}, "{row[3]}"\n' for row in rows)


AUDIOSET_NAMES = {
    "--4gqARaEJE": ["--4gqARaEJE.wav", "Y--4gqARaEJE.wav", "--4gqARaEJE_0.000_10.000.flac", "--4gqARaEJE_0_10000.ogg"],
    "Y12345678_-": ["Y12345678_-.wav", "YY12345678_-.flac", "Y12345678_-_30_40.wav", "YY12345678_-_30000_40000.ogg"],
    "-0SdAVK79lg": ["-0SdAVK79lg.flac", "Y-0SdAVK79lg.wav", "-0SdAVK79lg_30.wav", "-0SdAVK79lg_30000.wav"],
    "abcdefghijk": [
        "abcdefghijk.wav",
        "Yabcdefghijk.wav",
        "abcdefghijk_5.500_15.500.wav",
        "abcdefghijk_5500_15500.wav",
    ],
    "EEEEEEEEEEE": ["EEEEEEEEEEE.wav", "YEEEEEEEEEEE.wav", "EEEEEEEEEEE_70.000_80.000.wav", "EEEEEEEEEEE-70-80.wav"],
}


def audioset(root: Path, tree: Tree, naming: int = 0, tables: str = "") -> Path:
    audio = {
        f"{'eval' if ytid[0] == 'E' else f'part{naming}'}/{names[naming]}": 0.2
        for ytid, names in AUDIOSET_NAMES.items()
    }
    return tree(
        root,
        {
            f"{tables}class_labels_indices.csv": AUDIOSET_LABELS,
            f"{tables}balanced_train_segments.csv": segments(BALANCED),
            f"{tables}eval_segments.csv": segments(EVAL),
            **audio,
            "eval/other_video.wav": 0.1,
            "eval/EEEEEEEEEEE_10.000_20.000.wav": 0.1,  # another part of a video that is listed
        },
    )


@pytest.mark.parametrize("naming", range(4))
@pytest.mark.parametrize("tables", ["", "csv/"])
def test_audioset_however_its_files_are_named(tmp_path: Path, file_tree: Tree, naming: int, tables: str) -> None:
    root = audioset(tmp_path / "audioset", file_tree, naming, tables)
    report = prepare("audioset", root, out=tmp_path / "out")
    clips = clips_of(report)
    assert list(clips) == ["--4gqARaEJE", "Y12345678_-", "-0SdAVK79lg", "abcdefghijk", "EEEEEEEEEEE"]
    for ytid, clip in clips.items():
        assert clip.path.name == AUDIOSET_NAMES[ytid][naming]
    assert clips["--4gqARaEJE"].labels == ("Speech", "Male speech, man speaking")
    assert clips["EEEEEEEEEEE"].split == "eval"
    assert table_of(report).names == ("Speech", "Male speech, man speaking", "Music")
    assert {name: (part["clips"], part["missing"]) for name, part in report["splits"].items()} == {
        "balanced_train": (4, 1),
        "eval": (1, 1),
    }
    assert (tmp_path / "out" / "missing.txt").read_text() == "never_there\ngone_gone_g\n"
    assert report["extra"]["count"] == 2
    assert any("unbalanced_train" in note for note in report["notes"])


def test_the_hash_of_audioset_tells_copies_apart_and_not_names(tmp_path: Path, file_tree: Tree) -> None:
    one = prepare("audioset", audioset(tmp_path / "a", file_tree, 0), out=tmp_path / "out1")
    # naming 1 has another format for one clip, so sizes differ; move naming 0's files to other names instead.
    root = audioset(tmp_path / "b", file_tree, 0)
    (root / "part0" / "--4gqARaEJE.wav").rename(root / "Y--4gqARaEJE_0_10.wav")
    two = prepare("audioset", root, out=tmp_path / "out2")
    assert two["hash"] == one["hash"]
    (root / "Y--4gqARaEJE_0_10.wav").unlink()
    three = prepare("audioset", root, out=tmp_path / "out3")
    assert three["hash"] != one["hash"]
    assert three["splits"]["eval"]["hash"] == one["splits"]["eval"]["hash"]


def test_the_name_of_another_part_is_no_segment() -> None:
    known = {"Y12345678_-": _Segment((), "eval", 30.0, 40.0), "12345678_-x": _Segment((), "eval", 0.0, 10.0)}
    assert find_segment("Y12345678_-", known) == "Y12345678_-"
    assert find_segment("Y12345678_-x", known) == "12345678_-x"  # Y and an id, not an id and an x
    for stem in ("Y12345678_-_20_30", "Y12345678_-_30_50", "Y12345678_-mono", "Y12345678", "", "Y"):
        assert find_segment(stem, known) is None


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("abcdefghij1, 1, 2, /m/none\n", "'/m/none' is not in class_labels_indices.csv"),
        ("abcdefghij1, one, 2, /m/04rlf\n", "expected ID, start, end, labels"),
        ("abcdefghij1\n", "expected ID, start, end, labels"),
        ("--4gqARaEJE, 0, 10, /m/04rlf\n", "listed twice"),
    ],
)
def test_a_damaged_table_of_audioset(tmp_path: Path, file_tree: Tree, row: str, words: str) -> None:
    root = audioset(tmp_path / "a", file_tree)
    table = root / "eval_segments.csv"
    table.write_text(table.read_text() + row)
    with pytest.raises(DataError, match=words):
        prepare("audioset", root, out=tmp_path / "out")


def test_audioset_without_its_tables(tmp_path: Path, file_tree: Tree) -> None:
    root = file_tree(tmp_path / "a", {"x.wav": 0.1, "class_labels_indices.csv": AUDIOSET_LABELS})
    with pytest.raises(DataError, match=r"no \*_segments.csv - expected class_labels_indices.csv and balanced_train"):
        prepare("audioset", root, out=tmp_path / "out")
