"""The default sampler masks every patch of the grid equally often, as far as thousands of clips can tell.

That its chances are equal to within 0.01, and how far from exactly equal they are with clusters, is in test_masking.
"""

from typing import Any

import pytest
import torch
from scipy import stats
from torch import Tensor

from tests.unit.mask_marginals import rao_scott
from zoo.draws import clip_keys, uniform
from zoo.nn.masking import draw_mask, mask_count
from zoo.nn.patch import PatchGrid
from zoo.nn.released_masking import draw_released_mask

PATCH, FRAME = PatchGrid(8, 64), PatchGrid(1, 512)
UNLIKELY = 1e-3  # keys are fixed: what passes once passes always, and of the tests below one in a hundred would not


def keys(number: int, count: int) -> Tensor:
    return clip_keys(number, 0, torch.arange(count))


def spread(is_masked: Tensor) -> Tensor:
    """What every patch's share is if all are alike: the same number is masked in every clip."""
    return torch.full((is_masked.shape[1],), float(is_masked[0].sum()) / is_masked.shape[1], dtype=torch.float64)


@pytest.mark.parametrize(
    ("grid", "num_masked", "cluster_size"),
    [
        (PATCH, 400, (3, 5)),  # the published ones
        (PATCH, 250, (3, 5)),
        (PATCH, 100, (3, 5)),
        (FRAME, 400, (1, 1)),
        (FRAME, 250, (1, 1)),
        (PATCH, 0.7, (3, 5)),
        (PATCH, 400, (1, 1)),
        (PatchGrid(8, 12), 0.7, (3, 5)),  # of 2 s
    ],
    ids=str,
)
def test_every_patch_is_masked_as_often_as_any_other(
    grid: PatchGrid, num_masked: float, cluster_size: tuple[int, int]
) -> None:
    is_masked = draw_mask(grid, num_masked, cluster_size, keys(3, 3000))
    assert (is_masked.sum(dim=1) == mask_count(num_masked, grid.num_patches)).all()
    found = rao_scott(is_masked, spread(is_masked))
    assert found.p_value > UNLIKELY
    # Single patches are the classical case: N - 1 degrees. Clusters leave far fewer.
    single = cluster_size == (1, 1)
    assert found.degrees == pytest.approx(grid.num_patches - 1, rel=0.02) if single else found.degrees < 200


def test_and_every_row_and_every_column() -> None:
    """Sums over the grid, where a leaning that is thin in every patch adds up."""
    grids = draw_mask(PATCH, 400, (3, 5), keys(4, 3000)).double().unflatten(1, PATCH)
    for axis in (1, 2):
        shares = grids.mean(dim=axis)
        assert rao_scott(shares, torch.full((shares.shape[1],), 400 / 512)).p_value > UNLIKELY


def test_a_clip_padded_in_a_wider_batch_too() -> None:
    real = 20
    is_padded = (torch.arange(64) >= real).expand(3000, 8, -1).flatten(1)
    is_masked = draw_mask(PATCH, 0.7, (3, 5), keys(5, 3000), is_padded).unflatten(1, PATCH)
    assert not is_masked[:, :, real:].any()
    inside = is_masked[:, :, :real].flatten(1)
    assert rao_scott(inside, spread(inside)).p_value > UNLIKELY


def cut_at_the_edges(grid: PatchGrid, side: int, count: int, clip_keys: Tensor) -> Tensor:
    """Squares that start inside the grid and end at its edges, until `count` patches are covered."""
    masks = torch.zeros(len(clip_keys), grid.freq, grid.time, dtype=torch.bool)
    starts = (uniform(clip_keys, "start", 400) * grid.num_patches).long().tolist()
    for mask, own in zip(masks, starts, strict=True):
        for start in own:
            row, column = divmod(start, grid.time)
            mask[row : row + side, column : column + side] = True
            over = int(mask.sum()) - count
            if over >= 0:
                last = mask[row : row + side, column : column + side]
                places = last.nonzero()[torch.randperm(int(last.sum()))[:over]]
                last[places[:, 0], places[:, 1]] = False
                break
    return masks.flatten(1)


@pytest.mark.parametrize("num_masked", [400, 100])
def test_the_released_sampler_fails(num_masked: int) -> None:
    """With a tenth of the clips."""
    is_masked = draw_released_mask(PATCH, num_masked, (3, 5), keys(6, 300))
    assert rao_scott(is_masked, spread(is_masked)).p_value < 1e-30


def test_an_obvious_sampler_fails() -> None:
    """Its first row and column come up more seldom, for squares reach into the grid from two sides only."""
    torch.manual_seed(0)
    is_masked = cut_at_the_edges(PATCH, 3, 100, keys(7, 500))
    assert (is_masked.sum(dim=1) == 100).all()
    assert rao_scott(is_masked, spread(is_masked)).p_value < 1e-6


def test_a_slight_leaning_fails() -> None:
    """Every fifteenth mask released, the others even: no patch is off by more than 0.07, and most by 0.01."""
    own = keys(8, 3000)
    is_masked = draw_mask(PATCH, 400, (3, 5), own)
    is_masked[::15] = draw_released_mask(PATCH, 400, (3, 5), own[::15])
    assert (is_masked.double().mean(dim=0) - 400 / 512).abs().median() < 0.015
    assert rao_scott(is_masked, spread(is_masked)).p_value < UNLIKELY


@pytest.mark.parametrize(("grid", "cluster_size"), [(PatchGrid(4, 12), (1, 1)), (PatchGrid(8, 16), (3, 5))])
def test_chance_alone_gives_p_values_that_are_spread_evenly(grid: PatchGrid, cluster_size: tuple[int, int]) -> None:
    """So that the test is as strict as it says, with clusters too.

    The truth are masks turned on a torus by a place drawn for each, after which all patches are alike by symmetry.
    """
    generator = torch.Generator().manual_seed(0)
    p_values = []
    for number in range(60):
        masks = draw_mask(grid, 0.4, cluster_size, keys(100 + number, 400)).unflatten(1, grid)
        starts = torch.rand(2, 400, generator=generator)
        rows = (torch.arange(grid.freq) + (starts[0] * grid.freq).long()[:, None]) % grid.freq
        columns = (torch.arange(grid.time) + (starts[1] * grid.time).long()[:, None]) % grid.time
        turned = masks[torch.arange(400)[:, None, None], rows[:, :, None], columns[:, None]].flatten(1)
        p_values.append(rao_scott(turned, spread(turned)).p_value)
    assert stats.kstest(p_values, "uniform").pvalue > 0.01


def test_the_correction_is_the_classical_test_for_single_patches() -> None:
    """For which the covariance is known: p (1 - p) N / (N - 1) on all that is orthogonal to (1, 1, ...)."""
    is_masked = draw_mask(PatchGrid(4, 10), 12, (1, 1), keys(9, 50_000))
    found = rao_scott(is_masked, spread(is_masked))
    squares = float((is_masked.double().mean(dim=0) - 0.3).square().sum())
    classical: Any = stats.chi2.sf(50_000 * squares / (0.3 * 0.7) * 39 / 40, 39)
    assert found.degrees == pytest.approx(39, rel=0.01)
    assert found.p_value == pytest.approx(classical, abs=0.01)
