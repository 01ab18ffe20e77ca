"""A chi-square test of how often each patch is masked, honest about patches of one clip not being independent.

Pearson's X² of N counts is chi-square with N - 1 degrees only if every masked patch is drawn for itself. In a clip an
exact number is masked, so counts push each other down a little, and whole clusters are, so neighbours come together:
among 4,000 clips there is much less to learn from than from 4,000 x 400 single patches. Clips are independent, each
having its own key; so the sum of squares K |mean - expected|² is, for many clips K, a sum of chi-squares weighed by the
eigenvalues of one clip's covariance S. Rao and Scott (1981, second order) replace it by one chi-square with the same
mean and variance: X² tr(S) / tr(S²) with tr(S)² / tr(S²) degrees of freedom. S is estimated from the same clips; of
its square the part that is the estimate's own noise, tr(S)² / (K - 1), is taken off.
"""

from typing import NamedTuple

import torch
from scipy import stats
from torch import Tensor


class Chi2(NamedTuple):
    """A statistic, its degrees of freedom, and how often chance alone gives as much."""

    statistic: float
    degrees: float
    p_value: float


def rao_scott(is_masked: Tensor, expected: Tensor, other_clips: float = float("inf")) -> Chi2:
    """Of masks (clips, N) and the share of clips in which each patch (N,) should be masked.

    other_clips: from how many clips `expected` itself was found; infinite for what is known.
    """
    masks = is_masked.double()
    clips = masks.shape[0]
    covariance = torch.cov(masks.T)
    trace = float(covariance.trace())
    of_square = float((covariance * covariance).sum()) - trace**2 / (clips - 1)
    squares = float((masks.mean(dim=0) - expected).square().sum()) / (1 / clips + 1 / other_clips)
    statistic, degrees = squares * trace / of_square, trace**2 / of_square
    return Chi2(statistic, degrees, float(stats.chi2.sf(statistic, degrees)))
