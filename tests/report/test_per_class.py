"""Differences at each class, against sums written out; and intervals that know an answer."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from zoo.compare.report.per_class import at_both_ends, class_differences, weighted_average_precision
from zoo.evaluate.predictions import Predictions

LABELS = ("a", "b", "c")


def predictions(answers: list[int], truth: list[int], names: list[str] | None = None) -> Predictions:
    """A model that is sure of an answer for each clip."""
    eye = torch.eye(len(LABELS))
    names = names or [f"clip-{i}" for i in range(len(truth))]
    return Predictions(tuple(names), 5 * eye[answers], eye[truth], LABELS, "single-label")


def test_recall_of_every_class_is_the_mean_over_runs() -> None:
    truth = [0, 0, 0, 0, 1, 1]
    reference = [predictions([0, 0, 1, 1, 1, 1], truth), predictions([0, 1, 1, 1, 1, 0], truth)]
    other = [predictions([0, 0, 0, 0, 0, 0], truth)]
    first, second = class_differences(reference, other)
    assert (first.label, first.num_clips, first.of_other, first.of_reference) == ("a", 4, 1.0, 3 / 8)
    assert (second.label, second.num_clips, second.of_other, second.of_reference) == ("b", 2, 0.0, 3 / 4)
    assert first.difference == pytest.approx(5 / 8)


def test_folds_are_put_together_and_only_common_clips_count() -> None:
    folds = [predictions([0, 1], [0, 1], ["p", "q"]), predictions([1, 1], [0, 1], ["r", "s"])]
    other = [predictions([0, 0, 0], [0, 0, 0], ["p", "r", "nobody else's"])]
    (only,) = class_differences(folds, other)
    assert (only.label, only.num_clips, only.of_reference, only.of_other) == ("a", 2, 0.5, 1.0)


def test_the_order_of_clips_does_not_matter() -> None:
    truth, names = [0, 1, 2, 0, 1, 2], list("uvwxyz")
    model, other = predictions([0, 1, 1, 1, 1, 2], truth, names), predictions([0, 0, 0, 0, 1, 2], truth, names)
    turned = predictions([2, 1, 0, 0, 0, 0], truth[::-1], names[::-1])
    assert class_differences([model], [other]) == class_differences([model], [turned])


def test_other_labels_or_no_common_clip_give_nothing() -> None:
    model = predictions([0], [0], ["p"])
    stranger = Predictions(("p",), torch.zeros(1, 2), torch.tensor([[1.0, 0.0]]), ("a", "b"), "single-label")
    assert class_differences([model], [stranger]) == []
    assert class_differences([model], [predictions([0], [0], ["q"])]) == []
    assert class_differences([], [model]) == []


@settings(max_examples=60, deadline=None)
@given(data=st.data(), count=st.integers(2, 25))
def test_weighted_average_precision_is_that_of_the_repeated_list(data: st.DataObject, count: int) -> None:
    scores = np.array(data.draw(st.lists(st.integers(-3, 3), min_size=count, max_size=count)), dtype=float)
    positive = np.array(data.draw(st.lists(st.booleans(), min_size=count, max_size=count)))
    weights = np.array(data.draw(st.lists(st.integers(0, 3), min_size=count, max_size=count)))
    (found,) = weighted_average_precision(scores, positive, weights[None].astype(float))
    repeated = np.repeat(positive, weights)
    if not repeated.any():
        assert np.isnan(found)
        return
    assert found == pytest.approx(average_precision_score(repeated, np.repeat(scores, weights)), abs=1e-12)


def _noisy(rng: np.random.Generator, truth: np.ndarray, share_right: float) -> Predictions:
    wrong = (truth + rng.integers(1, len(LABELS), size=len(truth))) % len(LABELS)
    return predictions(list(np.where(rng.random(len(truth)) < share_right, truth, wrong)), list(truth))


def test_intervals_hold_the_true_difference_about_as_often_as_they_say() -> None:
    """Two models that are right at 80 % and 60 % of the clips of each class: 95 % intervals, 120 of them."""
    rng, hits, count = np.random.default_rng(3), 0, 0
    truth = np.repeat(np.arange(3), 60)
    for _ in range(40):
        for one in class_differences([_noisy(rng, truth, 0.8)], [_noisy(rng, truth, 0.6)]):
            assert one.low is not None
            assert one.high is not None
            hits += one.low <= -0.2 <= one.high
            count += 1
    assert count == 120
    assert 0.89 <= hits / count <= 0.995


def test_average_precision_of_several_classes_a_clip() -> None:
    rng = np.random.default_rng(0)
    targets = (rng.random((40, 3)) < 0.4).astype(np.float32)
    runs = [rng.normal(size=(40, 3)).astype(np.float32) + targets for _ in range(3)]
    made = [
        Predictions(tuple(map(str, range(40))), torch.from_numpy(run), torch.from_numpy(targets), LABELS, "multi-label")
        for run in runs
    ]
    found = {one.label: one for one in class_differences(made[:2], made[2:])}
    for c, label in enumerate(LABELS):
        expected = [average_precision_score(targets[:, c], run[:, c]) for run in runs]
        assert found[label].of_reference == pytest.approx(np.mean(expected[:2]), abs=1e-6)
        assert found[label].of_other == pytest.approx(expected[2], abs=1e-6)
        assert found[label].low < found[label].difference < found[label].high


def test_of_many_the_ends_are_kept() -> None:
    assert at_both_ends(list(range(10)), 4) == [0, 1, 8, 9]
    assert at_both_ends([1, 2], 4) == [1, 2]
