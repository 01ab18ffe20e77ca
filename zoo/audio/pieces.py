"""The frames of a batch in pieces that fit a processor's cache, whole clips and parts of clips after one another."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

_NUMBERS = 1 << 18  # of a piece: 1 MB a step; half of it and twice of it were slower
_FEWEST = 16  # fewer rows go another way through a matrix product, which ends on other last bits


@dataclass(frozen=True)
class Span:
    """Frames `first` up to, but without, `last` of one clip of the batch, which are the rows `place` of their piece."""

    row: int
    first: int
    last: int
    place: slice


def in_pieces(tensor: Tensor) -> bool:
    """Whether to work in pieces: on a CPU, where no gradient is wanted. Elsewhere a piece would not fill the device."""
    return tensor.device.type == "cpu" and not (torch.is_grad_enabled() and tensor.requires_grad)


def pieces_of_frames(counts: Sequence[int], length: int, apart: bool = False) -> Iterator[list[Span]]:
    """Every frame of clips that have so many frames of this length, in order; `apart`, no two clips in one piece."""
    at_once = max(_FEWEST, _NUMBERS // length)
    piece: list[Span] = []
    size = 0
    for row, count in enumerate(counts):
        first = 0
        while first < count:
            last = min(count, first + at_once - size)
            piece.append(Span(row, first, last, slice(size, size + last - first)))
            size += last - first
            first = last
            if size == at_once or (apart and first == count):
                yield piece
                piece, size = [], 0
    if piece:
        yield piece


def blank_frames(piece: Sequence[Span], length: int, like: Tensor) -> Float[Tensor, "row {length}"]:
    """Zeros for a piece, and some rows more where it has few frames, which are not to be looked at."""
    return like.new_zeros(max(_FEWEST, piece[-1].place.stop), length)
