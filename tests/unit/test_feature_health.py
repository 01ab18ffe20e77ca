"""What says that features collapse, against numbers worked out by hand, and on features with nothing wrong."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from zoo.evaluate.feature_health import (
    collapse_sign,
    dead_dimensions,
    effective_rank,
    embedding_std,
    feature_health,
)


def gaussian(clips: int, dimensions: int, seed: int = 0) -> Tensor:
    return torch.randn(clips, dimensions, generator=torch.Generator().manual_seed(seed))


def test_by_hand() -> None:
    """(3, 4) and (4, 3) have length 5: deviations .1 and .1 times sqrt 2. Both lie on a line."""
    features = torch.tensor([[3.0, 4.0], [4.0, 3.0]])
    assert embedding_std(features) == pytest.approx(0.1 * math.sqrt(2))
    assert effective_rank(features) == pytest.approx(1)
    assert dead_dimensions(features) == 0
    # Less the mean: ±(2, 0), ±(0, 1); singular values sqrt 8 and sqrt 2, shares 2/3 and 1/3.
    cross = torch.tensor([[2.0, 0, 7], [-2, 0, 7], [0, 1, 7], [0, -1, 7]])
    entropy = -(2 / 3 * math.log(2 / 3) + 1 / 3 * math.log(1 / 3))
    assert effective_rank(cross) == pytest.approx(math.exp(entropy))
    assert dead_dimensions(cross) == pytest.approx(1 / 3)


@pytest.mark.parametrize("share", [0.5, 2.0])
def test_a_dimension_is_dead_below_a_hundredth_of_the_mean_deviation(share: float) -> None:
    """Of n dimensions, n - 1 with deviation 1, and one with the given share of the limit."""
    signs = torch.tensor([1.0, -1.0]).repeat(8)[:, None]
    features = 5 + signs * torch.cat([torch.ones(999), torch.tensor([share * 0.01])])
    assert dead_dimensions(features) == pytest.approx(0.001 if share < 1 else 0)


@pytest.mark.parametrize("value", [0.0, 1.0, -37.3])
@pytest.mark.parametrize("size", [(2, 2), (40, 8), (8, 40)])
def test_collapsed_to_a_point(value: float, size: tuple[int, int]) -> None:
    """Also where rounding in float32 makes each a little other."""
    point = torch.full((1, size[1]), value)
    for features in (point.expand(size), point * (1 + 1e-7 * gaussian(*size))):
        found = feature_health(features)
        assert found == {"embedding_std": pytest.approx(0, abs=1e-5), "effective_rank": 0, "dead_dimensions": 1}


def test_collapsed_to_a_line() -> None:
    features = gaussian(1, 16) + gaussian(64, 1, 1) * gaussian(1, 16, 2)
    assert effective_rank(features) == pytest.approx(1, abs=1e-4)


def test_nothing_wrong() -> None:
    """Of many clips, Gaussian features have all directions alike: nearly the whole rank, and a deviation of 1."""
    features = gaussian(4000, 32)
    found = feature_health(features)
    assert found["embedding_std"] == pytest.approx(1, abs=0.02)
    assert 31.5 < found["effective_rank"] < 32
    assert found["dead_dimensions"] == 0
    wide = feature_health(gaussian(20, 400))  # no more than the clips less one
    assert 18 < wide["effective_rank"] < 19


def test_a_large_common_part_hides_nothing_of_the_rank() -> None:
    features = gaussian(100, 16)
    shifted = features + 100
    assert effective_rank(shifted) == pytest.approx(effective_rank(features), rel=1e-3)
    assert embedding_std(shifted) < 0.05 < embedding_std(features)


@given(st.floats(1e-3, 1e3), st.integers(0, 100))
def test_neither_scale_nor_order_matters(scale: float, seed: int) -> None:
    features = gaussian(12, 5, seed)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(seed))
    assert feature_health(scale * features[order]) == pytest.approx(feature_health(features), rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_what_is_not_finite_has_no_health(wrong: float) -> None:
    features = gaussian(6, 4)
    features[2, 1] = wrong
    for one in (features, gaussian(1, 4)):
        assert all(map(math.isnan, feature_health(one).values()))
    assert collapse_sign({f"health/{name}": value for name, value in feature_health(features).items()}, 64, 4) is None


@pytest.mark.parametrize(
    ("std", "rank", "clips", "width", "word"),
    [
        (0.5, 23.0, 256, 128, None),
        (0.021, 6.0, 256, 768, None),
        (0.019, 23.0, 256, 128, "nearly the same"),
        (0.5, 5.0, 256, 768, "hardly differ"),
        (0.5, 5.0, 256, 128, None),
        (0.5, 1.4, 256, 16, "hardly differ"),
        (0.5, 1.6, 256, 16, None),
        (0.0, 0.0, 32, 16, "nearly the same"),
        (0.0, 0.0, 31, 16, None),
    ],
)
def test_the_sign_of_a_collapse(std: float, rank: float, clips: int, width: int, word: str | None) -> None:
    found = collapse_sign({"health/embedding_std": std, "health/effective_rank": rank}, clips, width)
    assert (found is None) == (word is None)
    assert word is None or word in str(found)


def test_no_health_no_sign() -> None:
    assert collapse_sign({"eval/loss": 1.0}, 256, 16) is None
