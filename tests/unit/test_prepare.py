"""The preparation itself: where it writes, what it refuses, what its report and hash say."""

import json
import shlex
import shutil
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import pytest

from zoo.data.labels import LabelTable
from zoo.data.manifest import Manifest, SourceConfig, read_manifest
from zoo.data.prepare.registry import PREPARERS, find_preparer
from zoo.errors import DataError
from zoo.recipe import read_recipe
from zoo.run import find_data
from zoo.use.prepare import default_out, prepare

Tree = Callable[..., Path]
ROWS = [(f"{fold}-{100 + take // 2}{fold}-{take}.wav", fold, take % 2) for fold in (1, 2, 3) for take in range(4)]
NAMES = ("dog", "rain")


@pytest.fixture
def esc(tmp_path: Path, file_tree: Tree) -> Callable[..., Path]:
    def make(name: str = "ESC-50-master") -> Path:
        rows = "".join(f"{file},{fold},{target},{NAMES[target]},True,{file[2:6]},A\n" for file, fold, target in ROWS)
        table = "filename,fold,target,category,esc10,src_file,take\n" + rows
        return file_tree(tmp_path / name, {"meta/esc50.csv": table, **{f"audio/{row[0]}": 0.5 for row in ROWS}})

    return make


def test_what_is_written_can_be_trained_on(tmp_path: Path, esc: Callable[..., Path]) -> None:
    report = prepare("esc50", esc(), out=tmp_path / "out")
    words = shlex.split(report["next"])
    assert words[:2] == ["zoo", "finetune"]
    found = find_data(read_recipe(words[2], words[3:]))
    assert found.train is not None
    assert found.eval is not None
    assert found.labels is not None
    assert (found.num_train, found.num_eval, found.num_overlap) == (8, 4, 0)
    assert found.labels.names == NAMES
    assert {clip.fold for clip in found.eval.clips} == {"1"}
    assert found.eval.hash == report["folds"]["1"]["hash"]
    assert found.labels.all_places(found.train)
    whole = find_data(read_recipe(words[2], [f"data.train={report['manifest']}", f"data.labels={report['labels']}"]))
    assert whole.train is not None
    assert whole.train.hash == report["hash"]
    pretraining = read_recipe("pretrain/ssast-patch-base.yaml", [f"data.train={report['manifest']}"])
    bare = find_data(pretraining).train
    assert bare is not None
    assert bare.hash == report["hash_without_labels"] != report["hash"]


def test_the_hash_of_a_split_is_that_of_a_run_on_it(tmp_path: Path, file_tree: Tree) -> None:
    table = "path,label,split\n" + "".join(f"{n}.wav,{n % 2},{'train' if n < 6 else 'valid'}\n" for n in range(8))
    root = file_tree(tmp_path / "set", {"meta.csv": table, **{f"{n}.wav": 0.1 + n / 100 for n in range(8)}})
    report = prepare("folder", root, out=tmp_path / "out")
    words = shlex.split(report["next"])
    found = find_data(read_recipe(words[2], words[3:]))
    assert found.train is not None
    assert found.eval is not None
    assert found.train.hash == report["splits"]["train"]["hash"]
    assert found.eval.hash == report["splits"]["valid"]["hash"]


def test_multi_label_data_gets_its_task_and_metric(tmp_path: Path, file_tree: Tree) -> None:
    root = file_tree(tmp_path / "my set", {"meta.csv": "path,label\na.wav,x;y\nb.wav,y\n", "a.wav": 0.1, "b.wav": 0.1})
    report = prepare("folder", root, out=tmp_path / "my out")
    words = shlex.split(report["next"])
    recipe = read_recipe(words[2], words[3:])
    assert (recipe.data.task, recipe.metric) == ("multi-label", "mAP")
    assert find_data(recipe).num_train == 2


