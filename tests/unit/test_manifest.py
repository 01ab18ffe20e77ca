"""What a manifest may look like, and the line that a user reads when it does not."""

import json
import os
import re
from pathlib import Path

import pytest

from zoo.data.clip import Clip, Locator
from zoo.data.manifest import Manifest, SourceConfig, read_manifest, read_manifests
from zoo.errors import DataError


def write(folder: Path, text: str, name: str = "meta.csv", encoding: str = "utf-8") -> str:
    (folder / name).write_bytes(text.encode(encoding))
    return str(folder / name)


def read(path: str | Path, columns: dict[str, str] | None = None, labelled: bool = True, **choice: object) -> Manifest:
    return read_manifest(SourceConfig.model_validate({"path": str(path), **choice}), columns, labelled)


def message(path: str | Path, columns: dict[str, str] | None = None, labelled: bool = True, **choice: object) -> str:
    """The error, with the folder of the test taken out."""
    with pytest.raises(DataError) as caught:
        read(path, columns, labelled, **choice)
    return str(caught.value).replace(str(Path(path).parent) + os.sep, "")


def labels_of(manifest: Manifest) -> list[tuple[str, ...]]:
    return [clip.labels for clip in manifest.clips]


# What is understood


@pytest.mark.parametrize(("path", "label"), [("path", "labels"), ("filename", "label"), ("path", "label")])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_csv_of_any_usual_form(tmp_path: Path, path: str, label: str, encoding: str, end: str) -> None:
    text = end.join([f"{path},{label},fold", "a.wav,dog,1", "", 'b.wav,"rain;dog",2', "sub/ü.wav, wind ,2", ""])
    manifest = read(write(tmp_path, text, encoding=encoding))
    assert [clip.path for clip in manifest.clips] == [tmp_path / "a.wav", tmp_path / "b.wav", tmp_path / "sub/ü.wav"]
    assert [clip.id for clip in manifest.clips] == ["a.wav", "b.wav", "sub/ü.wav"]
    assert labels_of(manifest) == [("dog",), ("rain", "dog"), ("wind",)]
    assert [clip.fold for clip in manifest.clips] == ["1", "2", "2"]
    assert [clip.line for clip in manifest.clips] == [2, 4, 5]
    assert manifest.clips[1].where == f"{tmp_path}/meta.csv:4"
    assert manifest.labels() == ("dog", "rain", "wind")
    assert len(manifest) == 3


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("dog", ("dog",)),
        ("dog;rain", ("dog", "rain")),
        (" dog ; rain ;", ("dog", "rain")),
        ("dog;dog", ("dog",)),
        ('"[""dog, big"", ""a;b""]"', ("dog, big", "a;b")),
        ("[unknown]", ("[unknown]",)),
        ("cafe\u0301", ("caf\u00e9",)),
        ("3", ("3",)),
    ],
)
def test_labels_of_a_csv_cell(tmp_path: Path, cell: str, expected: tuple[str, ...]) -> None:
    assert labels_of(read(write(tmp_path, f"path,labels\na.wav,{cell}\n"))) == [expected]


def test_json_lines(tmp_path: Path) -> None:
    lines = [
        {"path": "a.ogg", "labels": ["dog", "a;b"], "fold": 1, "seconds": 3.0, "origin": [["x", 0]]},
        {"filename": "b.ogg", "label": "rain;dog", "fold": None, "start": 1, "stop": 2.5, "split": "test", "group": 7},
        {"path": "c.ogg", "label": 12, "id": "third", "start": None},
    ]
    text = "\n".join(map(json.dumps, lines)) + "\n\n"
    first, second, third = read(write(tmp_path, text, "m.jsonl", "utf-8-sig")).clips
    assert first == Clip(tmp_path / "a.ogg", "a.ogg", ("dog", "a;b"), fold="1")
    assert second == Clip(
        tmp_path / "b.ogg", "b.ogg#1.0-2.5", ("rain", "dog"), 1.0, 2.5, fold=None, split="test", group="7"
    )
    assert third == Clip(tmp_path / "c.ogg", "third", ("12",))
    assert third.line == 3


