"""The schedule at named points, and as a function of clips alone."""

import itertools
import math

import pytest
from pydantic import ValidationError

from zoo.errors import RecipeError
from zoo.train.length import Length
from zoo.train.schedule import CosineConfig


def clips_long(total: int) -> Length:
    return Length(total, clips_per_step=4, clips_per_epoch=max(total // 2, 1))


def test_values_by_hand() -> None:
    factor = CosineConfig(warmup_clips=100, final_share=0.1).build(clips_long(1100))
    assert factor(0) == pytest.approx(1 / 101)
    assert factor(49) == pytest.approx(50 / 101)
    assert factor(100) == 1.0
    assert factor(600) == pytest.approx(0.1 + 0.9 * 0.5)
    assert factor(350) == pytest.approx(0.1 + 0.9 * (1 + math.cos(math.pi / 4)) / 2)
    assert factor(1100) == pytest.approx(0.1)
    assert factor(5000) == pytest.approx(0.1)


def test_a_warmup_below_1_is_a_share_of_the_run() -> None:
    share, count = (
        CosineConfig(warmup_clips=0.1).build(clips_long(1000)),
        CosineConfig(warmup_clips=100).build(clips_long(1000)),
    )
    assert [share(clips) for clips in range(0, 1001, 7)] == [count(clips) for clips in range(0, 1001, 7)]


def test_it_rises_then_falls_and_is_never_0_before_the_end() -> None:
    factor = CosineConfig(warmup_clips=0.2).build(clips_long(500))
    values = [factor(clips) for clips in range(501)]
    assert all(a < b for a, b in itertools.pairwise(values[:101]))
    assert all(a > b for a, b in itertools.pairwise(values[100:]))
    assert min(values[:-1]) > 0
    assert max(values) == 1.0


@pytest.mark.parametrize("total", [1, 2, 16])
def test_runs_of_few_clips(total: int) -> None:
    factor = CosineConfig().build(clips_long(total))
    assert all(0 < factor(clips) <= 1 for clips in range(total))


def test_no_warmup_and_constant() -> None:
    factor = CosineConfig(warmup_clips=0, final_share=1.0).build(clips_long(100))
    assert {factor(clips) for clips in range(101)} == {1.0}


def test_warmup_of_the_whole_run_is_allowed_and_longer_is_an_error() -> None:
    assert CosineConfig(warmup_clips=100).build(clips_long(100))(99) == pytest.approx(100 / 101)
    expected = r"schedule\.warmup_clips: found 5000 for a run of 4000 clips - expected at most its length"
    with pytest.raises(RecipeError, match=expected):
        CosineConfig(warmup_clips=5000).build(clips_long(4000))
    with pytest.raises(ValidationError):
        CosineConfig(final_share=1.5)
