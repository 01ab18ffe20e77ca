"""Label names to targets, and what a user reads when they do not fit."""

from pathlib import Path

import pytest
import torch

from zoo.data.clip import Clip
from zoo.data.labels import LabelTable, build_label_table
from zoo.data.manifest import Manifest
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
    bad = manifest(*(clip("dog" if line % 2 else "cat", line=line) for line in range(2, 40)))
    with pytest.raises(DataError) as caught:
        table.all_places(bad)
    lines = str(caught.value).split("\n")
    assert len(lines) == 11
    assert lines[0].startswith("meta.csv:2: label 'cat' - expected one of dog")
    assert lines[1].startswith("meta.csv:4: label 'cat'")
    assert lines[10] == "meta.csv: 19 problems in all - the first 10 are shown"


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
