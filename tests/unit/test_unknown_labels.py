"""Labels that the table lacks: dropped and counted, by task."""

from pathlib import Path

import pytest

from zoo.data.clip import Clip
from zoo.data.labels import LabelTable
from zoo.data.manifest import Manifest
from zoo.data.unknown_labels import UnknownLabels, without_unknown
from zoo.errors import DataError

ROWS = [("dog",), ("cat",), ("dog", "cat"), ("cow", "cat"), ("rain", "dog"), ()]


def manifest(rows: list[tuple[str, ...]]) -> Manifest:
    return Manifest(tuple(Clip(Path("a"), str(i), labels) for i, labels in enumerate(rows)), "meta.csv", ("a note",))


def test_multi_label() -> None:
    found, unknown = without_unknown(manifest(ROWS), LabelTable(("dog", "rain"), "multi-label", {"wet": "rain"}))
    assert [clip.labels for clip in found.clips] == [("dog",), (), ("dog",), (), ("rain", "dog"), ()]
    assert [clip.id for clip in found.clips] == list("012345")
    assert unknown == UnknownLabels((("cat", 3), ("cow", 1)), 0, 2)
    assert unknown.as_report() == {"names": {"cat": 3, "cow": 1}, "clips_left_out": 0, "clips_without_label": 2}
    assert unknown.in_words() == ("unknown labels ignored: cat × 3, cow × 1; 2 clips stay with none of the classes")
    assert found.notes == ("a note",)


def test_single_label() -> None:
    """What is wrong in another way stays, to be told as an error."""
    found, unknown = without_unknown(manifest(ROWS), LabelTable(("dog", "rain"), "single-label"))
    assert [clip.id for clip in found.clips] == ["0", "2", "3", "4", "5"]
    assert unknown == UnknownLabels((("cat", 1),), 1, 0)
    assert "1 clips left out" in unknown.in_words()


def test_nothing_unknown_changes_nothing() -> None:
    clips = manifest([("dog",), ("wet",)])
    found, unknown = without_unknown(clips, LabelTable(("dog", "rain"), "single-label", {"wet": "rain"}))
    assert found is clips
    assert unknown == UnknownLabels()


@pytest.mark.parametrize("task", ["single-label", "multi-label"])
def test_a_wrong_table_is_no_table(task: str) -> None:
    with pytest.raises(DataError, match=r"meta\.csv: no clip has a label of the table; found cat, cow - "):
        without_unknown(manifest([("cat",), ("cow",), ("cat",)]), LabelTable(("dog",), task))  # type: ignore[arg-type]
