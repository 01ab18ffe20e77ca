"""Metrics equal slow, obvious formulas on whatever scores: ties, empty classes, full classes, a single clip."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.slow_metrics import slow_class_metrics, slow_metrics
from zoo.evaluate.class_metrics import class_metrics
from zoo.evaluate.metrics import classification_metrics

# Quarters tie often; 80 is sure in float32, and in float64 its odds are still told from those of 79.75.
QUANTISED = st.integers(-8, 8).map(lambda quarters: quarters / 4)
SURE = st.sampled_from([-80.0, -79.75, 0.0, 79.75, 80.0])
FREE = st.floats(-30, 30, width=32)
SIZES = st.tuples(st.integers(1, 9), st.integers(1, 6))


@st.composite
def scored(draw: st.DrawFn, task: str) -> tuple[list[list[float]], list[list[bool]]]:
    """Scores and answers of a few clips; some classes have no clip at all, some have every clip."""
    num_clips, num_classes = draw(SIZES)
    score = draw(st.sampled_from([QUANTISED, SURE, FREE]))
    scores = draw(
        st.lists(st.lists(score, min_size=num_classes, max_size=num_classes), min_size=num_clips, max_size=num_clips)
    )
    used = draw(st.sets(st.integers(0, num_classes - 1), min_size=1))
    if task == "single-label":
        classes = draw(st.lists(st.sampled_from(sorted(used)), min_size=num_clips, max_size=num_clips))
        return scores, [[c == one for c in range(num_classes)] for one in classes]
    full = draw(st.sets(st.integers(0, num_classes - 1)))
    flags = [[draw(st.booleans()) for _ in range(num_classes)] for _ in range(num_clips)]
    return scores, [[c in used and (c in full or flag) for c, flag in enumerate(row)] for row in flags]


def _tensors(scores: list[list[float]], positive: list[list[bool]]) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.tensor(scores, dtype=torch.float32), torch.tensor(positive, dtype=torch.float32)


@pytest.mark.parametrize("task", ["single-label", "multi-label"])
@given(data=st.data())
def test_a_set_equals_the_slow_formulas(task: str, data: st.DataObject) -> None:
    scores, positive = data.draw(scored(task))
    got = classification_metrics(*_tensors(scores, positive), task)
    expected = slow_metrics(scores, positive, task)
    assert got.keys() == expected.keys()
    for name, value in expected.items():
        # d' is steep near its ends: there a part in 1e15 of the AUC is more than 1e-9.
        tolerance = 1e-9 if name != "dprime" or not math.isfinite(value) else 1e-9 * max(1, math.exp(value**2 / 4))
        assert got[name] == pytest.approx(value, abs=tolerance, rel=0, nan_ok=True), name


@pytest.mark.parametrize("task", ["single-label", "multi-label"])
@given(data=st.data())
def test_every_class_equals_the_slow_formulas(task: str, data: st.DataObject) -> None:
    scores, positive = data.draw(scored(task))
    num_classes = len(scores[0])
    rows = class_metrics(*_tensors(scores, positive), task).rows([f"c{c}" for c in range(num_classes)])
    for c, (row, expected) in enumerate(zip(rows, slow_class_metrics(scores, positive, task), strict=True)):
        assert (row.pop("class"), row.pop("clips")) == (f"c{c}", expected.pop("support"))
        assert {name for name, value in row.items() if value is not None} == expected.keys()
        for name, value in expected.items():
            assert row[name] == pytest.approx(value, abs=1e-9, rel=0), name


@given(data=st.data())
def test_clips_of_equal_probability_tie(data: st.DataObject) -> None:
    """The same logits in another order and all raised by something: the first class is as likely, and no better."""
    rest = data.draw(st.lists(QUANTISED, min_size=2, max_size=7))
    first = data.draw(QUANTISED)
    other = data.draw(st.permutations(rest))
    raised = data.draw(QUANTISED)
    scores = torch.tensor([[first, *rest], [first + raised, *(score + raised for score in other)]])
    targets = torch.zeros_like(scores)
    targets[0, 0] = targets[1, 1] = 1
    per_class = class_metrics(scores, targets, "single-label")
    assert per_class.auc[0] == 0.5
    assert per_class.average_precision[0] == 0.5
