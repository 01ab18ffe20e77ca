"""Which patches a clip has to guess: exact counts, in clusters, alike over the whole grid, in one go for a batch.

How it works: noise is drawn on a grid larger by `cluster side - 1` on both axes. Every cell stands for a square
cluster; a patch is covered as soon as the earliest of the clusters over it comes, so its time is the minimum of the
noise in a window of the cluster's size. The patches with the smallest times are masked. Every patch, at an edge too,
lies under the same number of clusters.

Source: the cluster masking of SSAST (Gong et al. 2022), section 2.2. Its released sampler never masks patch 0, wraps
clusters over the right edge, and masks low mels half as often as others (tests/unit/test_masking.py measures ours).
Chances are exactly equal for side 1, and within 0.01 of it for the 8 x 64 grid of SSAST with sides 3 to 5; on grids
hardly larger than a cluster, with few patches masked, corners come up more often, because the last cluster is cut.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Int
from torch import Tensor

from zoo.draws import uniform
from zoo.errors import ShapeError
from zoo.nn.patch import PatchGrid
from zoo.nn.share import check_count_or_share, resolve_count, resolve_counts

_BITS = 24  # `uniform` gives multiples of 2^-24


def mask_count(num_masked: float | int, num_real: int) -> int:
    """How many of a clip's real patches are masked: at least one for a share, and one always stays visible."""
    count = resolve_count(num_masked, num_real)
    return max(min(max(count, 1) if num_masked < 1 else count, num_real - 1), 0)


def mask_counts(num_masked: float | int, num_real: Int[Tensor, "batch"]) -> Int[Tensor, "batch"]:
    """`mask_count` for a whole batch, without waiting for the device."""
    counts = resolve_counts(num_masked, num_real)
    if num_masked < 1:
        counts = counts.clamp(min=1)
    return counts.minimum(num_real - 1).clamp(min=0)


def check_mask(grid: PatchGrid, num_masked: float | int, cluster_size: tuple[int, int]) -> None:
    """Raises: ShapeError - on the grid of a whole clip nothing is masked or nothing stays visible, or the cluster's
    sides are no range; names the grid and the count."""
    check_count_or_share("num_masked", num_masked)
    if not 1 <= cluster_size[0] <= cluster_size[1]:
        raise ShapeError(
            f"cluster_size: {tuple(cluster_size)} - expected (smallest, largest) side with 1 <= smallest <= largest - "
            "swap or raise them"
        )
    total = grid.num_patches
    if resolve_count(num_masked, total) >= total or mask_count(num_masked, total) < 1 or num_masked == 0:
        raise ShapeError(
            f"num_masked: {num_masked:g} on the grid {grid.freq} x {grid.time} ({total} patches) - expected at least "
            f"one masked and one visible patch - choose 1 to {total - 1}, a share below 1, or longer clips"
        )


def draw_mask(
    grid: PatchGrid,
    num_masked: float | int,
    cluster_size: tuple[int, int],
    keys: Int[Tensor, "batch"],
    is_padded: Bool[Tensor, "batch patch"] | None = None,
    purpose: str = "mask",
) -> Bool[Tensor, "batch patch"]:
    """True where a patch is masked.

    num_masked: of every clip; a count (at most all real patches but one), or below 1 a share of its real patches,
        rounded down, at least one. A clip with a single real patch has none masked.
    cluster_size: (smallest, largest) side of the square clusters; every clip draws its own, both ends included.
        (1, 1) masks single patches.
    keys: one per clip; the mask depends on it alone, and not on how wide the batch is padded.
    purpose: another word gives an independent mask of the same clip.
    """
    smallest, largest = cluster_size
    num_rows, num_columns = grid.freq + largest - 1, grid.time + largest - 1
    # Counted column by column, so that a narrower grid sees the beginning of what a wider one sees.
    noise = uniform(keys, purpose, num_rows * num_columns).unflatten(1, (num_columns, num_rows))
    noise = noise.transpose(1, 2)  # (B, F + c - 1, T + c - 1)
    time = _cover_time(noise, smallest, grid)  # (B, F, T)
    if largest > smallest:
        side = uniform(keys, f"{purpose}-side", 1) * (largest - smallest + 1) + smallest  # (B, 1)
        for larger in range(smallest + 1, largest + 1):
            time = torch.where((side >= larger)[:, :, None], _cover_time(noise, larger, grid), time)

    # All patches that one cluster covers first have the same time: a second noise says which of them come first.
    # Whole numbers, because adding a tiny float would be rounded away and leave ties to the lowest index.
    tie = uniform(keys, f"{purpose}-tie", grid.num_patches).unflatten(1, (grid.time, grid.freq)).transpose(1, 2)
    order_by = ((_whole(time) << _BITS) + _whole(tie)).flatten(1)  # (B, N)
    if is_padded is None:
        is_padded = torch.zeros_like(order_by, dtype=torch.bool)
    order_by = order_by.masked_fill(is_padded, 1 << (2 * _BITS))
    rank = order_by.argsort(dim=1, stable=True).argsort(dim=1)
    counts = mask_counts(num_masked, (~is_padded).sum(dim=1))
    return rank < counts[:, None]


def _cover_time(noise: Tensor, side: int, grid: PatchGrid) -> Tensor:
    """When each patch is first covered by a cluster of this side: (B, F + c - 1, T + c - 1) to (B, F, T)."""
    return -F.max_pool2d(-noise[:, : grid.freq + side - 1, : grid.time + side - 1], kernel_size=side, stride=1)


def _whole(noise: Tensor) -> Tensor:
    return (noise * 2.0**_BITS).long()


def masked_index(
    is_masked: Bool[Tensor, "batch patch"], max_count: int
) -> tuple[Int[Tensor, "batch {max_count}"], Int[Tensor, "batch"]]:
    """The places of the masked patches of every clip in ascending order, and how many there are.

    Rows with fewer than `max_count` go on with places that are not masked; the length says from where on. `max_count`
    is a number known beforehand (`mask_count` of the widest clip), so that nothing waits for the device.
    """
    if max_count > is_masked.shape[1]:
        raise ShapeError(
            f"masked_index: max_count {max_count} - expected at most the {is_masked.shape[1]} patches - use mask_count"
        )
    index = (~is_masked).int().argsort(dim=1, stable=True)[:, :max_count]
    return index, is_masked.sum(dim=1).clamp(max=max_count)
