"""Any folder and any manifest."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from zoo.data.clip import Clip
from zoo.data.labels import LabelTable
from zoo.data.manifest import SourceConfig, read_manifest
from zoo.errors import DataError
from zoo.use.prepare import prepare

Tree = Callable[..., Path]


def clips_of(report: dict) -> dict[str, Clip]:
    manifest = read_manifest(SourceConfig(path=report["manifest"]), labelled=report["labels"] is not None)
    assert manifest.hash == report["hash"]
    return {clip.id: clip for clip in manifest.clips}


def test_a_folder_for_each_class(tmp_path: Path, tone_folder: Callable[..., Path]) -> None:
    report = prepare("folder", tone_folder(classes=("low", "high", "odd;name", "[x]")), out=tmp_path / "out")
    clips = clips_of(report)
    assert clips["odd;name/odd;name_0.wav"].labels == ("odd;name",)
    assert clips["[x]/[x]_0.wav"].labels == ("[x]",)
    assert LabelTable.read(report["labels"], "single-label").names == ("[x]", "high", "low", "odd;name")
    assert (report["task"], report["clips"], report["groups"]) == ("single-label", 16, 0)
    assert "data.labels=" in report["next"]


def test_audio_without_labels(tmp_path: Path, file_tree: Tree) -> None:
    root = file_tree(tmp_path / "a", {"b.wav": 0.1, "A/a.flac": 0.2, ".hidden/x.wav": 0.1, "notes.txt": "x"})
    report = prepare("folder", root, out=tmp_path / "out")
    assert list(clips_of(report)) == ["A/a.flac", "b.wav"]
    assert report["labels"] is None
    assert report["notes"] == ["no labels: audio lies beside the folders, not in them"]


def test_labels_are_a_choice(tmp_path: Path, tone_folder: Callable[..., Path], file_tree: Tree) -> None:
    root = tone_folder()
    assert prepare("folder", root, ["labels=none"], out=tmp_path / "out")["labels"] is None
    file_tree(root, {"loose.wav": 0.1})
    assert prepare("folder", root, out=tmp_path / "out")["labels"] is None
    with pytest.raises(DataError, match="audio beside the class folders"):
        prepare("folder", root, ["labels=folders"], out=tmp_path / "out")


META = "filename,label,fold,group,seconds\na.wav,dog,1,x,0.1\nb.wav,cat;dog,2,y,0.1\nc.wav,cat,2,y,0.1\n"


@pytest.mark.parametrize("name", ["meta.csv", "manifest.csv"])
@pytest.mark.parametrize("give_file", [True, False])
def test_a_folder_with_a_manifest(tmp_path: Path, file_tree: Tree, name: str, give_file: bool) -> None:
    root = file_tree(tmp_path / "set", {name: META, "audio/a.wav": 0.1, "audio/b.wav": 0.1, "audio/more.wav": 0.1})
    report = prepare("folder", root / name if give_file else root, out=tmp_path / "out")
    clips = clips_of(report)
    assert (clips["b.wav"].labels, clips["b.wav"].fold, clips["b.wav"].group) == (("cat", "dog"), "2", "y")
    assert clips["a.wav"].path == root / "audio" / "a.wav"
    assert report["missing"]["first"] == ["c.wav"]
    assert report["extra"]["first"] == ["audio/more.wav"]
    assert report["task"] == "multi-label"
    assert LabelTable.read(report["labels"], "multi-label").names == ("cat", "dog")
    # The manifest that was prepared carries the hash of the one it was made from, but for what is missing.
    (root / name).write_text(META.replace("c.wav,cat,2,y,0.1\n", ""))
    assert read_manifest(SourceConfig(path=str(root / name)), labelled=True).hash == report["hash"]


def test_a_manifest_without_labels(tmp_path: Path, file_tree: Tree) -> None:
    rows = "".join(json.dumps({"path": f"{name}.wav", "group": "g", "lang": "en"}) + "\n" for name in "ab")
    root = file_tree(tmp_path / "set", {"manifest.jsonl": rows, "a.wav": 0.1, "b.wav": 0.1})
    report = prepare("folder", root, out=tmp_path / "out")
    assert clips_of(report)["a.wav"].group == "g"
    assert report["labels"] is None


def test_cuts_and_splits_are_kept(tmp_path: Path, file_tree: Tree) -> None:
    table = "path,labels,split,start,stop\nlong.wav,a,train,0.5,1\nlong.wav,b,test,1.5,9\n"
    root = file_tree(tmp_path / "set", {"meta.csv": table, "long.wav": 2.0})
    report = prepare("folder", root, out=tmp_path / "out")
    clips = clips_of(report)
    assert [(clip.start, clip.stop) for clip in clips.values()] == [(0.5, 1.0), (1.5, 9.0)]
    assert report["hours"] == pytest.approx(1.0 / 3600, abs=1e-4)  # the file ends at 2 s
    assert {name: part["clips"] for name, part in report["splits"].items()} == {"train": 1, "test": 1}


def test_two_manifests_are_a_question(tmp_path: Path, file_tree: Tree) -> None:
    root = file_tree(tmp_path / "set", {"meta.csv": META, "manifest.csv": META, "audio/a.wav": 0.1})
    with pytest.raises(DataError, match=r"both meta.csv and manifest.csv - expected one manifest"):
        prepare("folder", root, out=tmp_path / "out")


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"readme.txt": "x"}, "no audio file below this folder"),
        ({"meta.csv": "path;label\na;b\n"}, "save the table as CSV with commas"),
        ({"meta.csv": "path,label\na.wav,b\na.wav,c\n", "a.wav": 0.1}, "expected every clip once"),
        ({"meta.csv": "path,label\na.wav,b\n"}, "the metadata lists 1 clips, and the audio of none is there"),
    ],
)
def test_folders_of_no_use(tmp_path: Path, file_tree: Tree, files: dict[str, float | str], words: str) -> None:
    with pytest.raises(DataError, match=words):
        prepare("folder", file_tree(tmp_path / "set", files), out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_names_that_no_manifest_can_hold_are_told(tmp_path: Path, file_tree: Tree) -> None:
    names = ["plain.wav", "two  blanks.wav", 'quote".wav', "comma,.wav", "line\nbreak.wav", "ünïcode.wav", " blank.wav"]
    root = file_tree(tmp_path / "set", dict.fromkeys(names, 0.1))
    (root / "plain.wav").rename(root / b"\xff.wav".decode("utf-8", "surrogateescape"))
    report = prepare("folder", root, out=tmp_path / "out")
    assert set(clips_of(report)) == set(names) - {"plain.wav", " blank.wav"}
    assert any(note.startswith("2 files are left out, as no manifest can hold their names") for note in report["notes"])
