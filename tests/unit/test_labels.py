"""Label names to targets, and what a user reads when they do not fit."""

import json
from pathlib import Path

import pytest
import torch

from zoo.data.clip import Clip
from zoo.data.labels import LabelTable, build_label_table
from zoo.data.manifest import Manifest, SourceConfig, read_manifest
from zoo.data.written import write_label_table
from zoo.errors import DataError


def clip(*labels: str, line: int = 7) -> Clip:
    return Clip(Path("a.wav"), "a.wav", labels, origin="meta.csv:", line=line)


def manifest(*clips: Clip) -> Manifest:
    return Manifest(clips, "meta.csv")


def test_targets() -> None:
    table = LabelTable.from_manifest(manifest(clip("rain", "dog"), clip("wind")), "multi-label")
    assert table.names == ("dog", "rain", "wind")
    assert len(table) == 3
    assert table.target(clip("wind", "dog")).tolist() == [1.0, 0.0, 1.0]
    assert table.target(clip("dog")).dtype == torch.float32
    assert table.places(clip("rain", "dog")) == (0, 1)
    assert table.target(clip()).tolist() == [0.0, 0.0, 0.0]  # none of the classes
    assert LabelTable(("b", "a"), "single-label").target(clip("a")).tolist() == [0.0, 1.0]


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (
            ("dgo",),
            "meta.csv:7: label 'dgo'; did you mean 'dog'? - expected one of dog, rain - "
            "put the label right, or add it to data.labels",
        ),
        (("zzz",), "meta.csv:7: label 'zzz' - expected one of dog, rain - put"),
        (
            ("dog", "rain"),
            "meta.csv:7: 2 labels (dog, rain) - expected one label (data.task: single-label) - "
            "put the row right, or state data.task: multi-label",
        ),
        ((), "meta.csv:7: no label - expected one label"),
    ],
)
def test_labels_that_do_not_fit(labels: tuple[str, ...], expected: str) -> None:
    table = LabelTable(("dog", "rain"), "single-label")
    with pytest.raises(DataError) as caught:
        table.target(clip(*labels))
    assert str(caught.value).startswith(expected)


def test_all_problems_of_a_manifest_at_once() -> None:
    table = LabelTable(("dog",), "single-label")
    good = manifest(clip("dog"), clip("dog"))
    assert table.all_places(good) == [(0,), (0,)]
    bad = manifest(*(clip("dog" if line % 2 else "cat", line=line) for line in range(2, 40)), clip(line=40))
    with pytest.raises(DataError) as caught:
        table.all_places(bad)
    lines = str(caught.value).split("\n")
    assert len(lines) == 2
    assert lines[0].startswith("meta.csv:40: no label - expected one label")
    assert lines[1].startswith("meta.csv:2: label 'cat' (19 clips) - expected one of dog - put the label right")
    assert "data.unknown_labels: ignore" in lines[1]


def test_unknown_names_are_told_once_each_the_most_frequent_first() -> None:
    table = LabelTable(("dog", "rain"), "multi-label")
    rows = [("dgo", "rain"), ("zzz",), ("dgo",), ("dog",), ("dgo", "zzz")]
    rows += [(f"other {i}",) for i in range(20)]
    with pytest.raises(DataError) as caught:
        table.all_places(manifest(*(clip(*labels, line=i + 2) for i, labels in enumerate(rows))))
    lines = str(caught.value).split("\n")
    assert len(lines) == 11
    assert lines[0].startswith("meta.csv:2: label 'dgo' (3 clips); did you mean 'dog'? - expected one of dog, rain")
    assert lines[1].startswith("meta.csv:3: label 'zzz' (2 clips) - ")
    assert lines[2].startswith("meta.csv:7: label 'other 0' (1 clip) - ")
    assert lines[10] == "meta.csv: 22 problems in all - the first 10 are shown"


def test_many_names_are_not_all_printed() -> None:
    table = LabelTable(tuple(f"class {i}" for i in range(527)), "multi-label")
    with pytest.raises(DataError, match=r"class 9, … \(527 in all\) - put the label right"):
        table.target(clip("zzz"))


def test_tables_that_make_no_sense() -> None:
    with pytest.raises(DataError, match=r"labels: dog given twice - expected every name once"):
        LabelTable(("dog", "rain", "dog"), "single-label")
    with pytest.raises(DataError, match="labels: no names"):
        LabelTable((), "single-label")
    with pytest.raises(DataError, match=r"meta\.csv: no clip has a label"):
        LabelTable.from_manifest(manifest(clip()), "single-label")


