"""Which weights a run is judged by, on which clips, and that the test clips choose nothing."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import zoo
from zoo.errors import RecipeError
from zoo.evaluate.metrics import classification_metrics
from zoo.evaluate.predictions import Predictions
from zoo.recipe import Recipe, parse_recipe
from zoo.run import find_data, train
from zoo.train.checkpoint import load_checkpoint

RECIPE = """
name: judged
model: {kind: cnn, channels: [4, 8], n_frames: 48}
data: {train: TRAIN, eval: null, task: single-label, num_workers: 0}
objective: {kind: classification}
train: {clips: 48, batch_size: 4, precision: fp32, device: cpu}
evaluate: {every_clips: 8}
log: {every_clips: 8, images: 0}
optim: {kind: adamw, lr: 0.02}
"""


@pytest.fixture
def folders(tone_folder: Callable[..., Path]) -> dict[str, Path]:
    return {name: tone_folder(name, ("low", "high"), count, 0.3) for name, count in (("train", 12), ("test", 3))}


def _recipe(folders: dict[str, Path], *overrides: str) -> Recipe:
    return parse_recipe(RECIPE.replace("TRAIN", str(folders["train"])), "x.yaml", overrides, for_training=True)


def _lines(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def test_the_best_weights_are_chosen_on_watched_clips_and_judged_on_others(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    recipe = _recipe(folders, "data.validation={share: 0.25}", f"data.test={folders['test']}", "evaluate.select=best")
    summary = train(recipe, tmp_path / "run", command="finetune")
    found = find_data(recipe)
    assert (len(found.train), len(found.eval), len(found.test)) == (18, 6, 6)  # type: ignore[arg-type]
    assert summary["judged_on"] == "test"
    assert summary["judged_manifest"] == found.test.hash != summary["eval_manifest"]  # type: ignore[union-attr]
    assert summary["num_eval_clips"] == 6
    assert summary["evaluation"].startswith("best weights on the watched clips (accuracy after ")
    assert "optimistic" not in summary["evaluation"]
    watched = [line["eval/accuracy"] for line in _lines(tmp_path / "run") if "eval/accuracy" in line]
    assert summary["eval_metrics"] == {"accuracy": max(watched)}
    # What is judged is what zoo.load gives, and what is written down.
    state, _ = load_checkpoint(tmp_path / "run/checkpoints/best")
    loaded = zoo.load(tmp_path / "run")
    assert all(torch.equal(value, state[name]) for name, value in loaded.state_dict().items())
    kept = Predictions.read(tmp_path / "run/predictions.npz")
    assert {name.split("/")[0] for name in kept.names} == {"low", "high"}
    assert len(kept.names) == 6
    again = classification_metrics(kept.scores, kept.targets, kept.task)
    assert again["accuracy"] == summary["metrics"]["accuracy"]
    verdict = _lines(tmp_path / "run")[-1]
    assert verdict["clips"] == 48
    assert verdict["test/accuracy"] == summary["metrics"]["accuracy"]


def test_test_clips_choose_nothing(folders: dict[str, Path], tone_folder: Callable[..., Path], tmp_path: Path) -> None:
    other = tone_folder("other", ("high", "low"), 3, 0.3)  # the classes changed round
    runs = []
    for name, test in (("a", folders["test"]), ("b", other)):
        recipe = _recipe(folders, "data.validation={share: 0.25}", f"data.test={test}", "evaluate.select=best")
        runs.append(train(recipe, tmp_path / name, command="finetune"))
    states = [load_checkpoint(tmp_path / name / "checkpoints/best")[0] for name in ("a", "b")]
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())
    assert runs[0]["metrics"]["accuracy"] == 1 - runs[1]["metrics"]["accuracy"]


def test_the_last_weights_without_a_choice(folders: dict[str, Path], tmp_path: Path) -> None:
    summary = train(_recipe(folders, f"data.test={folders['test']}"), tmp_path / "run", command="finetune")
    assert summary["judged_on"] == "test"
    assert summary["evaluation"].startswith("last weights;")
    assert summary["best"] is None
    assert not (tmp_path / "run/checkpoints/best").exists()


def test_chosen_on_the_judged_clips_is_said(folders: dict[str, Path], tmp_path: Path) -> None:
    recipe = _recipe(folders, f"data.eval={folders['test']}", "evaluate.select=best")
    summary = train(recipe, tmp_path / "run", command="finetune")
    assert "optimistic" in summary["evaluation"]
    watched = [line["eval/accuracy"] for line in _lines(tmp_path / "run") if "eval/accuracy" in line]
    assert summary["metrics"]["accuracy"] == max(watched) == summary["best"]


def test_an_average_is_judged(folders: dict[str, Path], tmp_path: Path) -> None:
    recipe = _recipe(folders, f"data.test={folders['test']}", "train.average=ema")
    summary = train(recipe, tmp_path / "run", command="finetune")
    assert summary["evaluation"].startswith("average of the weights;")


def test_a_run_that_was_killed_before_its_verdict_gives_the_same(folders: dict[str, Path], tmp_path: Path) -> None:
    recipe = _recipe(folders, "data.validation={share: 0.25}", f"data.test={folders['test']}", "evaluate.select=best")
    first = train(recipe, tmp_path / "run", command="finetune")
    lines = _lines(tmp_path / "run")
    (tmp_path / "run/summary.json").unlink()
    second = train(recipe, tmp_path / "run", command="finetune", resume=True)
    assert second["metrics"] == first["metrics"]
    times = ("seconds", "clips", "step", "epoch")
    assert [{k: v for k, v in line.items() if k not in times} for line in _lines(tmp_path / "run")] == [
        {k: v for k, v in line.items() if k not in times} for line in lines
    ]


@pytest.mark.parametrize("key", ["evaluate.select=best", "evaluate.patience=2"])
def test_choosing_needs_clips_to_choose_by(folders: dict[str, Path], key: str) -> None:
    with pytest.raises(RecipeError, match=r"without evaluation clips .*data\.validation"):
        _recipe(folders, key, f"data.test={folders['test']}")


def test_one_set_is_watched(folders: dict[str, Path]) -> None:
    with pytest.raises(RecipeError, match="validation: found beside eval"):
        _recipe(folders, "data.validation={share: 0.2}", f"data.eval={folders['test']}")
