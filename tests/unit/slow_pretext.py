"""The pretext losses and their gradients, patch by patch in float64, with nothing of torch: slow, and easy to check.

Clips are lists of patches, patches are numpy vectors. Derivatives are written out by hand:

    squared error of patch i, a mean over K numbers     d/dp_i   2 (p_i - t_i) / K
    -log softmax over targets, s_ij = p_i . t_j / T     d/dp_i   (sum_j P_ij t_j - t_i) / T, P_i. = softmax of row i
    -log softmax over predictions, of all columns       d/dp_i   (sum_j Q_ij t_j - t_i) / T, Q_.j = softmax of column j
"""

import math
from typing import NamedTuple

import numpy as np

Clips = list[list[np.ndarray]]


class Slow(NamedTuple):
    """A mean over the patches of all clips, and its derivative by every number of every prediction."""

    loss: float
    gradient: Clips


def normalised(patch: np.ndarray) -> np.ndarray:
    """Mean 0 and variance 1; a constant patch becomes zeros."""
    mean = sum(float(value) for value in patch) / len(patch)
    variance = sum((float(value) - mean) ** 2 for value in patch) / len(patch)
    return np.array([(float(value) - mean) / math.sqrt(variance + 1e-6) for value in patch])


def slow_error(predictions: Clips, targets: Clips) -> Slow:
    count = sum(len(clip) for clip in predictions)
    loss, gradient = 0.0, []
    for of_clip, true in zip(predictions, targets, strict=True):
        gradient.append([2 * (p - t) / len(p) / count for p, t in zip(of_clip, true, strict=True)])
        for p, t in zip(of_clip, true, strict=True):
            loss += sum((float(a) - float(b)) ** 2 for a, b in zip(p, t, strict=True)) / len(p) / count
    return Slow(loss, gradient)


def slow_info_nce(predictions: Clips, targets: Clips, temperature: float, over: str) -> Slow:
    count = sum(len(clip) for clip in predictions)
    loss, gradient = 0.0, []
    for p, t in zip(predictions, targets, strict=True):
        patches = range(len(p))
        score = [[float(p[i] @ t[j]) / temperature for j in patches] for i in patches]
        share = [[0.0 for _ in patches] for _ in patches]  # of target j for prediction i, or of i for j
        for i in patches:
            for j in patches:
                rivals = score[i] if over == "targets" else [score[other][j] for other in patches]
                highest = max(rivals)
                share[i][j] = math.exp(score[i][j] - highest) / sum(math.exp(rival - highest) for rival in rivals)
        for i in patches:
            loss -= math.log(share[i][i]) / count
        gradient.append([(sum(share[i][j] * t[j] for j in patches) - t[i]) / temperature / count for i in patches])
    return Slow(loss, gradient)
