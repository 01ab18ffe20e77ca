"""The convolutional baseline: exact under padding, and as small as it says."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F

import zoo
from zoo.models.cost import num_parameters
from zoo.nn.aggregator import PatchMeanAggregator


@pytest.fixture
def model() -> Any:
    return zoo.build("cnn-baseline", num_classes=5, n_frames=128).eval()


def test_size() -> None:
    assert num_parameters(zoo.build("cnn-baseline", num_classes=0)) == 13_248
    assert num_parameters(zoo.build("cnn-baseline", num_classes=10)) == 13_248 + 32 * 32 * 10 + 10


def test_is_two_convolutions_a_mean_and_a_linear_map(model: Any) -> None:
    x = torch.randn(2, 128, 100)
    first, second = model.convolutions
    y = F.max_pool2d(F.relu(F.conv2d(x[:, None], first.weight, first.bias, padding=2)), 2)
    y = F.max_pool2d(F.relu(F.conv2d(y, second.weight, second.bias, padding=2)), 2)
    assert y.shape == (2, 32, 32, 25)
    torch.testing.assert_close(model.tokens(x)[1, 7], y[1, :, :, 7].flatten())
    mean = y.mean(dim=3).flatten(1)
    torch.testing.assert_close(model.features(x), mean)
    torch.testing.assert_close(model(x), F.linear(mean, model.head.weight, model.head.bias))


def test_features_tell_high_from_low(model: Any) -> None:
    """The same pattern in other mel bands gives other features, however long the clip is averaged."""
    low = torch.zeros(1, 128, 64)
    low[:, 30] = 1
    high = low.roll(40, dims=1)
    assert (model.features(low) - model.features(high)).abs().max() > 0.01


@pytest.mark.parametrize("length", range(4, 48))
def test_padding_changes_nothing_at_any_length(model: Any, length: int) -> None:
    """Lengths that the pools do not divide included."""
    clip = torch.randn(1, 128, length)
    batch = 10 * torch.randn(1, 128, 64)
    batch[:, :, :length] = clip
    torch.testing.assert_close(model.features(batch, torch.tensor([length])), model.features(clip), atol=1e-5, rtol=0)


def test_nothing_beyond_the_end_reaches_the_features(model: Any) -> None:
    x = torch.randn(2, 128, 64, requires_grad=True)
    (gradient,) = torch.autograd.grad(model.features(x, torch.tensor([64, 41])).sum(), x)
    assert gradient[0, :, 60:].any()
    assert gradient[1, :, 38:41].any()  # the last real frames are seen
    assert not gradient[1, :, 41:].any()


def test_any_length(model: Any) -> None:
    """There is no position table, so longer than n_frames is fine."""
    assert model(torch.randn(1, 128, 1000)).shape == (1, 5)
    assert model(torch.randn(1, 128, model.min_frames)).shape == (1, 5)
    with pytest.raises(zoo.ShapeError, match="found 3 frames - expected at least 4"):
        model(torch.randn(1, 128, 3))


def test_a_clip_without_real_frames_gives_zeros(model: Any) -> None:
    assert not model.features(torch.randn(1, 128, 64), torch.tensor([3])).any()


def test_parts_can_be_replaced(model: Any) -> None:
    x = torch.randn(2, 128, 64)
    assert isinstance(model.aggregator, PatchMeanAggregator)
    model.head = zoo.MLPHead(model.embed_dim, 9)
    assert model(x).shape == (2, 9)


@pytest.mark.parametrize(
    ("overrides", "text"),
    [
        ({"channels": (4,) * 8, "n_frames": 128}, r"channels: found 8 convolutions for an input of 128x128"),
        ({"channels": ()}, r"channels: found \(\)"),
        ({"channels": (0,)}, r"channels\.0: found 0"),
    ],
)
def test_wrong_numbers(overrides: dict[str, Any], text: str) -> None:
    with pytest.raises(zoo.RecipeError, match=text):
        zoo.build("cnn-baseline", **overrides)
