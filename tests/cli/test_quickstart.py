"""The quickstart on a folder of one's own, cut to a few steps: every row is there, and it goes on where it was."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from zoo.data.manifest import SourceConfig, read_manifest
from zoo.errors import DataError
from zoo.use.quickstart_data import own_data

Zoo = Callable[..., object]
ROWS = {
    "SSAST pretrained",
    "SSAST scratch",
    "SSAST scratch, equal compute",
    "AST",
    "PaSST",
    "CNN",
    "probe on random features",
    "probe on pretrained features",
}


def test_on_a_folder_of_classes(zoo: Zoo, tone_folder: Callable[..., Path], tmp_path: Path) -> None:
    data = tone_folder(classes=("low", "middle", "high"), clips=10, seconds=1.0)
    arguments = ["quickstart", "--data", data, "--out", "quick", "train.clips=16", "evaluate.every_clips=16"]
    report = json.loads(zoo(*arguments, "log.images=1", "--json").stdout)
    rows = {row["name"]: row for row in report["rows"]}
    assert set(rows) == ROWS
    assert report["chance"] == pytest.approx(1 / 3)
    assert rows["SSAST pretrained"]["pretraining_clips"] == 16
    assert rows["SSAST scratch, equal compute"]["clips"] > rows["SSAST scratch"]["clips"] == rows["AST"]["clips"] == 16
    assert any("Pretraining" in remark for remark in report["remarks"])
    folders = {"pretrain", "ssast-pretrained", "ssast-scratch", "ssast-scratch-longer", "ast", "passt", "cnn"}
    assert all((tmp_path / "quick" / folder / "summary.json").is_file() for folder in folders)
    # Held-out clips are in nobody's training, pretraining included.
    train, held_out = ({c.path for c in read_manifest(SourceConfig(path=str(p))).clips} for p in _split(tmp_path))
    assert not train & held_out
    assert len(train | held_out) == 30
    pretraining = json.loads((tmp_path / "quick/pretrain/summary.json").read_text())
    assert pretraining["num_train_clips"] == len(train)

    again = json.loads(zoo(*arguments, "log.images=1", "--json").stdout)
    values = {row["name"]: row["values"] for row in again["rows"]}
    assert values == {name: row["values"] for name, row in rows.items()}


def _split(folder: Path) -> tuple[Path, Path]:
    return folder / "quick/data/train.csv", folder / "quick/data/eval.csv"


def _write(path: Path, rows: list[dict[str, str]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture
def clips(tone_folder: Callable[..., Path]) -> list[dict[str, str]]:
    folder = tone_folder(clips=8)
    return [
        {"path": str(path), "label": path.parent.name, "number": path.stem.split("_")[1]}
        for path in sorted(folder.rglob("*.wav"))
    ]


def test_held_out_by_fold_group_or_split(clips: list[dict[str, str]], tmp_path: Path) -> None:
    by_fold = [{"path": c["path"], "label": c["label"], "fold": c["number"]} for c in clips]
    _write(tmp_path / "fold.csv", by_fold)
    found = own_data(tmp_path / "fold.csv", tmp_path / "a")
    assert "fold 7" in found.remark
    assert len(read_manifest(SourceConfig(path=str(found.eval)))) == 2

    by_group = [{"path": c["path"], "label": c["label"], "group": str(int(c["number"]) // 2)} for c in clips]
    _write(tmp_path / "group.csv", by_group)
    found = own_data(tmp_path / "group.csv", tmp_path / "b")
    groups = {row["path"]: row["group"] for row in by_group}
    train, held_out = (
        {groups[str(clip.path)] for clip in read_manifest(SourceConfig(path=str(path))).clips}
        for path in (found.train, found.eval)
    )
    assert held_out
    assert not train & held_out

    by_split = [
        {"path": c["path"], "label": c["label"], "split": "test" if c["number"] == "0" else "train"} for c in clips
    ]
    _write(tmp_path / "split.csv", by_split)
    assert "split 'test'" in own_data(tmp_path / "split.csv", tmp_path / "c").remark


def test_a_folder_without_groups_says_that_it_may_flatter(tone_folder: Callable[..., Path], tmp_path: Path) -> None:
    found = own_data(tone_folder(clips=10), tmp_path / "a")
    assert "flatters" in found.remark
    labels = [clip.labels for clip in read_manifest(SourceConfig(path=str(found.eval)), labelled=True).clips]
    assert labels.count(("low",)) == labels.count(("high",)) == 3


def test_classes_must_be_on_both_sides(clips: list[dict[str, str]], tmp_path: Path) -> None:
    rows = [{"path": c["path"], "label": c["label"], "fold": "2" if c["label"] == "high" else "1"} for c in clips]
    _write(tmp_path / "bad.csv", rows)
    with pytest.raises(DataError, match="every class on both sides"):
        own_data(tmp_path / "bad.csv", tmp_path / "a")
