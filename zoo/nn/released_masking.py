"""The mask sampler of the released SSAST, slips included: for repeating published runs, never a better choice.

Source: YuanGongND/ssast, src/models/ast_models.py, `gen_maskid_patch` and `gen_maskid_frame` (golden kind
ssast_mask_stats). What it does that `zoo.nn.masking` does not: patch 0 is never masked; clusters that cross the right
edge go on at the start of the next row; what is too much is taken from the highest indices, so that late patches of
the highest mels come up too seldom; and of 400 masked patches of 512, the lowest mels get 42 % and others 89 %.
"""

import random

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from zoo.draws import combine, stable_id
from zoo.errors import ShapeError
from zoo.nn.masking import mask_count
from zoo.nn.patch import PatchGrid

_SINGLES = (1, 1)


def check_released_mask(grid: PatchGrid, num_masked: float | int, cluster_size: tuple[int, int]) -> None:
    """Raises: ShapeError - clusters would be added for ever, because more patches are asked for than ever come up."""
    count, most = mask_count(num_masked, grid.num_patches), grid.num_patches - 2
    if cluster_size != _SINGLES and count > most:
        raise ShapeError(
            f"num_masked: {num_masked:g} with mask_sampler 'released' on the grid {grid.freq} x {grid.time} "
            f"({grid.num_patches} patches) - expected at most {most}, for the released sampler never masks patch 0 and "
            "adds clusters until one patch too many is covered - mask fewer, or use mask_sampler 'even'"
        )


def draw_released_mask(
    grid: PatchGrid,
    num_masked: float | int,
    cluster_size: tuple[int, int],
    keys: Int[Tensor, "batch"],
    is_padded: Bool[Tensor, "batch patch"] | None = None,
    purpose: str = "mask",
) -> Bool[Tensor, "batch patch"]:
    """True where a patch is masked; arguments as in `zoo.nn.masking.draw_mask`.

    A Python loop over the clips, as released, which waits for the device. A clip in a wider batch is masked as alone:
    the released code knows no padding. With clusters at most all real patches but two are masked.
    """
    batch = keys.shape[0]
    is_masked = torch.zeros(batch, grid.freq, grid.time, dtype=torch.bool)
    columns = [grid.time] * batch
    if is_padded is not None:  # padding lies at the end of time: a column is padded as a whole
        columns = (~is_padded.unflatten(1, (grid.freq, grid.time))[:, 0]).sum(dim=1).tolist()
    for clip, (key, num_columns) in enumerate(zip(keys.tolist(), columns, strict=True)):
        alone = PatchGrid(grid.freq, num_columns)
        count = mask_count(num_masked, alone.num_patches)
        rng = random.Random(combine(key, stable_id(purpose)))
        if cluster_size == _SINGLES:
            places = rng.sample(range(alone.num_patches), count)
        else:
            places = draw_clusters(alone, min(count, alone.num_patches - 2), cluster_size, rng)
        if places:
            index = torch.tensor(places)
            is_masked[clip, index // num_columns, index % num_columns] = True
    return is_masked.flatten(1).to(keys.device)


def draw_clusters(grid: PatchGrid, count: int, cluster_size: tuple[int, int], rng: random.Random) -> list[int]:
    """Places of `count` patches in square clusters; none when `count` is below 1. One side is drawn for the clip.

    Clusters come until more than `count` patches are covered; the first `count` in the order of CPython's set then
    stay, which for these small numbers is almost always the ascending one.
    """
    if count < 1:
        return []
    side = cluster_size[0] + rng.randrange(cluster_size[1] - cluster_size[0] + 1)
    # Steps from a cluster's start: not cut at the right edge, so they run on into the next row.
    steps = [grid.time * row + column for row in range(side) for column in range(side)]
    num_patches = grid.num_patches
    covered: set[int] = set()
    while len(covered) <= count:
        start = rng.randrange(num_patches)
        covered.update(start + step for step in steps if 0 < start + step < num_patches)
    return list(covered)[:count]