def test_the_hash_is_the_same_on_two_machines(tmp_path: Path, esc: Callable[..., Path]) -> None:
    there = tmp_path / "other" / "place"
    shutil.copytree(esc(), there)
    one = prepare("esc50", tmp_path / "ESC-50-master", out=tmp_path / "out")
    two = prepare("esc50", there, out=there / "prepared")
    assert one["hash"] == two["hash"]
    assert one["folds"] == two["folds"]
    (there / "audio" / ROWS[3][0]).write_bytes(b"other audio")
    assert prepare("esc50", there, out=there / "prepared")["hash"] != one["hash"]


def test_paths_are_relative_where_the_audio_is_below(tmp_path: Path, esc: Callable[..., Path]) -> None:
    root = esc("out/ESC-50")
    (tmp_path / "out").rename(tmp_path / "moved")
    root = tmp_path / "moved" / "ESC-50"
    with pytest.raises(DataError, match="not empty"):
        prepare("esc50", root, out=tmp_path / "moved")
    inside = tmp_path / "moved" / "ESC-50" / "audio"
    report = prepare("esc50", root, out=tmp_path / "elsewhere")
    assert str(inside) in (tmp_path / "elsewhere" / "manifest.csv").read_text()
    # Prepared once, a folder may hold audio too; it can then be moved with it.
    (tmp_path / "elsewhere" / "data").mkdir()
    root.rename(tmp_path / "elsewhere" / "data" / "ESC-50")
    again = prepare("esc50", tmp_path / "elsewhere" / "data", out=tmp_path / "elsewhere")
    assert (tmp_path / "elsewhere" / "manifest.csv").read_text().splitlines()[1].startswith("data/ESC-50/audio/1-")
    (tmp_path / "elsewhere").rename(tmp_path / "far")
    manifest = read_manifest(SourceConfig(path=str(tmp_path / "far" / "manifest.csv")), labelled=True)
    assert manifest.hash == again["hash"] == report["hash"]
    assert all(clip.path.is_file() for clip in manifest.clips)


def test_preparing_again_gives_the_same_bytes(tmp_path: Path, esc: Callable[..., Path]) -> None:
    root, out = esc(), tmp_path / "out"
    (root / "audio" / ROWS[0][0]).unlink()
    (root / "audio" / ROWS[1][0]).write_bytes(b"")
    first = prepare("esc50", root, out=out)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    assert sorted(before) == ["labels.csv", "manifest.csv", "missing.txt", "prepared.json", "unreadable.txt"]
    assert first["unreadable"] == {"count": 1, "first": [f"audio/{ROWS[1][0]}: zero bytes"]}
    assert prepare("esc50", root, out=out) == first == json.loads(before["prepared.json"])
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    for name in ROWS[0][0], ROWS[1][0]:
        shutil.copy(root / "audio" / ROWS[2][0], root / "audio" / name)
    prepare("esc50", root, out=out)
    assert sorted(path.name for path in out.iterdir()) == ["labels.csv", "manifest.csv", "prepared.json"]


@pytest.mark.parametrize(
    ("held", "words"),
    [
        ({"mine.txt": "x"}, "is not empty, and no earlier preparation"),
        ({"prepared.json": "{"}, "is not empty, and no earlier preparation"),
        ({"prepared.json": "[]"}, "is not empty, and no earlier preparation"),
        ({"prepared.json": '{"name": "gtzan", "source": "/x"}'}, "holds gtzan from /x"),
    ],
)
def test_an_out_that_holds_something_else(
    tmp_path: Path, esc: Callable[..., Path], file_tree: Tree, held: dict[str, str], words: str
) -> None:
    out = file_tree(tmp_path / "out", held)
    with pytest.raises(DataError, match=f"{words} - expected a new folder, or esc50 of before - choose another --out"):
        prepare("esc50", esc(), out=out)
    assert {path.name: path.read_text() for path in out.iterdir()} == held


