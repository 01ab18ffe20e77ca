"""Ensembles: the mean of predictions against its formula, the mean of weights tensor by tensor."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import zoo
from zoo.data.labels import Task
from zoo.data.manifest import Manifest
from zoo.data.unknown_labels import UnknownLabels
from zoo.data.windows import WindowConfig
from zoo.errors import CheckpointError, DataError
from zoo.evaluate.predictions import Predictions
from zoo.recipe import parse_recipe
from zoo.run import train
from zoo.train.checkpoint import load_checkpoint, save_checkpoint
from zoo.use.ensemble import align, combine, ensemble
from zoo.use.evaluate import Scored, evaluate_checkpoint
from zoo.weights.average import average_weights
from zoo.weights.source import read

LABELS = ("a", "b", "c")


def predictions(
    names: str, task: Task = "single-label", seed: int = 0, labels: tuple[str, ...] = LABELS
) -> Predictions:
    scores = torch.randn(len(names), len(labels), generator=torch.Generator().manual_seed(seed)) * 4
    targets = torch.eye(len(labels))[[ord(name) % len(labels) for name in names]]
    return Predictions(tuple(names), scores, targets, labels, task)


def scored(found: Predictions, name: str = "x") -> Scored:
    where = Manifest((), "m.csv")
    return Scored(name, where, found, (), WindowConfig(), 0, UnknownLabels(), torch.device("cpu"))


@pytest.mark.parametrize("task", ["single-label", "multi-label"])
def test_the_mean_of_probabilities(task: Task) -> None:
    members = [predictions("pqrst", task, seed) for seed in range(3)]
    joint = combine(members, "probability")
    for row in range(5):
        for c in range(3):
            wanted, found = (
                [
                    math.exp(one.scores[row, c].item()) / sum(math.exp(x) for x in one.scores[row].tolist())
                    if task == "single-label"
                    else 1 / (1 + math.exp(-one.scores[row, c].item()))
                    for one in several
                ]
                for several in (members, [joint])
            )
            assert found[0] == pytest.approx(sum(wanted) / 3, abs=1e-6)
    assert (joint.names, joint.labels, joint.task) == (members[0].names, LABELS, task)
    by_logit = combine(members, "logit")
    torch.testing.assert_close(by_logit.scores, sum(one.scores for one in members) / 3)  # type: ignore[arg-type]
    assert not torch.allclose(by_logit.scores, joint.scores)


def test_clips_are_matched_by_name() -> None:
    first, second = predictions("pqrs", seed=1), predictions("srqt", seed=2)
    (one, other), notes = align([scored(first), scored(second)])
    assert one.names == other.names == ("q", "r", "s")
    assert torch.equal(one.scores, first.scores[1:])
    assert torch.equal(other.scores, second.scores[[2, 1, 0]])
    assert torch.equal(one.targets, other.targets)
    assert notes == ["1 clips that not every member could use are left out"]
    assert align([scored(first), scored(first)])[1] == []


def test_other_labels_are_refused() -> None:
    first = scored(predictions("pq"), "one")
    with pytest.raises(DataError, match="two: found 'x' where the first has 'b' - expected the labels of one"):
        align([first, scored(predictions("pq", labels=("a", "x", "c")), "two")])
    with pytest.raises(DataError, match="two: found 3 labels, multi-label, against 3, single-label"):
        align([first, scored(predictions("pq", "multi-label"), "two")])
    with pytest.raises(DataError, match="no clip that every member could use"):
        align([first, scored(predictions("xy"), "two")])


RECIPE = """
name: member
model: {kind: cnn, channels: [4, 8], n_frames: 48}
data: {train: TRAIN, eval: null, task: single-label, num_workers: 0}
objective: {kind: classification}
train: {clips: 8, batch_size: 4, precision: fp32, device: cpu}
log: {images: 0}
"""


@pytest.fixture
def members(tone_folder: Callable[..., Path], tmp_path: Path) -> tuple[Path, list[Path]]:
    data = tone_folder(seconds=0.3)
    runs = [tmp_path / f"run-{seed}" for seed in range(2)]
    for seed, run in enumerate(runs):
        recipe = parse_recipe(RECIPE.replace("TRAIN", str(data)), "x", [f"seed={seed}"])
        train(recipe, run, command="finetune")
    return data, runs


def test_a_whole_ensemble(members: tuple[Path, list[Path]], tmp_path: Path) -> None:
    data, runs = members
    out, kept = tmp_path / "soup", tmp_path / "joint.npz"
    report = ensemble(runs, str(data), weights=True, out=out, predictions=kept, device="cpu")
    json.dumps(report, allow_nan=False)
    for number, run in enumerate(runs):
        alone = evaluate_checkpoint(run, str(data), device="cpu", predictions=tmp_path / f"{number}.npz")
        assert report["members"][number]["metrics"] == alone["metrics"]
    several = [Predictions.read(tmp_path / f"{number}.npz") for number in range(2)]
    assert torch.equal(Predictions.read(kept).scores, combine(several).scores)
    # What was written is the mean, behind the same front end, and gives the metrics that were reported.
    states = [load_checkpoint(run / "checkpoints/last")[0] for run in runs]
    model = zoo.load(out)
    for name, value in model.state_dict().items():
        if value.is_floating_point():
            mean = (states[0][name].double() + states[1][name].double()) / 2
            assert torch.equal(value, mean.float()), name
    again = evaluate_checkpoint(out, str(data), device="cpu")
    assert again["metrics"] == report["weights"]["metrics"]
    assert again["num_eval_clips"] == report["num_eval_clips"] == 8
    with pytest.raises(CheckpointError, match="found something there"):
        ensemble(runs, str(data), weights=True, out=out)


def test_what_has_no_mean(members: tuple[Path, list[Path]], tmp_path: Path) -> None:
    _, runs = members
    state, config = load_checkpoint(runs[0] / "checkpoints/last")
    for name, changed in {
        "labels": {**config, "labels": ["x", "y"]},
        "front_end": {**config, "front_end": {**config["front_end"], "mean": 1.0}},
        "model": {**config, "model": {**config["model"], "n_frames": 32}},
    }.items():
        save_checkpoint(tmp_path / name, state, changed)
        with pytest.raises(CheckpointError, match=rf"found another geometry than .*{name}"):
            average_weights([read(runs[0]), read(tmp_path / name)])
    with pytest.raises(CheckpointError, match="found 1 checkpoint - expected two or more"):
        average_weights([read(runs[0])])


def test_what_an_ensemble_refuses(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="found 1 checkpoint"):
        ensemble([tmp_path], "m.csv")
    with pytest.raises(CheckpointError, match="--out: found without --weights"):
        ensemble([tmp_path, tmp_path], "m.csv", out=tmp_path / "x")


def test_the_mean_is_taken_in_double_precision(members: tuple[Path, list[Path]]) -> None:
    one = read(members[1][0])
    name = next(name for name, value in one.state.items() if value.is_floating_point())
    big, small = (replace(one, state={**one.state, name: torch.full_like(one.state[name], v)}) for v in (1e8, 4.0))
    merged = average_weights([big, small, small, small])
    assert torch.equal(merged.state[name], torch.full_like(one.state[name], (1e8 + 12) / 4))
