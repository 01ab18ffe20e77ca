"""The rules of data sets that are one run: the result names its rule, and the judged clips choose nothing."""

import csv
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from zoo.recipe import parse_recipe
from zoo.run import train
from zoo.train.checkpoint import load_checkpoint

RECIPE = """
name: rules
model: {kind: cnn, channels: [4, 8], n_frames: 32}
objective: {kind: classification}
log: {images: 0}
optim: {kind: adamw, lr: 0.005}
train: {epochs: 4, batch_size: 4, precision: fp32, device: cpu, average: AVERAGE}
data: {task: TASK, num_workers: 0, train: {path: META, split: train}, eval: WATCHED, test: {path: META, split: test}}
evaluate: {every_epochs: 1, select: SELECT}
"""
RULES = {
    # Speech Commands: best on the validation clips.
    "best": (
        "single-label",
        "{path: META, split: valid}",
        "best",
        "none",
        "best weights on the watched clips (accuracy",
    ),
    # AudioSet: the average of given epochs, nothing selected.
    "average": ("multi-label", "null", "last", "{kind: epochs, first: 2, last: 4}", "average of the weights;"),
}


@pytest.mark.parametrize("rule", RULES)
def test_the_rule_is_named_and_test_labels_choose_nothing(
    rule: str, tone_folder: Callable[..., Path], tmp_path: Path
) -> None:
    task, watched, select, average, words = RULES[rule]
    tones = tone_folder("tones", ("low", "high"), 9, 0.3)
    states, results = [], []
    for name in ("as they are", "changed round"):
        meta = tmp_path / f"{name}.csv"
        with meta.open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(["path", "label", "split"])
            for number in range(18):
                label, split = ("low", "high")[number % 2], ("train", "valid", "test")[number // 2 % 3]
                told = {"low": "high", "high": "low"}[label] if (split, name) == ("test", "changed round") else label
                table.writerow([tones / label / f"{label}_{number // 2}.wav", told, split])
        text = RECIPE
        for key, value in {
            "TASK": task,
            "WATCHED": watched,
            "SELECT": select,
            "AVERAGE": average,
            "META": str(meta),
        }.items():
            text = text.replace(key, value)
        recipe = parse_recipe(text, "x.yaml", for_training=True)
        results.append(train(recipe, tmp_path / f"run {name}", command="finetune"))
        states.append(load_checkpoint(tmp_path / f"run {name}/checkpoints" / rule)[0])
    ours, theirs = states
    assert all(torch.equal(value, theirs[key]) for key, value in ours.items())
    assert results[0]["judged_manifest"] != results[1]["judged_manifest"]
    assert results[0]["metrics"]["mAP"] != results[1]["metrics"]["mAP"]
    for result in results:
        assert result["evaluation"].startswith(words)
        assert "optimistic" not in result["evaluation"]
        assert (result["judged_on"], result["select"]) == ("test", select)