def test_an_out_that_is_a_file_or_another_folders(tmp_path: Path, esc: Callable[..., Path], file_tree: Tree) -> None:
    (tmp_path / "out").write_text("x")
    with pytest.raises(DataError, match="a file - expected a folder to write to"):
        prepare("esc50", esc(), out=tmp_path / "out")
    one, two = (file_tree(tmp_path / name, {"a.wav": 0.1}) for name in ("one", "two"))
    prepare("folder", one, out=tmp_path / "folder")
    prepare("folder", one, out=tmp_path / "folder")
    with pytest.raises(DataError, match=r"holds folder from .*one - expected a new folder"):
        prepare("folder", two, out=tmp_path / "folder")


def test_where_it_goes_when_nothing_is_said(tmp_path: Path) -> None:
    assert default_out(find_preparer("esc50"), tmp_path / "ESC-50") == Path("data/esc50")
    assert default_out(find_preparer("folder"), tmp_path / "mine") == Path("data/mine-prepared")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "meta.csv").write_text("path\n")
    assert default_out(find_preparer("folder"), tmp_path / "mine" / "meta.csv") == Path("data/mine-prepared")


def test_quick_opens_no_file(tmp_path: Path, esc: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> float:
        raise AssertionError(path)

    monkeypatch.setattr("zoo.use.prepare.duration", refuse)
    report = prepare("esc50", esc(), out=tmp_path / "out", quick=True)
    assert report["hours"] is None
    assert report["unreadable"] is None
    assert report["folds"]["1"]["hours"] is None
    with pytest.raises(AssertionError):
        prepare("esc50", tmp_path / "ESC-50-master", out=tmp_path / "out")


def test_progress_is_told(tmp_path: Path, esc: Callable[..., Path]) -> None:
    told: list[tuple[int, int]] = []

    @contextmanager
    def counting(title: str):  # type: ignore[no-untyped-def]
        yield lambda done, total: told.append((done, total))

    prepare("esc50", esc(), out=tmp_path / "out", counting=counting)
    assert told == [(done, 12) for done in range(1, 13)]


# Sources of another layout


@pytest.mark.parametrize("above", ["", "downloads", "downloads/all"])
def test_the_folder_above_will_do(tmp_path: Path, esc: Callable[..., Path], above: str) -> None:
    esc(f"top/{above}/ESC-50-master")
    if above == "downloads/all":
        with pytest.raises(DataError, match=r"found downloads/ - expected meta/esc50\.csv"):
            prepare("esc50", tmp_path / "top", out=tmp_path / "out")
    else:
        notes = prepare("esc50", tmp_path / "top", out=tmp_path / "out")["notes"]
        assert any("found in" in note for note in notes)


def test_the_folder_below_is_guessed(tmp_path: Path, esc: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    root = esc()
    monkeypatch.chdir(tmp_path)
    message = r"ESC-50-master/meta: found esc50.csv - expected meta/esc50.csv beside .* - did you mean ESC-50-master\?"
    with pytest.raises(DataError, match=message):
        prepare("esc50", root / "meta", out=tmp_path / "out")


def test_two_copies_are_a_question(tmp_path: Path, esc: Callable[..., Path]) -> None:
    esc("top/a")
    esc("top/b")
    with pytest.raises(DataError, match=r"several copies of esc50: .*a, .*b - expected one"):
        prepare("esc50", tmp_path / "top", out=tmp_path / "out")


@pytest.mark.parametrize("name", list(PREPARERS))
def test_every_data_set_refuses_what_is_no_such_thing(tmp_path: Path, file_tree: Tree, name: str) -> None:
    """One line with what was found or expected, and nothing is written."""
    preparer = find_preparer(name)
    empty = file_tree(tmp_path / "empty", {"readme.txt": "x"})
    archive = file_tree(tmp_path, {"set.zip": b"PK"}) / "set.zip"
    for source in (empty, tmp_path / "nowhere", archive):
        with pytest.raises(DataError) as caught:
            prepare(name, source, out=tmp_path / "out")
        text = str(caught.value)
        assert text.startswith(str(source))
        assert "\n" not in text
        assert text.count(" - ") >= 2
        if not preparer.takes_file:
            assert preparer.layout in text
            assert source != archive or "unpack it" in text
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("", r"no column filename, .* - found nothing"),
        ("file,fold\na.wav,1\n", r"esc50.csv:1: no column filename, target, .* - found file, fold"),
        ("filename,fold,target,category,esc10,src_file\na.wav,1\n", r"esc50.csv:2: fewer cells than the header"),
        ("filename,fold,target,category,esc10,src_file\na.wav,1,x,dog,True,1\n", r"target of a.wav is 'x'"),
        ("filename,fold,target,category,esc10,src_file\na.wav,1,0,dog,True,1\n" * 2, r"target of filename is 'target'"),
        (
            "filename,fold,target,category,esc10,src_file\n" + f"{ROWS[0][0]},1,0,dog,True,1\n" * 2,
            r"listed 2 times - expected once",
        ),
        (
            "filename,fold,target,category,esc10,src_file\n" + "a.wav,1,0,dog,True,1\nb.wav,1,1,dog,True,1\n",
            r"dog given twice",
        ),
    ],
)
def test_damaged_metadata(tmp_path: Path, esc: Callable[..., Path], table: str, words: str) -> None:
    root = esc()
    (root / "meta" / "esc50.csv").write_text(table)
    with pytest.raises(DataError, match=words):
        prepare("esc50", root, out=tmp_path / "out")