def test_columns_of_other_names(tmp_path: Path) -> None:
    """UrbanSound8K: its `start` counts in another recording, so it is not to be read."""
    path = write(tmp_path, "slice_file_name,start,class,folder\na.wav,99,dog,3\n")
    columns = {"filename": "slice_file_name", "label": "class", "fold": "folder", "start": ""}
    assert read(path, columns).clips == (Clip(tmp_path / "a.wav", "a.wav", ("dog",), fold="3"),)


def test_cuts_have_ids_of_their_own(tmp_path: Path) -> None:
    path = write(tmp_path, "path,start,stop\na.wav,,\na.wav,0,1\na.wav,1,\na.wav,,12345.678\n")
    manifest = read(path, labelled=False)
    assert [clip.id for clip in manifest.clips] == ["a.wav", "a.wav#0.0-1.0", "a.wav#1.0-", "a.wav#-12345.678"]
    assert [(clip.start, clip.stop) for clip in manifest.clips] == [
        (None, None),
        (0.0, 1.0),
        (1.0, None),
        (None, 12345.678),
    ]


def test_without_labels_the_column_is_not_read(tmp_path: Path) -> None:
    path = write(tmp_path, "path,label,labels\na.wav,x,['\n")
    assert labels_of(read(path, labelled=False)) == [()]
    assert labels_of(read(path, {"label": "label"}, labelled=False)) == [()]


def test_audio_is_looked_for_beside_the_manifest_then_in_audio(tmp_path: Path) -> None:
    (tmp_path / "audio/sub").mkdir(parents=True)
    for name in ("both.wav", "audio/both.wav", "audio/there.wav", "audio/sub/deep.wav"):
        (tmp_path / name).touch()
    manifest = read(write(tmp_path, "path\nboth.wav\nthere.wav\nsub/deep.wav\nnowhere.wav\n"), labelled=False)
    assert [str(clip.path.relative_to(tmp_path)) for clip in manifest.clips] == [
        "both.wav",
        "audio/there.wav",
        "audio/sub/deep.wav",
        "nowhere.wav",  # missing audio is bad audio at use
    ]
    assert [clip.id for clip in manifest.clips] == ["both.wav", "there.wav", "sub/deep.wav", "nowhere.wav"]


def test_a_folder_is_listed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "audio").mkdir()
    listed: list[str] = []
    monkeypatch.setattr(os, "listdir", lambda folder: listed.append(folder) or [])
    locator = Locator(tmp_path)
    for number in range(50):
        locator.locate(f"{number}.wav")
    assert listed == [str(tmp_path), str(tmp_path / "audio")]


def test_absolute_paths(tmp_path: Path) -> None:
    """Within the manifest's folder an absolute path gives the id of the relative one."""
    path = write(tmp_path, f"path\n{tmp_path}/a/../b.wav\n/elsewhere/c.wav\n./d//e.wav\n")
    manifest = read(path, labelled=False)
    assert [clip.id for clip in manifest.clips] == ["b.wav", "/elsewhere/c.wav", "d/e.wav"]
    assert [str(clip.path) for clip in manifest.clips] == [
        f"{tmp_path}/b.wav",
        "/elsewhere/c.wav",
        f"{tmp_path}/d/e.wav",
    ]


def test_a_relative_manifest_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "path\na.wav\n")
    monkeypatch.chdir(tmp_path)
    (clip,) = read("meta.csv", labelled=False).clips
    assert (clip.path.absolute(), clip.where) == (tmp_path / "a.wav", "meta.csv:2")


