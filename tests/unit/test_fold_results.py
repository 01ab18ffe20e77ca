"""One result of several folds, from run folders written by hand: every number is known."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from zoo.compare.crossval_table import crossval_table
from zoo.compare.folds import RULES, fold_results
from zoo.compare.shared_epoch import best_shared_epoch
from zoo.errors import DataError
from zoo.evaluate.metrics import classification_metrics, finite_or_none
from zoo.evaluate.predictions import Predictions

RECIPE = """
name: folds
model: {kind: cnn, channels: [4, 8], n_frames: 48}
data: {train: t.csv, eval: null, task: single-label}
objective: {kind: classification}
train: {epochs: 3, batch_size: 4}
evaluate: {EVERY}
"""
Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A finished run: its judged scores, and its metrics at every evaluation."""

    def write(
        fold: str,
        scores: torch.Tensor,
        classes: list[int],
        *,
        series: list[tuple[int, dict[str, float | None]]] = (),  # type: ignore[assignment]
        every: str = "every_epochs: 1",
        judged: tuple[str, str] = ("test", "best"),
        num_train: int = 20,
        **changes: Any,
    ) -> Path:
        folder = tmp_path / f"fold-{fold}"
        folder.mkdir()
        (folder / "recipe.yaml").write_text(RECIPE.replace("EVERY", every))
        targets = torch.eye(3)[classes]
        names = tuple(f"{fold}/{row}" for row in range(len(classes)))
        Predictions(names, scores, targets, ("a", "b", "c"), "single-label").write(folder / "predictions.npz")
        summary = {
            "name": "folds",
            "seed": 0,
            "task": "single-label",
            "labels": ["a", "b", "c"],
            "metric": "accuracy",
            "metrics": finite_or_none(classification_metrics(scores, targets, "single-label")),
            "chance": {"accuracy": 0.5},
            "num_eval_clips": len(classes),
            "num_train_clips": num_train,
            "judged_on": judged[0],
            "select": judged[1],
            "evaluation": "as judged",
            "front_end": {},
        }
        (folder / "summary.json").write_text(json.dumps(summary | changes))
        lines = [
            {"clips": clips, "step": 1, "epoch": 0, "seconds": 1.0} | {f"eval/{k}": v for k, v in values.items()}
            for clips, values in series
        ]
        lines.insert(1, {"clips": 5, "loss/total": 1.0})
        (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        return folder

    return write


def _scores(rows: int, seed: int) -> torch.Tensor:
    return torch.randn(rows, 3, generator=torch.Generator().manual_seed(seed))


def test_mean_deviation_pooled_and_missing_classes(make: Make) -> None:
    classes = {"1": [0, 1, 2, 0, 1], "2": [0, 0, 1, 1], "3": [2, 2, 2, 2, 2, 1]}
    folders = {fold: make(fold, _scores(len(some), int(fold)), some) for fold, some in classes.items()}
    result = fold_results(folders, "validation")
    assert (result["rule"], result["rule_in_words"]) == ("validation", RULES["validation"])
    assert result["rule_in_words"].startswith("honest")
    assert result["num_clips"] == {"1": 5, "2": 4, "3": 6}
    by_fold = {
        fold: classification_metrics(_scores(len(some), int(fold)), torch.eye(3)[some], "single-label")
        for fold, some in classes.items()
    }
    for name in ("accuracy", "mAP", "auc", "f1", "precision_weighted"):
        values = [by_fold[fold][name] for fold in classes]
        mean = sum(values) / 3
        deviation = math.sqrt(sum((value - mean) ** 2 for value in values) / 2)
        found = result["metrics"][name]
        assert found["mean"] == pytest.approx(mean, abs=1e-12)
        assert found["deviation"] == pytest.approx(deviation, abs=1e-12)
        assert list(found["values"].values()) == values
    assert not any(name.startswith("classes_without") for name in result["metrics"])
    scores = torch.cat([_scores(len(some), int(fold)) for fold, some in classes.items()])
    targets = torch.eye(3)[[c for some in classes.values() for c in some]]
    assert result["pooled"]["num_clips"] == 15
    assert result["pooled"]["metrics"] == finite_or_none(classification_metrics(scores, targets, "single-label"))
    assert result["classes_without_positives"] == {"1": [], "2": ["c"], "3": ["a"]}
    json.dumps(result, allow_nan=False)


def test_what_one_fold_does_not_define_has_no_mean(make: Make) -> None:
    folders = {"1": make("1", _scores(4, 1), [0, 0, 0, 0]), "2": make("2", _scores(4, 2), [0, 1, 2, 0])}
    metrics = fold_results(folders, "validation")["metrics"]
    assert metrics["auc"]["values"]["1"] is None  # every clip has the class
    assert metrics["auc"]["mean"] is metrics["auc"]["deviation"] is None
    assert metrics["accuracy"]["mean"] is not None


def test_one_fold_has_no_deviation(make: Make) -> None:
    metrics = fold_results({"1": make("1", _scores(4, 1), [0, 1, 2, 0])}, "validation")["metrics"]
    assert metrics["accuracy"]["deviation"] is None
    assert metrics["accuracy"]["mean"] == metrics["accuracy"]["values"]["1"]


def _series(values: list[float], clips_per_epoch: int) -> list[tuple[int, dict[str, float | None]]]:
    return [
        (clips_per_epoch * epoch, {"accuracy": value, "mAP": value / 2}) for epoch, value in enumerate(values, start=1)
    ]


def test_the_official_rule_takes_the_best_epoch_of_the_mean(make: Make) -> None:
    """Neither fold's own best epoch, nor the last; folds of other size are after other clips in the same epoch."""
    folders = {
        "1": make("1", _scores(4, 1), [0, 1, 2, 0], series=_series([0.9, 0.6, 0.2], 20), judged=("eval", "last")),
        # 18 clips are four batches of 4: an epoch is 16 clips.
        "2": make(
            "2",
            _scores(4, 2),
            [0, 1, 2, 0],
            series=_series([0.0, 0.7, 0.8], 16),
            judged=("eval", "last"),
            num_train=18,
        ),
    }
    result = fold_results(folders, "official")
    assert result["shared_epoch"]["epoch"] == 2
    assert result["shared_epoch"]["shared"] == 3
    assert result["metrics"]["accuracy"]["values"] == {"1": 0.6, "2": 0.7}
    assert result["metrics"]["accuracy"]["mean"] == pytest.approx(0.65)
    assert result["metrics"]["mAP"]["mean"] == pytest.approx(0.325)
    at_the_end = result["last"]["metrics"]["accuracy"]
    expected = [json.loads((folder / "summary.json").read_text())["metrics"]["accuracy"] for folder in folders.values()]
    assert list(at_the_end["values"].values()) == expected
    assert result["shared_epoch"]["optimism"] == pytest.approx(0.65 - sum(expected) / 2)
    assert result["rule_in_words"].startswith("optimistic: the epoch was chosen on the clips it is judged on")
    assert "not of the shared epoch" in result["pooled"]["weights"]


def test_only_epochs_that_all_folds_have_are_shared(make: Make) -> None:
    folders = {
        "1": make("1", _scores(4, 1), [0, 1, 2, 0], series=_series([0.5, 0.5, 0.9], 20), judged=("eval", "last")),
        "2": make("2", _scores(4, 2), [0, 1, 2, 0], series=_series([0.5, 0.5], 20), judged=("eval", "last")),
    }
    where, values = best_shared_epoch(folders, "accuracy")
    assert where == {"epoch": 1, "shared": 2}  # of equals the first
    assert values["1"]["accuracy"] == 0.5


def test_evaluations_counted_in_clips_are_shared_by_clips(make: Make) -> None:
    folders = {
        fold: make(
            fold,
            _scores(4, 1),
            [0, 1, 2, 0],
            series=[(30, {"accuracy": 0.1}), (60, {"accuracy": last}), (70, {"accuracy": None})],
            every="every_clips: 30",
            judged=("eval", "last"),
        )
        for fold, last in (("1", 0.3), ("2", 0.4))
    }
    assert best_shared_epoch(folders, "accuracy")[0] == {"clips": 60, "shared": 3}
    with pytest.raises(DataError, match="no evaluation that all folds share with a 'f1'"):
        best_shared_epoch(folders, "f1")


def test_runs_that_do_not_belong_together(make: Make) -> None:
    one = make("1", _scores(4, 1), [0, 1, 2, 0])
    with pytest.raises(DataError, match="another seed than in"):
        fold_results({"1": one, "2": make("2", _scores(4, 1), [0, 1, 2, 0], seed=1)}, "validation")
    with pytest.raises(
        DataError, match="judged on 'test' with select 'best' - expected 'test' and 'last' of rule 'last'"
    ):
        fold_results({"1": one}, "last")
    with pytest.raises(DataError, match="is judged in 2 folds"):
        fold_results({"1": one, "again": one}, "validation")
    with pytest.raises(DataError, match="no finished run"):
        fold_results({}, "validation")


def test_the_table(make: Make) -> None:
    perfect = torch.eye(3)[[0, 1, 2, 0]]
    folders = {"1": make("1", perfect, [0, 1, 2, 0]), "2": make("2", _scores(4, 5), [0, 1, 2, 0])}
    result = fold_results(folders, "validation")
    report = {"seeds": [0], "by_seed": {"0": result}, "metrics": result["metrics"], "chance": {"accuracy": 0.5}}
    header, rows = crossval_table(report)
    assert header == ["metric", "fold 1", "fold 2", "mean ± deviation", "all clips", "chance"]
    table = {row[0]: row[1:] for row in rows}
    assert table["accuracy"][0] == "1.0000"
    assert table["accuracy"][-1] == "0.5000"
    assert "±" in table["accuracy"][2]
    assert (table["d′"][0], table["d′"][2]) == ("∞", "∞")  # one is endless, and so is the mean
    assert table["d′"][1] not in ("∞", "–")
    assert table["clips"] == ["4", "4", "–", "8", "–"]
    assert {"precision, macro", "F1, weighted", "mAP", "AUC"} <= table.keys()
