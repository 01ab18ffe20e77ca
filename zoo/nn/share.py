"""A number of things given as a count, or as a share of the whole when below 1."""

import math

import torch
from jaxtyping import Int
from torch import Tensor

from zoo.errors import ShapeError

# 0.29 * 100 is 28.999999999999996 in floating point, and means 29.
_ROUNDING = 1e-6


def check_count_or_share(name: str, value: float | int) -> None:
    """Raises: ShapeError - a negative value, or neither a share below 1 nor a whole number."""
    if value < 0 or (value >= 1 and value != int(value)):
        raise ShapeError(f"{name}: {value} - expected a whole number, or a share in [0, 1) - choose one of the two")


def resolve_count(value: float | int, total: int) -> int:
    """The count that `value` means among `total`: itself, or the share of the total rounded down."""
    return math.floor(value * total + _ROUNDING) if value < 1 else int(value)


def resolve_counts(value: float | int, totals: Int[Tensor, "batch"]) -> Int[Tensor, "batch"]:
    """`resolve_count` for a whole batch, without waiting for the device."""
    if value < 1:
        return (value * totals.double() + _ROUNDING).floor().to(totals.dtype)
    return torch.full_like(totals, int(value))