def test_metadata_that_is_no_text(tmp_path: Path, esc: Callable[..., Path]) -> None:
    root = esc()
    (root / "meta" / "esc50.csv").write_bytes(b"PK\x03\x04\xff\xfe")
    with pytest.raises(DataError, match=r"esc50.csv: .* - expected the text as distributed"):
        prepare("esc50", root, out=tmp_path / "out")


# Names and options


def test_names_are_forgiving() -> None:
    assert find_preparer("ESC-50").name == "esc50"
    assert find_preparer("speech_commands_v2").name == "speech-commands-v2"
    with pytest.raises(
        DataError, match=r"esc51: no known data set; did you mean .*'esc50'.* - expected one of esc50, "
    ):
        find_preparer("esc51")


@pytest.mark.parametrize(
    ("name", "option", "words"),
    [
        ("nsynth", "label=pich", "no such choice; did you mean 'pitch'\\? - expected label=family|source|pitch"),
        ("nsynth", "labels=pitch", "no option of nsynth; did you mean 'label'\\?"),
        ("nsynth", "pitch", "no option of nsynth"),
        ("esc50", "label=x", "it has no options"),
    ],
)
def test_options_that_there_are_not(tmp_path: Path, name: str, option: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        prepare(name, tmp_path, [option], out=tmp_path / "out")


def test_every_data_set_says_what_it_needs() -> None:
    assert list(PREPARERS) == [
        *("esc50", "esc10", "speech-commands-v1", "speech-commands-v2", "audioset", "fsd50k", "openmic2018"),
        *("urbansound8k", "gtzan", "nsynth", "librispeech", "voxceleb1", "iemocap", "folder"),
    ]
    for preparer in PREPARERS.values():
        assert preparer.page
        assert preparer.licence
        assert preparer.layout
        assert preparer.read.__doc__


def test_many_parts_have_no_hash(tmp_path: Path, file_tree: Tree) -> None:
    table = "path,fold\n" + "".join(f"{n}.wav,{n}\n" for n in range(60))
    root = file_tree(tmp_path / "set", {"meta.csv": table, **{f"{n}.wav": 0.05 for n in range(60)}})
    folds = prepare("folder", root, out=tmp_path / "out")["folds"]
    assert list(folds) == [str(n) for n in range(60)]
    assert {part["hash"] for part in folds.values()} == {None}


def test_a_table_and_a_manifest_are_checked_against_each_other(tmp_path: Path, esc: Callable[..., Path]) -> None:
    report = prepare("esc50", esc(), out=tmp_path / "out")
    table = LabelTable.read(report["labels"], "single-label")
    manifest: Manifest = read_manifest(SourceConfig(path=report["manifest"]), labelled=True)
    assert [table.names[place] for (place,) in table.all_places(manifest)] == [
        clip.labels[0] for clip in manifest.clips
    ]
