"""Values of a table between its entries: what a position table has at places that are no whole numbers."""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def stretched_places(
    num_target: int | Int[Tensor, "clip 1"], num_source: int, width: int | None = None
) -> Float[Tensor, "*clip place"]:
    """Both ends on both ends, as `F.interpolate` with align_corners=False has it; float64.

    Args:
        num_target: over how many places the table is stretched; a number, or one a clip.
        num_source: entries of the table.
        width: how many places are given, where not `num_target` itself.
    """
    device = num_target.device if isinstance(num_target, Tensor) else None
    count = num_target if width is None else width
    assert isinstance(count, int), "one number a clip needs a width"
    return (torch.arange(count, dtype=torch.float64, device=device) + 0.5) * num_source / num_target - 0.5


def take(
    table: Float[Tensor, "..."], dim: int, places: Float[Tensor, "place"], nearest: bool = False
) -> Float[Tensor, "..."]:
    """Values at fractional places along one axis: linear between neighbours, the last one beyond the ends.

    A whole number gives that entry bit for bit, so a shorter model of the same stride has the first columns.
    """
    places = places.clamp(0, table.shape[dim] - 1)
    if nearest:
        return table.index_select(dim, places.round().long())
    low = places.floor().long()
    high = (low + 1).clamp(max=table.shape[dim] - 1)
    shape = [1] * table.ndim
    shape[dim] = -1
    weight = (places - low).to(table.dtype).reshape(shape)
    return torch.lerp(table.index_select(dim, low), table.index_select(dim, high), weight)
