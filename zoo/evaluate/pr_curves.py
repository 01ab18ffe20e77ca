"""Precision over recall, of all classes together and of those with the most clips."""

import numpy as np
from jaxtyping import Float, Float64
from torch import Tensor

from zoo.evaluate.board import Board

_MOST_CLASSES = 10


def show_pr_curves(
    board: Board,
    prefix: str,
    targets: Float[Tensor, "clip cls"],
    probability: Float64[np.ndarray, "clip cls"],
    labels: tuple[str, ...],
    clips: int,
) -> None:
    """`PREFIX/all classes`, where every pair of a clip and a class counts once, and `PREFIX/CLASS` for at most ten: the
    same ones at every evaluation, since the clips alone decide which."""
    is_positive = targets.cpu().numpy() > 0.5
    board.pr_curve(f"{prefix}/all classes", is_positive, probability, clips)
    for place in common_classes(is_positive.sum(axis=0)):
        board.pr_curve(f"{prefix}/{labels[place]}", is_positive[:, place], probability[:, place], clips)


def common_classes(num_positives: np.ndarray) -> list[int]:
    """The places of the classes with the most positives, of equal ones the first; none that has no positive."""
    order = np.argsort(-num_positives, kind="stable")[:_MOST_CLASSES]
    return [int(place) for place in order if num_positives[place]]
