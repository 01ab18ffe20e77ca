"""The linear probe against its own loss, minimised by hand, and on cases with a known answer."""

import math

import pytest
import torch
from torch import Tensor

from zoo.errors import DataError, ShapeError, ZooError
from zoo.evaluate.metrics import classification_metrics
from zoo.evaluate.probes import linear_probe


def blobs(clips: int, classes: int, spread: float, seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(classes, 6, generator=torch.Generator().manual_seed(7))
    labels = torch.arange(clips) % classes
    features = centres[labels] + spread * torch.randn(clips, 6, generator=generator)
    return features * torch.tensor([1, 100, 1e-3, 1, 1, 1]) + 5, torch.eye(classes)[labels]


@pytest.mark.parametrize("classes", [2, 4])
def test_separable_features_give_1_and_noise_gives_chance(classes: int) -> None:
    train, evaluation = blobs(80, classes, 0.05, 0), blobs(200, classes, 0.05, 1)
    assert linear_probe(*train, *evaluation)["accuracy"] == 1.0
    noise = linear_probe(torch.randn(80, 6), train[1], torch.randn(200, 6), evaluation[1])["accuracy"]
    assert abs(noise - 1 / classes) < 0.15


def test_scores_are_those_of_the_penalised_likelihood() -> None:
    """Scikit-learn's documented loss, minimised here by torch in float64, ranks the clips in the same way."""
    (features, targets), (asked, labels) = blobs(60, 3, 1.0, 0), blobs(90, 3, 1.0, 1)
    mean, deviation = features.double().mean(0), features.double().std(0, correction=0)
    x, y = (features.double() - mean) / deviation, targets.argmax(1)
    weight, bias = torch.zeros(6, 3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64)
    weight.requires_grad_(), bias.requires_grad_()
    optimiser = torch.optim.LBFGS([weight, bias], max_iter=60, tolerance_grad=1e-7, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        value = torch.nn.functional.cross_entropy(x @ weight + bias, y, reduction="sum") + 0.5 * (weight**2).sum()
        value.backward()
        return value

    optimiser.step(loss)
    scores = ((asked.double() - mean) / deviation @ weight + bias).detach()
    expected = classification_metrics(scores, labels, "single-label")
    got = linear_probe(features, targets, asked, labels)
    assert got == pytest.approx(expected, abs=2e-3)


def test_multi_label_fits_every_class_on_its_own() -> None:
    features = torch.randn(120, 6)
    targets = torch.stack([(features[:, 0] > 0), (features[:, 1] > 0.3), torch.zeros(120) > 1], dim=1).float()
    got = linear_probe(features[:80], targets[:80], features[80:], targets[80:], "multi-label")
    assert got["auc"] > 0.98
    assert got["classes_without_positives"] == 1


def test_scale_and_constant_features_do_not_matter() -> None:
    (features, targets), (asked, labels) = blobs(60, 3, 1.0, 0), blobs(90, 3, 1.0, 1)
    plain = linear_probe(features, targets, asked, labels)
    factors = torch.tensor([1.0, 16, 0.25, 2, 1, 8])
    scaled = linear_probe(features * factors, targets, asked * factors, labels)
    constant = torch.full((1, 1), 3.0)
    padded = linear_probe(
        torch.cat([features, constant.expand(60, 1)], 1), targets, torch.cat([asked, constant.expand(90, 1)], 1), labels
    )
    assert scaled == pytest.approx(plain, abs=1e-3)
    assert padded == pytest.approx(plain, abs=1e-3)


def test_it_is_deterministic() -> None:
    (features, targets), (asked, labels) = blobs(60, 3, 1.5, 0), blobs(90, 3, 1.5, 1)
    assert linear_probe(features, targets, asked, labels) == linear_probe(features, targets, asked, labels)


def test_a_class_without_training_clips_is_never_predicted() -> None:
    (features, targets), (asked, labels) = blobs(60, 3, 0.05, 0), blobs(90, 3, 0.05, 1)
    kept = targets[:, 2] == 0
    got = linear_probe(features[kept], targets[kept], asked, labels)
    assert got["accuracy"] == pytest.approx(2 / 3)


def test_errors() -> None:
    features, targets = blobs(6, 2, 0.1, 0)
    with pytest.raises(DataError, match="fewer than two classes in the training clips"):
        linear_probe(features[::2], targets[::2], features, targets)
    with pytest.raises(ShapeError, match=r"found features \(6, 6\) and targets \(6, 2\) for training, \(6, 5\)"):
        linear_probe(features, targets, features[:, :5], targets)
    broken = features.clone()
    broken[4, 2] = math.nan
    with pytest.raises(ZooError, match=r"evaluation features that are not finite for 1 of 6 clips \(the first is numb"):
        linear_probe(features, targets, broken, targets)