def test_official_label_csv(tmp_path: Path) -> None:
    """The order is the index, and clips may use the mid as well as the name."""
    path = tmp_path / "class_labels_indices.csv"
    path.write_text('index,mid,display_name\n1,/m/b,"Male speech, man speaking"\n0,/m/a,Speech\n')
    table = LabelTable.read(str(path), "multi-label")
    assert table.names == ("Speech", "Male speech, man speaking")
    assert table.places(clip("/m/b", "Speech")) == (0, 1)
    assert table.places(clip("/m/a", "Speech")) == (0,)


@pytest.mark.parametrize(
    ("name", "text"), [("l.csv", "\ufeffname\r\nb\r\ncafe\u0301\r\n"), ("l.txt", "b\n\n caf\u00e9 \n")]
)
def test_plain_label_files(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_bytes(text.encode())
    assert LabelTable.read(str(tmp_path / name), "single-label").names == ("b", "caf\u00e9")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("class\nx\n", "l.csv:1: no column 'display_name' or 'name' or 'label' - found class - name the column"),
        ("index,name\nx,a\n", "l.csv:2: index 'x' - expected 0, 1, 2, …"),
        ("index,name\n0,a\n2,b\n", "l.csv: 2 rows - expected indices 0 to 1, each once - renumber them"),
        ("index,name\n0,\n", "l.csv:2: no name - expected one"),
        ("mid,name\n/m/a,x\n/m/a,y\n", "l.csv:3: mid '/m/a' is 'x' already - expected every mid once"),
        ("name\n", "labels: no names"),
        ("name\na\na\n", "labels: a given twice"),
    ],
)
def test_errors_of_a_label_file(tmp_path: Path, text: str, expected: str) -> None:
    (tmp_path / "l.csv").write_text(text)
    with pytest.raises(DataError) as caught:
        LabelTable.read(str(tmp_path / "l.csv"), "single-label")
    assert str(caught.value).replace(f"{tmp_path}/", "").startswith(expected)


def test_label_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"No such file or directory - expected a label table - check data\.labels"):
        LabelTable.read(str(tmp_path / "l.csv"), "single-label")
    (tmp_path / "l.csv").write_bytes(b"name\n\xe9\n")
    with pytest.raises(DataError, match="not UTF-8"):
        LabelTable.read(str(tmp_path / "l.csv"), "single-label")


def test_build_label_table(tmp_path: Path) -> None:
    clips = manifest(clip("b"), clip("a"))
    (tmp_path / "l.txt").write_text("b\na\n")
    assert build_label_table(None, "single-label", clips).names == ("a", "b")
    assert build_label_table(["b", "a"], "single-label", clips).names == ("b", "a")
    assert build_label_table(str(tmp_path / "l.txt"), "single-label", clips).names == ("b", "a")


OFFICIAL = 'index,mid,display_name\n0,/m/a,Speech\n1,/m/b,"Dog, bark"\n2,/m/c,Rain\n'


@pytest.mark.parametrize(
    ("word", "place"),
    [
        ("Speech", 0),
        ("Dog, bark", 1),
        ("/m/c", 2),
        ("0", 0),
        ("2", 2),
        ("2.0", 2),
        ("3", None),
        ("02", None),
        ("-1", None),
        ("1.5", None),
        ("\u0661", None),  # an Arabic 1
        ("9" * 30, None),
        ("/m/d", None),
        ("speech", None),
    ],
)
def test_a_label_is_a_name_or_a_mid_or_an_index(tmp_path: Path, word: str, place: int | None) -> None:
    (tmp_path / "l.csv").write_text(OFFICIAL)
    assert LabelTable.read(str(tmp_path / "l.csv"), "multi-label").place(word) == place


@pytest.mark.parametrize(
    "text",
    ["index,name\n0,7\n1,2\n2,9\n", "index,mid,name\n0,5,a\n1,2,b\n2,6,c\n", "index,name\n0,7.0\n1,2\n2,9\n"],
)
def test_in_a_table_with_numbers_for_names_numbers_are_names(tmp_path: Path, text: str) -> None:
    (tmp_path / "l.csv").write_text(text)
    table = LabelTable.read(str(tmp_path / "l.csv"), "multi-label")
    assert table.place("2") == 1
    assert table.place("0") is None


