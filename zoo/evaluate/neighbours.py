"""How much a frozen model's features say without any training: a clip is what its nearest neighbours are."""

import torch
from jaxtyping import Float, Float64, Num
from torch import Tensor
from torch.nn import functional as F

from zoo.data.labels import Task
from zoo.errors import ShapeError

TEMPERATURE = 0.07
_AT_ONCE = 1024  # clips whose similarities to all others are in memory
_LEAST = 1e-6  # of a vote: its logarithm stays finite


def neighbour_scores(
    train_features: Num[Tensor, "n embed"],
    train_targets: Num[Tensor, "n cls"],
    eval_features: Num[Tensor, "m embed2"],
    task: Task = "single-label",
    k: int = 20,
    temperature: float = TEMPERATURE,
) -> Float64[Tensor, "m cls"]:
    """Logits from the classes of the `k` training clips whose features have the largest cosine.

    A neighbour's vote weighs exp(cosine / temperature), as in Wu et al. 2018 and DINO (Caron et al. 2021), which have
    k = 20 and 0.07. Both sides are taken less the mean of the training clips, unlike there: the features of a
    transformer have a large common part, beside which all cosines are near 1. Of equal cosines the earlier clip counts.

    Args: `k` above the number of training clips means all of them.

    Raises: ShapeError - features of different widths, or k below 1.
    """
    if train_features.shape[1] != eval_features.shape[1] or k < 1:
        raise ShapeError(
            f"kNN probe: found features {tuple(train_features.shape)} and {tuple(eval_features.shape)} and k {k} - "
            "expected equal widths and k of 1 or more - use one model"
        )
    mean = train_features.double().mean(dim=0)
    known = F.normalize(train_features.double() - mean, dim=1)
    votes = [
        _votes(few, known, train_targets.double(), k, temperature)
        for few in F.normalize(eval_features.double() - mean, dim=1).split(_AT_ONCE)
    ]
    share = torch.cat(votes).clamp(_LEAST, 1 - _LEAST)
    return share.log() if task == "single-label" else share.logit()


def _votes(
    asked: Float[Tensor, "m embed"], known: Float[Tensor, "n embed"], targets: Float[Tensor, "n cls"], k: int, t: float
) -> Float[Tensor, "m cls"]:
    """The share of the votes for every class."""
    cosines = asked @ known.T
    order = cosines.argsort(dim=1, descending=True, stable=True)[:, :k]
    weights = (cosines.gather(1, order) / t).softmax(dim=1)  # the same shares, and nothing overflows
    return (weights[:, :, None] * targets[order]).sum(dim=1)
