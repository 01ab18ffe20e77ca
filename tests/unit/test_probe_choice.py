"""The setting of a probe is chosen on training clips; what is tested plays no part in it."""

import pytest
import torch
from torch import Tensor

from zoo.errors import DataError
from zoo.evaluate.attention import AttentionConfig
from zoo.evaluate.metrics import classification_metrics
from zoo.evaluate.neighbours import neighbour_scores
from zoo.evaluate.probe_choice import INVERSE_REGULARISATIONS, NEIGHBOURS, Side, run_probe
from zoo.evaluate.probes import linear_probe, linear_scores


def _side(clips: int, seed: int, spread: float = 2.0) -> Side:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(clips) % 3
    centres = torch.randn(3, 10, generator=torch.Generator().manual_seed(9))
    return Side(torch.eye(3)[labels], centres[labels] + spread * torch.randn(clips, 10, generator=generator))


def _inner(clips: int) -> Tensor:
    return torch.arange(clips) % 4 == 1


@pytest.mark.parametrize("task", ["single-label", "multi-label"])
def test_the_choice_is_the_best_on_the_inner_clips(task: str) -> None:
    train, test, inner = _side(90, 0), _side(60, 1), _inner(90)
    metric = "accuracy" if task == "single-label" else "mAP"

    def worth(score: object, offered: tuple[float, ...]) -> float:
        values = []
        for value in offered:
            scores = score(train.features[~inner], train.targets[~inner], train.features[inner], task, value)
            values.append(classification_metrics(scores, train.targets[inner], task)[metric])
        return offered[values.index(max(values))]

    best = worth(linear_scores, INVERSE_REGULARISATIONS)
    found = run_probe("linear", train, test, task, inner)
    assert found.setting == {"C": best}
    assert torch.equal(found.scores, linear_scores(train.features, train.targets, test.features, task, best))
    best = worth(neighbour_scores, NEIGHBOURS)
    found = run_probe("knn", train, test, task, inner)
    assert found.setting == {"k": best}
    assert torch.equal(found.scores, neighbour_scores(train.features, train.targets, test.features, task, best))


def test_what_is_tested_plays_no_part() -> None:
    train, test, inner = _side(90, 0), _side(60, 1), _inner(90)
    other = Side(test.targets.roll(1, 1), 100 * test.features)
    for kind in ("linear", "knn"):
        assert run_probe(kind, train, test, "single-label", inner).setting == (
            run_probe(kind, train, other, "single-label", inner).setting
        )
    found = run_probe("linear", train, test, "single-label", inner)
    turned = run_probe("linear", train, Side(test.targets.roll(1, 1), test.features), "single-label", inner)
    assert torch.equal(found.scores, turned.scores)


def test_without_inner_clips_or_choice() -> None:
    train, test = _side(90, 0), _side(60, 1)
    assert run_probe("linear", train, test, "single-label").setting == {"C": INVERSE_REGULARISATIONS[0]}
    fixed = run_probe("linear", train, test, "single-label", _inner(90), settings=(0.5,))
    assert fixed.setting == {"C": 0.5}
    assert classification_metrics(fixed.scores, test.targets, "single-label") == linear_probe(
        train.features, train.targets, test.features, test.targets, inverse_regularisation=0.5
    )
    # Of one class alone nothing can be compared; the first setting is taken.
    one_class = train.targets[:, 0] == 1
    assert run_probe("linear", train, test, "single-label", ~one_class).setting == {"C": INVERSE_REGULARISATIONS[0]}
    with pytest.raises(DataError, match="fewer than two classes"):
        run_probe("linear", train.rows(one_class), test, "single-label")


def test_the_attentive_probe_sees_tokens() -> None:
    train, test = _side(40, 0, 0.1), _side(20, 1, 0.1)
    with_tokens = [
        Side(
            one.targets,
            None,
            one.features[:, None].expand(-1, 4, -1),
            torch.zeros(len(one.targets), 4, dtype=torch.bool),
        )
        for one in (train, test)
    ]
    found = run_probe("attentive", *with_tokens, "single-label", attention=AttentionConfig(steps=40))
    assert found.setting == {}
    assert classification_metrics(found.scores, test.targets, "single-label")["accuracy"] == 1.0
