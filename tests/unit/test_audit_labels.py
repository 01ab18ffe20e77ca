"""Every finding about labels, and the table of classes."""

from pathlib import Path
from typing import Any

import pytest

from tests.unit.audit_sounds import music, write
from zoo.data.audit.labels import check_labels, class_balance, telling_formats
from zoo.data.audit.listen import Heard
from zoo.data.audit.sides import Placed
from zoo.data.clip import Clip
from zoo.data.labels import LabelTable
from zoo.errors import DataError
from zoo.use.audit import audit_manifests


def _placed(*rows: tuple[tuple[str, ...], str | None]) -> list[Placed]:
    return [
        Placed(Clip(Path(f"{i}.wav"), f"{i}.wav", labels, fold=fold, origin="m.csv:", line=i))
        for i, (labels, fold) in enumerate(rows)
    ]


def _told(placed: list[Placed], table: LabelTable | None = None) -> dict[str, list[str]]:
    told: dict[str, list[str]] = {}
    for found in check_labels(placed, "m.csv", table):
        told.setdefault(found.kind, []).append(found.text)
    return told


def test_names_that_are_one_class() -> None:
    names = [
        "Dog bark",
        "dog_bark",
        "café",
        "cafe",
        "rain",
        "helicopter",
        "helicoptor",
        "class1",
        "class2",
        "yes",
        "yet",
    ]
    told = _told(_placed(*[((name,), None) for name in names for _ in range(2)]))
    assert set(told) == {"twin-labels", "near-labels"}
    assert told["twin-labels"] == [
        "'Dog bark' (2 clips), 'dog_bark' (2 clips): one class?",
        "'cafe' (2 clips), 'café' (2 clips): one class?",
    ]
    assert told["near-labels"] == ["'helicopter' (2 clips) and 'helicoptor' (2 clips) differ in a letter"]


@pytest.mark.parametrize(
    ("one", "other", "near"),
    [
        ("sneezing", "sneezng", True),
        ("sneezing", "snezeing", True),
        ("sneezing", "sneezings", True),
        ("sneezing", "freezing", False),
        ("track10", "track11", False),
        ("track1", "track11", False),
        ("left", "lift", False),
    ],
)
def test_slips_of_one_letter(one: str, other: str, near: bool) -> None:
    told = _told(_placed(*[((name,), None) for name in (one, other) for _ in range(2)]))
    assert ("near-labels" in told) == near


def test_rare_absent_and_missing_labels() -> None:
    told = _told(_placed((("a",), "1"), (("a",), "2"), (("b",), "1"), (("b", "c"), "1"), ((), "2")))
    assert told["rare-label"] == ["'c' has 1 clip"]
    assert told["absent-label"] == [
        "no clip of fold 2 is 'b' (2 clips elsewhere)",
        "no clip of fold 2 is 'c' (1 clips elsewhere)",
    ]
    assert told["no-label"] == ["4.wav: no label"]


def test_labels_that_are_not_in_the_table() -> None:
    table = LabelTable(("dog", "rain", "sea"), "multi-label", {"/m/1": "sea"})
    told = _told(_placed((("dog",), None), (("dgo",), None), (("dog", "/m/1"), None)), table)
    assert told["unknown-label"] == ["1.wav: 'dgo' is not in the table; did you mean 'dog'?"]
    assert told["unused-label"] == ["no clip is 'rain'"]


def test_balance() -> None:
    placed = _placed(*[(("a",), "1")] * 6, *[(("b",), "2")] * 2, (("a", "b"), "2"))
    heard = [Heard(sample_rate=100, num_samples=36_000)] * len(placed)
    found = class_balance(placed, heard)
    assert found is not None
    assert (found["labels"], found["largest"], found["smallest"], found["ratio"]) == (2, 7, 3, 2.33)
    assert found["evenness"] == pytest.approx(0.8813, abs=1e-4)  # entropy of (.7, .3) in bits
    first = found["classes"][0]
    assert (first["label"], first["hours"], first["sides"]) == ("a", 0.7, {"fold": {"1": 6, "2": 1}})
    assert class_balance(_placed(((), None)), heard[:1]) is None


def test_a_format_that_tells_the_label() -> None:
    placed = _placed(*[(("dog",), None)] * 10, *[(("cat",), None)] * 10)
    alike = [Heard(sample_rate=16_000, num_samples=1, format="WAV")] * 20
    assert list(telling_formats(placed, alike, "m.csv")) == []
    mixed = [Heard(sample_rate=8_000 if i < 10 else 44_100, num_samples=1, format="WAV") for i in range(20)]
    (found,) = telling_formats(placed, mixed, "m.csv")
    assert "sampling rate is right for 100% of the clips, without it 50%" in found.text


def _read(tmp_path: Path, table: str, **options: Any) -> dict[str, Any]:
    write(tmp_path / "a.wav", music(0, 0.5))
    write(tmp_path / "b.wav", music(1, 0.5))
    (tmp_path / "m.csv").write_text(table)
    return audit_manifests([str(tmp_path / "m.csv")], workers=0, **options)


def test_labels_are_read_where_there_are_some(tmp_path: Path) -> None:
    report = _read(tmp_path, "path,label\na.wav,x\nb.wav,x\n")
    assert report["balance"]["labels"] == 1
    assert report["findings"] == []
    report = _read(tmp_path, "path,category\na.wav,x\nb.wav,x\n", columns={"labels": "category"})
    assert report["balance"]["labels"] == 1


def test_a_manifest_without_labels_is_audited_all_the_same(tmp_path: Path) -> None:
    report = _read(tmp_path, "path\na.wav\nb.wav\n")
    assert report["balance"] is None
    assert [row["kind"] for row in report["kinds"]] == ["no-labels"]
    assert "--unlabelled" in report["findings"][0]["text"]
    assert _read(tmp_path, "path\na.wav\nb.wav\n", unlabelled=True)["findings"] == []


def test_a_label_table_needs_labels(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("x\ny\n")
    report = _read(tmp_path, "path,label\na.wav,x\nb.wav,z\n", labels=str(tmp_path / "names.txt"))
    assert "unknown-label" in {row["kind"] for row in report["kinds"]}
    with pytest.raises(DataError, match="no column 'labels' or 'label'"):
        _read(tmp_path, "path\na.wav\nb.wav\n", labels=str(tmp_path / "names.txt"))
    with pytest.raises(DataError, match="leave one of them out"):
        _read(tmp_path, "path\na.wav\nb.wav\n", labels="x", unlabelled=True)
