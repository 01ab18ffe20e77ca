"""Whether the features of different clips are still different: numbers in which collapse shows when it starts.

Every function takes one vector a clip. Compared are clips, so that a large part common to all of them, as the features
of transformers have, hides nothing.
"""

import math
from collections.abc import Mapping

import torch
from jaxtyping import Float, Float64
from torch import Tensor
from torch.nn import functional as F

DEAD = 0.01
"""A dimension is dead when its deviation over the clips is below this share of the mean deviation."""
FEWEST = 32
"""Clips, below which nothing is called a collapse."""
LOWEST_STD = 0.02
LOWEST_RANK, LOWEST_RANK_SHARE = 1.5, 0.02
_ROUNDING = 1e-6
"""What differs by less than this share of the vectors' length is rounding in float32, and counts as equal."""


def feature_health(features: Float[Tensor, "clip embed"]) -> dict[str, float]:
    """`embedding_std`, `effective_rank` and `dead_dimensions`; NaN where a feature is not finite, or of one clip."""
    if len(features) < 2 or not bool(features.isfinite().all()):
        return dict.fromkeys(("embedding_std", "effective_rank", "dead_dimensions"), math.nan)
    return {
        "embedding_std": embedding_std(features),
        "effective_rank": effective_rank(features),
        "dead_dimensions": dead_dimensions(features),
    }


def embedding_std(features: Float[Tensor, "clip embed"]) -> float:
    """The deviation over the clips of every dimension of the vectors scaled to length 1, the mean over the dimensions,
    times sqrt(D): about 1 for vectors in all directions, 0 where all clips have the same (Chen and He 2021, SimSiam,
    section 4.1, where 1 / sqrt(D) is the healthy value)."""
    unit = F.normalize(features.double(), dim=1)
    deviation = unit.std(dim=0, correction=0)
    return float(deviation.mean() * math.sqrt(features.shape[1]))


def effective_rank(features: Float[Tensor, "clip embed"]) -> float:
    """exp of the entropy of the singular values, divided by their sum, of the features less their mean: how many
    directions the clips differ in. 1: all lie on a line. At most the number of dimensions, and of clips less one. 0
    where all are equal.

    Source: Roy and Vetterli 2007; of features of pretraining: RankMe (Garrido et al. 2023), which does not take the
    mean off.
    """
    centred, rounding = _centred(features)
    values = torch.linalg.svdvals(centred)
    values = values[values > rounding * math.sqrt(max(features.shape))]
    if not len(values):
        return 0.0
    share = values / values.sum()
    return float(torch.exp(-(share * share.log()).sum()))


def dead_dimensions(features: Float[Tensor, "clip embed"]) -> float:
    """The share of the dimensions whose deviation over the clips is below `DEAD` of the mean over all dimensions; 1
    where all clips are equal."""
    centred, rounding = _centred(features)
    deviation = centred.square().mean(dim=0).sqrt()
    if float(deviation.mean()) <= rounding:
        return 1.0
    return float((deviation < DEAD * deviation.mean()).double().mean())


def collapse_sign(health: Mapping[str, float], num_clips: int, embed_dim: int) -> str | None:
    """What in `health/*` says that the features of different clips become one; None where nothing does.

    Collapse to a point: `embedding_std` below 0.02. Collapse to a line or so: `effective_rank` below 1.5, or below 2 %
    of what so many clips and dimensions can have (5 of 255 for a base model). Small SSASTs on an hour or three of real
    audio have 0.4 to 0.65 and 10 to 18 % at every evaluation, with either objective or both, and 0.01 under a learning
    rate that is a hundred times too high (docs/health.md). A few clips may well lie on a line: of fewer than 32 nothing
    is said.
    """
    if num_clips < FEWEST:
        return None
    std, rank = health.get("health/embedding_std", math.nan), health.get("health/effective_rank", math.nan)
    lowest = max(LOWEST_RANK, LOWEST_RANK_SHARE * min(num_clips - 1, embed_dim))
    if std < LOWEST_STD:
        return f"the features of all clips are nearly the same (health/embedding_std {std:.2g}, below {LOWEST_STD:g})"
    if rank < lowest:
        return f"the features of all clips hardly differ (health/effective_rank {rank:.2g}, below {lowest:.2g})"
    return None


def _centred(features: Float[Tensor, "clip embed"]) -> tuple[Float64[Tensor, "clip embed"], float]:
    """The features less their mean, and what is rounding in them."""
    exact = features.double()
    length = float(exact.square().mean().sqrt())
    return exact - exact.mean(dim=0), _ROUNDING * length