def test_only_a_file_with_indices_takes_indices(tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_text("name\na\nb\n")
    (tmp_path / "l.txt").write_text("a\nb\n")
    for name in ("l.csv", "l.txt"):
        assert LabelTable.read(str(tmp_path / name), "multi-label").place("1") is None
    assert LabelTable(("a", "b"), "multi-label").place("1") is None


def test_a_name_goes_before_an_alias() -> None:
    table = LabelTable(("a", "b"), "multi-label", {"b": "a", "x": "a", "y": "gone"})
    assert [table.place(word) for word in ("a", "b", "x", "y")] == [0, 1, 0, None]


def test_near_words_of_an_unknown_mid_are_mids(tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_text("index,mid,name\n0,/m/09x0r,Speech\n")
    with pytest.raises(DataError, match=r"label '/m/09x0s'; did you mean '/m/09x0r'\?"):
        LabelTable.read(str(tmp_path / "l.csv"), "multi-label").target(clip("/m/09x0s"))


@pytest.mark.parametrize("text", [OFFICIAL, 'name\na\n\'b\'\n"c,""d"""\n', "index,name\n0,7\n1,2\n"])
def test_a_table_goes_into_a_checkpoint_and_into_a_file_and_comes_back(tmp_path: Path, text: str) -> None:
    (tmp_path / "l.csv").write_text(text)
    table = LabelTable.read(str(tmp_path / "l.csv"), "multi-label")
    config = json.loads(json.dumps(table.as_config()))
    assert LabelTable.from_config(config, "multi-label") == table
    write_label_table(tmp_path / "again.csv", table)
    again = LabelTable.read(str(tmp_path / "again.csv"), "multi-label")
    assert (again.names, again.aliases) == (table.names, table.aliases)
    assert (
        (tmp_path / "again.csv")
        .read_text()
        .startswith("index,mid,display_name\n0," if table.aliases else "index,display_name\n0,")
    )


def test_a_checkpoint_from_before_aliases_and_a_damaged_one() -> None:
    assert LabelTable.from_config({"labels": ["a"]}, "single-label") == LabelTable(("a",), "single-label")
    for config in (
        {"labels": [1]},
        {"labels": ["a"], "label_aliases": {"x": 1}},
        {"labels": ["a"], "label_aliases": 3},
    ):
        with pytest.raises(DataError, match=r"config\.json"):
            LabelTable.from_config(config, "single-label")


def test_counts() -> None:
    table = LabelTable(("a", "b", "c"), "multi-label")
    assert table.counts(manifest(clip("a", "c"), clip("c"), clip())) == (1, 0, 2)
    assert table.counts(manifest()) == (0, 0, 0)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ("/m/a,/m/b", ("/m/a", "/m/b")),
        ("/m/a, /t/b ,", ("/m/a", "/t/b")),
        ("0, 12,3", ("0", "12", "3")),
        ("Dog, bark,Rain", ("Dog, bark", "Rain")),
        ("Dog, bark", ("Dog, bark",)),
        (["Dog,bark", "Rain"], ("Dog,bark", "Rain")),
        (3, ("3",)),
        ("", ()),
    ],
)
def test_labels_of_an_official_json(tmp_path: Path, labels: object, expected: tuple[str, ...]) -> None:
    """Identifiers are split at commas; a display name that holds one stays whole."""
    entries = [{"wav": "a.wav", "labels": labels}, {"wav": "b.wav", "labels": "/m/z"}]
    (tmp_path / "m.json").write_text(json.dumps({"data": entries}))
    clips = read_manifest(SourceConfig(path=str(tmp_path / "m.json")), labelled=True).clips
    assert clips[0].labels == expected
    assert clips[1].labels == ("/m/z",)


def test_the_made_up_mids_of_esc_50_and_speech_commands(tmp_path: Path) -> None:
    for prefix, names in (("/m/07rwj", ["dog", "rooster", "pig"]), ("/m/spcmd", ["backward", "follow", "five"])):
        rows = [f"{i},{prefix}{i:02d},{name}\n" for i, name in enumerate(names)]
        (tmp_path / "l.csv").write_text("index,mid,display_name\n" + "".join(rows))
        table = LabelTable.read(str(tmp_path / "l.csv"), "single-label")
        assert table.names == tuple(names)
        assert [table.places(clip(f"{prefix}0{i}")) for i in range(3)] == [(0,), (1,), (2,)]