def test_official_json(tmp_path: Path) -> None:
    content = {"data": [{"wav": "/x/a.flac", "labels": "/m/1,/m/2", "video_id": "a"}, {"wav": "b.flac", "labels": ""}]}
    path = write(tmp_path, json.dumps(content), "train.json")
    manifest = read(path)
    assert [(clip.id, clip.labels) for clip in manifest.clips] == [("/x/a.flac", ("/m/1", "/m/2")), ("b.flac", ())]
    assert manifest.clips[1].where == f"{path}: entry 2"
    assert labels_of(read(path, labelled=False)) == [(), ()]


# Folders


def test_folder_without_labels(tmp_path: Path) -> None:
    for name in ("b/2.WAV", "b/1.flac", "a.mp3", "b/readme.txt", ".hidden.wav", ".git/x.wav", "b/._1.flac"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    manifest = read(tmp_path, labelled=False)
    assert [clip.id for clip in manifest.clips] == ["a.mp3", "b/1.flac", "b/2.WAV"]
    assert manifest.clips[1].path == tmp_path / "b/1.flac"
    assert manifest.clips[1].where == f"{tmp_path}/b/1.flac"


def test_folder_per_class(tmp_path: Path) -> None:
    for name in ("rain/x/2.ogg", "dog/1.ogg", "empty/readme.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert [(clip.id, clip.labels) for clip in read(tmp_path).clips] == [
        ("dog/1.ogg", ("dog",)),
        ("rain/x/2.ogg", ("rain",)),
    ]
    (tmp_path / "loose.ogg").touch()
    assert "audio beside the class folders: loose.ogg - expected a folder per class" in message(tmp_path)


def test_folder_with_links(tmp_path: Path) -> None:
    """A link to a folder is followed; one that leads back is not."""
    (tmp_path / "far").mkdir()
    (tmp_path / "far/a.wav").touch()
    root = tmp_path / "root"
    (root / "in").mkdir(parents=True)
    (root / "in/b.wav").touch()
    (root / "out").symlink_to(tmp_path / "far")
    (root / "in/back").symlink_to(root)
    assert [clip.id for clip in read(root, labelled=False).clips] == ["in/b.wav", "out/a.wav"]


def test_folder_name_that_is_no_utf8(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.wav")
    try:
        (tmp_path / name).touch()
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    manifest = read(tmp_path, labelled=False)
    assert manifest.clips[0].path.exists()
    assert len(manifest.hash) == 64


def test_folder_without_audio(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert message(tmp_path / "empty").startswith("empty: no audio file below this folder - expected files like *.wav")


def test_folder_of_a_data_set_is_not_taken_for_one_class(tmp_path: Path) -> None:
    (tmp_path / "audio").mkdir()
    (tmp_path / "audio/a.wav").touch()
    write(tmp_path, "path,label\na.wav,dog\n")
    assert "if meta.csv lists the labels, give that file as the path" in message(tmp_path)
    assert len(read(tmp_path, labelled=False)) == 1


# Selections


def test_folds_and_splits(tmp_path: Path) -> None:
    path = write(tmp_path, "path,fold,split\na.wav,1,train\nb.wav,2.0,train\nc.wav,,test\n")
    ids = {
        "all": [clip.id for clip in read(path, labelled=False).clips],
        "one": [clip.id for clip in read(path, labelled=False, fold=2).clips],
        "list": [clip.id for clip in read(path, labelled=False, fold=["1", 2]).clips],
        "both": [clip.id for clip in read(path, labelled=False, fold=[1], split="train").clips],
    }
    assert ids == {"all": ["a.wav", "b.wav", "c.wav"], "one": ["b.wav"], "list": ["a.wav", "b.wav"], "both": ["a.wav"]}
    manifest = read(path, labelled=False)
    assert manifest.select() is manifest
    assert len(manifest.select(fold=1)) == 1


def test_folds_and_splits_that_are_not_there(tmp_path: Path) -> None:
    path = write(tmp_path, "path,fold,split\na.wav,1,train\nb.wav,2,\n")
    assert message(path, labelled=False, fold=[1, 6]) == (
        "meta.csv: no clip of fold 6 - the folds are 1, 2 - change fold of this source"
    )
    assert message(path, labelled=False, split="tran") == (
        "meta.csv: no clip of split tran; did you mean 'train'? - the splits are train - change split of this source"
    )
    assert "no fold is asked for" in message(path, labelled=False, fold=[])
    assert "no clip of split dev" in message(path, labelled=False, fold=[2], split="dev")
    assert "no clip has a split" in message(write(tmp_path, "path\na.wav\n", "plain.csv"), labelled=False, split="x")


def test_several_sources(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder, "path,label,fold\na.wav,dog,1\nb.wav,rain,2\n")
    one, two = (SourceConfig(path=str(tmp_path / folder / "meta.csv")) for folder in ("one", "two"))
    manifest = read_manifests([one, two], None, True)
    assert [clip.id for clip in manifest.clips] == [
        "one/meta/a.wav",
        "one/meta/b.wav",
        "two/meta/a.wav",
        "two/meta/b.wav",
    ]
    assert read_manifests([one], None, True) == read_manifest(one, None, True)
    folds = [SourceConfig(path=one.path, fold=(fold,)) for fold in (1, 2)]
    assert [clip.id for clip in read_manifests(folds).clips] == ["meta/a.wav", "meta/b.wav"]
    with pytest.raises(DataError, match=r"one/meta\.csv:2: id 'meta/a\.wav' stands at .*one/meta\.csv:2 already"):
        read_manifests([one, folds[0]])
    with pytest.raises(DataError, match="no source"):
        read_manifests([])


# Hash


def test_hash_tells_other_audio_of_the_same_names_apart(tmp_path: Path) -> None:
    hashes = set()
    for folder, size in (("one", 10), ("other", 11), ("copy", 10)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.wav").write_bytes(b"x" * size)
        hashes.add(read(write(tmp_path / folder, "path,label\na.wav,x\n")).hash)
    assert len(hashes) == 2


def test_hash(tmp_path: Path) -> None:
    """The same on every machine and wherever the files lie; another for whatever changes training."""
    text = "path,label,fold,start,stop\na.wav,dög,1,,\nb.wav,rain;dög,2,0.1,1e1\n"
    (tmp_path / "other").mkdir()
    manifest = read(write(tmp_path, text))
    assert manifest.hash == read(write(tmp_path / "other", text, encoding="utf-8-sig")).hash
    assert manifest.hash == "214716e3cf2484760f3ab6f42a9a6e0f6d72ce24cfe85ffe1f137ce26d7dc6b7"
    for old, new in (("a.wav", "c.wav"), ("dög,1", "dog,1"), (",1,", ",3,"), ("0.1", "0.2"), ("1e1", "11")):
        assert read(write(tmp_path, text.replace(old, new))).hash != manifest.hash
    assert manifest.select(fold=1).hash != manifest.hash
    assert Manifest(manifest.clips[::-1], manifest.source).hash != manifest.hash


# Errors: every one a line, where - found - expected - what to do


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "file,label\na.wav,x\n",
            "meta.csv:1: no column 'path' or 'filename' - found file, label - name it so, or map its name with "
            "data.columns: {path: …}",
        ),
        (
            "paht,label\na.wav,x\n",
            "meta.csv:1: no column 'path' or 'filename'; did you mean 'paht'? - found paht, label",
        ),
        ("path\na.wav\n", "meta.csv:1: no column 'labels' or 'label' - found path"),
        (
            "path,filename,label\na,b,c\n",
            "meta.csv:1: there are both 'path' and 'filename' - expected one of them - "
            "say which with data.columns: {path: path}",
        ),
        ("path,label,label\na,b,c\n", "meta.csv:1: two columns 'label' - expected one - rename the other"),
        (
            "path,label\n\na.wav,x,y\n",
            "meta.csv:3: 3 cells - expected 2 as in the header - put quotes around text that holds a comma",
        ),
        (
            "path,label\n  ,x\n",
            "meta.csv:2: an empty path - expected the name of an audio file - fill it in, or take the row out",
        ),
        ("path,label\na\0b.wav,x\n", "meta.csv:2: path 'a\\x00b.wav' holds a character no file name can have"),
        (
            "path,label,start\na.wav,x,soon\n",
            "meta.csv:2: start 'soon' - expected seconds, 0 or more - write a number like 1.5, or nothing",
        ),
        ("path,label,stop\na.wav,x,nan\n", "meta.csv:2: stop 'nan' - expected seconds"),
        ("path,label,start\na.wav,x,-1\n", "meta.csv:2: start '-1' - expected seconds"),
        (
            "path,label,start,stop\na.wav,x,2,2\n",
            "meta.csv:2: stop 2.0 is not after start 2.0 - expected seconds with start < stop - put them right",
        ),
        (
            "path,label\na.wav,x\n./a.wav,y\n",
            "meta.csv:3: id 'a.wav' stands at meta.csv:2 already - expected every clip once - take one out, "
            "join its labels in one row with ';', or add an id column",
        ),
        ("path,label,id\na.wav,x,1\nb.wav,y,1\n", "meta.csv:3: id '1' stands at meta.csv:2 already"),
        (
            "path,label\na.wav,['dog']\n",
            "meta.csv:2: labels \"['dog']\" are no JSON list - expected names with ';' between them, "
            'or a JSON list like ["dog", "rain"] - use double quotes',
        ),
        ('path,label\na.wav,"[1.5]"\n', "meta.csv:2: label 1.5 - expected a name"),
        ('path,label\na.wav,x\n"b.wav,y\nc.wav,z\n', "meta.csv:3: unexpected end of data - expected CSV - look for a"),
        ("path,label\na.wav,\n", "meta.csv: no clip has a label - expected labels - fill the column"),
        ("path,label\n", "meta.csv: no clip - expected a row for every clip - fill the manifest"),
        ("", "meta.csv: no clip - expected a row for every clip"),
    ],
)
def test_errors_of_a_csv(tmp_path: Path, text: str, expected: str) -> None:
    found = message(write(tmp_path, text))
    assert found.startswith(expected)
    assert "\n" not in found


def test_semicolons_between_the_columns(tmp_path: Path) -> None:
    assert "meta.csv:1: one column only - expected commas between the columns" in message(
        write(tmp_path, "path;label\na.wav;x\n")
    )


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("{", "m.jsonl:2: no JSON (Expecting property name enclosed in double quotes) - expected one object a line"),
        ("[1]", "m.jsonl:2: a JSON list - expected an object"),
        ('{"label": "x"}', "m.jsonl:2: no column 'path' or 'filename' - found label - name it so"),
        ('{"path": 3}', "m.jsonl:2: path 3 - expected the name of an audio file"),
        ('{"path": null}', "m.jsonl:2: an empty path"),
        ('{"path": "b", "start": true}', "m.jsonl:2: start True - expected seconds"),
        ('{"path": "b", "stop": Infinity}', "m.jsonl:2: stop inf - expected seconds"),
        ('{"path": "b", "labels": [true]}', "m.jsonl:2: label True - expected a name"),
        ('{"path": "b", "label": "x", "labels": ["y"]}', "m.jsonl:2: there are both 'labels' and 'label'"),
        ('{"path": "b", "fold": [1]}', "m.jsonl:2: fold [1] - expected text or a number"),
        ('{"path": "\\ud800"}', "m.jsonl:2: path '\\ud800' holds a character no file name can have"),
        ('{"path": "b", "id": "\\ud800"}', "m.jsonl:2: id '\\ud800' is no valid text"),
        ("[" * 100_000, "m.jsonl:2: no JSON ("),
    ],
)
def test_errors_of_json_lines(tmp_path: Path, line: str, expected: str) -> None:
    found = message(write(tmp_path, f'{{"path": "a.wav", "label": "x"}}\n{line}\n', "m.jsonl"))
    assert found.startswith(expected)
    assert "\n" not in found


