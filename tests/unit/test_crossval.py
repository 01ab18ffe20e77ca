"""Cross-validation of real, tiny runs: what is run, what is kept, what may choose, and what a failure leaves."""

import contextlib
import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from zoo.compare.crossval import crossval, folder_name
from zoo.compare.folds import RULES
from zoo.errors import DataError
from zoo.train.checkpoint import load_checkpoint

RECIPE = """
name: tiny
model: {kind: cnn, channels: [4, 8], n_frames: 32}
data: {train: TRAIN, eval: null, task: single-label, num_workers: 0}
objective: {kind: classification}
train: {epochs: 3, batch_size: 4, precision: fp32, device: cpu}
log: {images: 0}
optim: {kind: adamw, lr: 0.005}
"""
NUM_CLIPS = 24


@pytest.fixture
def make(tone_folder: Callable[..., Path], tmp_path: Path) -> Callable[..., Path]:
    """A recipe over 24 tones in 3 folds; of those of `turned` folds the labels are changed round."""
    tones = tone_folder("tones", ("low", "high"), NUM_CLIPS // 2, 0.3)

    def write(name: str = "r", turned: tuple[int, ...] = (), broken: tuple[int, ...] = ()) -> Path:
        manifest = tmp_path / f"{name}.csv"
        with manifest.open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(["path", "label", "fold"])
            for number in range(NUM_CLIPS):
                fold, label = number // 2 % 3 + 1, ("low", "high")[number % 2]
                told = {"low": "high", "high": "low"}[label] if fold in turned else label
                where = tones / label / f"{label}_{number // 2}.wav"
                table.writerow([where if fold not in broken else tmp_path / "gone.wav", told, fold])
        recipe = tmp_path / f"{name}.yaml"
        recipe.write_text(RECIPE.replace("TRAIN", str(manifest)))
        return recipe

    return write


class Shown:
    """A training display that remembers its titles."""

    def __init__(self) -> None:
        self.titles: list[str] = []

    @contextlib.contextmanager
    def __call__(self, title: str) -> Iterator[Any]:
        self.titles.append(title)
        yield None


def test_a_run_a_fold_and_none_twice(make: Callable[..., Path], tmp_path: Path) -> None:
    recipe, out, shown = make(), tmp_path / "cv", Shown()
    partial = crossval(recipe, folds=["2"], out=out, training=shown)
    assert shown.titles == ["finetune tiny (seed 0), fold 2"]
    assert not partial["complete"]
    assert [run["fold"] for run in partial["missing"]] == ["1", "3"]
    assert any("not run yet: fold 1, fold 3" in remark for remark in partial["remarks"])
    report = crossval(recipe, out=out, training=shown)
    assert [title[-6:] for title in shown.titles] == ["fold 2", "fold 1", "fold 3"]
    assert report["complete"]
    assert report["rule"] == "validation"
    assert report["rule_in_words"] == RULES["validation"]
    assert report["metrics"]["accuracy"]["values"].keys() == {"1", "2", "3"}
    assert report["deviation_of"] == "over the folds"
    assert json.loads((out / "crossval.json").read_text()) == report
    text = (out / "crossval.md").read_text()
    assert RULES["validation"] in text
    for title in ("accuracy", "mAP", "AUC", "d′", "precision, macro", "recall, weighted", "F1, weighted"):
        assert f"| {title} |" in text
    for fold in ("1", "2", "3"):
        summary = json.loads((out / folder_name(fold) / "summary.json").read_text())
        assert report["metrics"]["accuracy"]["values"][fold] == summary["metrics"]["accuracy"]
        assert (summary["judged_on"], summary["select"], summary["num_eval_clips"]) == ("test", "best", 8)
        assert "optimistic" not in summary["evaluation"]
    assert crossval(recipe, out=out, training=shown) == report
    assert len(shown.titles) == 3


def test_seeds_are_told_apart_from_folds(make: Callable[..., Path], tmp_path: Path) -> None:
    recipe, out, shown = make(), tmp_path / "cv", Shown()
    first = crossval(recipe, rule="last", out=out, training=shown)
    both = crossval(recipe, rule="last", seeds=[0, 7], out=out, training=shown)
    assert len(shown.titles) == 6  # those of the recipe's own seed were there
    assert (out / "seed-7/fold-1/summary.json").exists()
    assert both["deviation_of"] == "over the seeds, each of which is its mean over the folds"
    means = {seed: both["by_seed"][seed]["metrics"]["mAP"]["mean"] for seed in ("0", "7")}
    assert both["metrics"]["mAP"]["values"] == means
    assert both["metrics"]["mAP"]["mean"] == pytest.approx(sum(means.values()) / 2)
    assert both["metrics"]["mAP"]["deviation"] == pytest.approx(abs(means["0"] - means["7"]) / 2**0.5)
    assert first["metrics"] == both["by_seed"]["0"]["metrics"]


def test_judged_clips_choose_nothing(make: Callable[..., Path], tmp_path: Path) -> None:
    """With all labels of fold 1 changed round, its run has the same weights, bit for bit, and the opposite accuracy."""
    accuracy, states = [], []
    for name, turned in (("a", ()), ("b", (1,))):
        out = tmp_path / name
        report = crossval(make(name, turned), folds=["1"], out=out, training=Shown())
        accuracy.append(report["metrics"]["accuracy"]["mean"])
        states.append([load_checkpoint(out / "fold-1/checkpoints" / which)[0] for which in ("best", "last")])
    for ours, theirs in zip(*states, strict=True):
        assert all(torch.equal(value, theirs[key]) for key, value in ours.items())
    assert accuracy[0] + accuracy[1] == pytest.approx(1)
    # The check can fail: labels of a training fold do change the weights.
    crossval(make("c", (2,)), folds=["1"], out=tmp_path / "c", training=Shown())
    other = load_checkpoint(tmp_path / "c/fold-1/checkpoints/last")[0]
    assert not all(torch.equal(value, other[key]) for key, value in states[0][1].items())


def test_the_official_rule(make: Callable[..., Path], tmp_path: Path) -> None:
    report = crossval(make(), rule="official", out=tmp_path / "cv", training=Shown())
    result = report["by_seed"]["0"]
    curves = {}
    for fold in ("1", "2", "3"):
        lines = [json.loads(line) for line in (tmp_path / f"cv/fold-{fold}/metrics.jsonl").read_text().splitlines()]
        curves[fold] = [line["eval/accuracy"] for line in lines if "eval/accuracy" in line]
        assert len(curves[fold]) == 3  # at every epoch
    means = [sum(values) / 3 for values in zip(*curves.values(), strict=True)]
    assert report["metrics"]["accuracy"]["mean"] == pytest.approx(max(means))
    assert result["shared_epoch"]["epoch"] == means.index(max(means)) + 1
    assert result["last"]["metrics"]["accuracy"]["mean"] == pytest.approx(means[-1])
    assert result["shared_epoch"]["optimism"] == pytest.approx(max(means) - means[-1])
    assert report["rule_in_words"].startswith("optimistic")
    assert any("the weights at the end have accuracy" in remark for remark in report["remarks"])


def test_a_fold_that_fails_leaves_the_others(make: Callable[..., Path], tmp_path: Path) -> None:
    out = tmp_path / "cv"
    crossval(make(), folds=["1"], rule="last", out=out, training=Shown())
    (out / "fold-2").mkdir()
    (out / "fold-2/notes.txt").write_text("mine")  # no run, so that none may be written there
    report = crossval(make(), rule="last", out=out, training=Shown())
    assert [run["fold"] for run in report["failed"]] == ["2"]
    assert "holds no run" in report["failed"][0]["error"]
    assert list(report["metrics"]["accuracy"]["values"]) == ["1", "3"]
    assert not report["complete"]
    assert any(remark.startswith("failed: fold 2: ") for remark in report["remarks"])
    (out / "fold-2/notes.txt").unlink()
    assert crossval(make(), rule="last", out=out, training=Shown())["complete"]


def test_a_first_fold_that_fails_is_told_at_once(make: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(DataError):
        crossval(make(broken=(1, 2, 3)), rule="last", out=tmp_path / "cv", training=Shown())
    assert not (tmp_path / "cv/fold-2").exists()


@pytest.mark.parametrize(
    ("fold", "name"), [("3", "fold-3"), ("a b", "fold-a b"), ("x/y", "fold-x%2Fy"), ("..", "fold-..")]
)
def test_folders(fold: str, name: str) -> None:
    assert folder_name(fold) == name
