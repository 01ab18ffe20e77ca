"""kNN against a loop over clips, one at a time."""

import math

import pytest
import torch
from torch import Tensor

from zoo.errors import ShapeError
from zoo.evaluate.neighbours import neighbour_scores


def _slow(known: Tensor, targets: Tensor, asked: Tensor, k: int, temperature: float) -> Tensor:
    """Shares of the votes."""
    mean = [sum(column) / len(known) for column in known.T.tolist()]

    def direction(row: list[float]) -> list[float]:
        moved = [value - shift for value, shift in zip(row, mean, strict=True)]
        length = math.sqrt(sum(value * value for value in moved))
        return [value / length for value in moved]

    directions = [direction(row) for row in known.tolist()]
    shares = []
    for row in asked.tolist():
        own = direction(row)
        cosines = [sum(a * b for a, b in zip(own, other, strict=True)) for other in directions]
        nearest = sorted(range(len(known)), key=lambda place: -cosines[place])[:k]
        weights = [math.exp(cosines[place] / temperature) for place in nearest]
        share = [0.0] * targets.shape[1]
        for place, weight in zip(nearest, weights, strict=True):
            for c in range(targets.shape[1]):
                share[c] += weight / sum(weights) * float(targets[place, c])
        shares.append(share)
    return torch.tensor(shares, dtype=torch.float64)


@pytest.mark.parametrize(("k", "temperature"), [(1, 0.07), (5, 0.07), (5, 1.0), (100, 0.2)])
@pytest.mark.parametrize("task", ["single-label", "multi-label"])
def test_against_a_slow_loop(k: int, temperature: float, task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zoo.evaluate.neighbours._AT_ONCE", 7)
    known, asked = torch.randn(40, 6) + 3, torch.randn(17, 6) + 3
    targets = torch.eye(4)[torch.arange(40) % 4] if task == "single-label" else (torch.rand(40, 4) < 0.4).float()
    scores = neighbour_scores(known, targets, asked, task, k, temperature)
    expected = _slow(known, targets, asked, k, temperature).clamp(1e-6, 1 - 1e-6)
    torch.testing.assert_close(scores, expected.log() if task == "single-label" else expected.logit())


def test_a_common_part_does_not_hide_the_rest() -> None:
    labels = torch.arange(30) % 3
    features = torch.eye(3)[labels] + 0.1 * torch.randn(30, 3) + 1000.0
    scores = neighbour_scores(features, torch.eye(3)[labels], features[:9], k=5)
    assert torch.equal(scores.argmax(1), labels[:9])


def test_nothing_overflows() -> None:
    scores = neighbour_scores(
        torch.randn(20, 3), torch.eye(2)[torch.arange(20) % 2], torch.randn(5, 3), k=3, temperature=1e-4
    )
    assert scores.isfinite().all()


def test_errors() -> None:
    with pytest.raises(ShapeError, match=r"found features \(4, 3\) and \(4, 2\) and k 1"):
        neighbour_scores(torch.randn(4, 3), torch.eye(4), torch.randn(4, 2), k=1)
    with pytest.raises(ShapeError, match="and k 0"):
        neighbour_scores(torch.randn(4, 3), torch.eye(4), torch.randn(4, 3), k=0)