def test_errors_of_whole_json_lines(tmp_path: Path) -> None:
    path = write(tmp_path, '{"path": "a.wav", "name": "x"}\n', "m.jsonl")
    assert message(path).startswith("m.jsonl: no column 'labels' or 'label' - found path, name - name it so")
    assert message(path, {"label": "names"}).startswith("m.jsonl: no column 'names'; did you mean 'name'? - found")
    assert message(write(tmp_path, "\n\n", "m.jsonl")).startswith("m.jsonl: no clip - expected a row for every clip")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{", "d.json:1: no JSON ("),
        ("[]", 'd.json: no list "data" - expected {"data": [{"wav": …, "labels": …}]}'),
        ('{"data": [{"path": "a"}]}', 'd.json: entry 1: no "wav" - expected'),
        ('{"data": [{"wav": "", "labels": "x"}]}', "d.json: entry 1: an empty path"),
        ('{"data": []}', "d.json: no clip"),
    ],
)
def test_errors_of_official_json(tmp_path: Path, text: str, expected: str) -> None:
    assert message(write(tmp_path, text, "d.json")).startswith(expected)


@pytest.mark.parametrize("name", ["m.csv", "m.jsonl", "m.json"])
def test_errors_of_encoding(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, '{"path": "ü.wav"}\n' * 3, name, "latin-1")
    assert message(path) == f"{name}:1: byte 0xfc - expected UTF-8 text - save the file as UTF-8"
    path = write(tmp_path, "path,label\n", name, "utf-16")
    assert message(path) == f"{name}:1: UTF-16 - expected UTF-8 text - save the file as UTF-8"


