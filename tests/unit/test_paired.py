"""From finished runs to tests against the reference: pairing by seed and clip, folds, and what cannot be tested."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from zoo.compare.paired import against_reference
from zoo.evaluate.metrics import classification_metrics
from zoo.evaluate.predictions import PREDICTIONS, Predictions

CLIPS = 120


@pytest.fixture
def run(tmp_path: Path) -> Any:
    """Makes a run folder with predictions of so much skill, and gives its summary."""
    hardness = np.random.default_rng(99).normal(size=CLIPS)

    def make(name: str, skill: float, seed: int, fold: str | None = None, **changes: Any) -> dict[str, Any]:
        random = np.random.default_rng([seed, len(name), int(fold or 0)])
        folder = tmp_path / name / f"fold-{fold}" / f"seed-{seed}"
        folder.mkdir(parents=True)
        labels = np.arange(CLIPS) % 3
        margin = skill + hardness + random.normal(size=CLIPS)
        scores = random.normal(size=(CLIPS, 3)) * 0.01
        scores[np.arange(CLIPS), labels] += margin
        order = random.permutation(CLIPS)  # runs need not have the clips in one order
        found = Predictions(
            tuple(f"clip-{i}" for i in order),
            torch.from_numpy(scores[order]).float(),
            torch.eye(3)[torch.from_numpy(labels[order])],
            ("a", "b", "c"),
            "single-label",
        )
        found.write(folder / PREDICTIONS)
        metrics = classification_metrics(found.scores, found.targets, found.task)
        return {
            "folder": str(folder),
            "seed": seed,
            "fold": fold,
            "metrics": metrics,
            "num_eval_clips": CLIPS,
            "num_train_clips": 2 * CLIPS,
            **changes,
        }

    return make


@pytest.mark.parametrize("metric", ["accuracy", "mAP"])
def test_a_better_contender_is_told_from_an_equal_one(run: Any, metric: str) -> None:
    groups = {
        "reference": [run("reference", 0.5, seed) for seed in range(5)],
        "better": [run("better", 2.0, seed) for seed in range(5)],
        "equal": [run("equal", 0.5, seed) for seed in range(5)],
    }
    tests = against_reference(groups, "reference", metric)
    assert set(tests.versus) == {"better", "equal"}
    better, equal = tests.versus["better"], tests.versus["equal"]
    means = {name: np.mean([one["metrics"][metric] for one in runs]) for name, runs in groups.items()}
    assert better.difference == pytest.approx(means["better"] - means["reference"])
    assert better.interval is not None
    assert equal.interval is not None
    assert better.clips_interval is not None
    assert better.interval[0] > 0 > equal.interval[0]
    assert equal.interval[1] > 0
    assert better.p_value is not None
    assert better.p_corrected == pytest.approx(2 * better.p_value)
    assert better.p_corrected < 0.05 < (equal.p_corrected or 0)
    # Of these very models only, so narrower than with the luck of training in it.
    assert better.clips_interval[1] - better.clips_interval[0] <= better.interval[1] - better.interval[0]
    assert "5 seeds, paired" in better.method
    assert any("2 comparisons (Holm)" in remark for remark in tests.remarks)
    assert any("groups" in remark and "not known" in remark for remark in tests.remarks)


def test_pairing_by_seed_does_not_depend_on_the_order_of_runs(run: Any) -> None:
    groups = {name: [run(name, 0.5, seed) for seed in range(3)] for name in ("a", "bb")}
    one = against_reference(groups, "a", "accuracy").versus["bb"]
    turned = {"a": groups["a"], "bb": groups["bb"][::-1]}
    assert against_reference(turned, "a", "accuracy").versus["bb"] == one


def test_one_seed_and_other_seeds_are_tested_and_said(run: Any) -> None:
    alone = against_reference({"a": [run("a", 0.5, 0)], "bb": [run("bb", 0.9, 0)]}, "a", "accuracy")
    assert "one seed, whose luck is not covered" in alone.versus["bb"].method
    others = {"c": [run("c", 0.5, s) for s in (1, 2, 3)], "dd": [run("dd", 0.9, s) for s in (4, 5)]}
    tests = against_reference(others, "c", "accuracy")
    assert "3 and 2 runs" in tests.versus["dd"].method.replace("2 and 3", "3 and 2")
    assert tests.versus["dd"].interval is not None


def test_over_folds_the_corrected_test_needs_no_predictions(run: Any) -> None:
    groups = {
        name: [run(name, skill, seed, fold) for fold in ("1", "2", "3") for seed in range(2)]
        for name, skill in (("a", 0.2), ("bb", 1.5))
    }
    tests = against_reference(groups, "a", "accuracy")
    found = tests.versus["bb"]
    assert "corrected resampled t-test over 3 folds" in found.method
    assert found.clips_interval is not None
    for runs in groups.values():
        for one in runs:
            (Path(one["folder"]) / PREDICTIONS).unlink()
    without = against_reference(groups, "a", "accuracy").versus["bb"]
    assert (without.interval, without.p_value) == (found.interval, found.p_value)
    assert without.clips_interval is None


def test_what_cannot_be_tested_is_said(run: Any) -> None:
    reference, other = [run("a", 0.5, 0)], run("bb", 0.5, 0)
    (Path(other["folder"]) / PREDICTIONS).unlink()
    tests = against_reference({"a": reference, "bb": [other]}, "a", "accuracy")
    assert not tests.versus
    assert any("No interval and no test of bb" in remark and PREDICTIONS in remark for remark in tests.remarks)
    folds = {"a": reference, "c": [run("c", 0.5, 0, "1"), run("c", 0.5, 0, "2")]}
    assert any("folds" in remark for remark in against_reference(folds, "a", "accuracy").remarks)
    stranger = run("eee", 0.5, 0)
    found = Predictions.read(Path(stranger["folder"]) / PREDICTIONS)
    Predictions(("x", *found.names[1:]), found.scores, found.targets, found.labels, found.task).write(
        Path(stranger["folder"]) / PREDICTIONS
    )
    assert any(
        "other clips" in r for r in against_reference({"a": reference, "e": [stranger]}, "a", "accuracy").remarks
    )