def test_encoding_far_into_a_file(tmp_path: Path) -> None:
    text = "path,label\n" + "".join(f"{i}.wav,x\n" for i in range(5000)) + "ü.wav,x\n"
    assert message(write(tmp_path, text, encoding="latin-1")).startswith("meta.csv:5002: byte 0xfc")


def test_ten_problems_are_shown_and_all_are_counted(tmp_path: Path) -> None:
    rows = "".join(f"{i}.wav,x,{'bad' if i % 2 else ''}\n" for i in range(50))
    lines = message(write(tmp_path, "path,label,start\n" + rows)).split("\n")
    assert len(lines) == 11
    assert all(re.match(rf"meta\.csv:{2 * i + 3}: start 'bad'", line) for i, line in enumerate(lines[:10]))
    assert lines[10].endswith("meta.csv: 25 problems in all - the first 10 are shown")


def test_errors_of_columns(tmp_path: Path) -> None:
    path = write(tmp_path, "path,category\na.wav,x\n")
    assert message(path, {"lable": "category"}).startswith(
        "data.columns: 'lable' is no column of a manifest; did you mean 'label' or 'labels'? - expected"
    )
    assert message(path, {"label": "kategory"}).startswith("meta.csv:1: no column 'kategory'; did you mean 'category'?")
    assert message(path, {"label": "category", "fold": "f"}).startswith("meta.csv:1: no column 'f' - found")
    assert message(path, {"label": "category", "labels": "category"}).startswith("data.columns: labels is mapped twice")


def test_paths_that_are_no_source(tmp_path: Path) -> None:
    write(tmp_path, "path\n", "train.csv")
    write(tmp_path, "x", "notes.txt")
    assert message(tmp_path / "trian.csv") == (
        "trian.csv: no such file or folder - expected a manifest or a folder of audio - "
        "check the path; did you mean 'train.csv'?"
    )
    assert "there is no folder" in message(tmp_path / "no" / "train.csv")
    assert message(tmp_path / "notes.txt").startswith("notes.txt: neither a folder nor .csv, .jsonl, .json - expected")
