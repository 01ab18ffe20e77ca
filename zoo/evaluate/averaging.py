"""One answer for a clip from those for its windows."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from zoo.data.labels import Task

Average = Callable[[Float[Tensor, "window out"]], Float[Tensor, "out"]]


def mean_output(outputs: Float[Tensor, "window out"]) -> Float[Tensor, "out"]:
    """The mean, as for features."""
    return outputs.mean(dim=0)


def mean_probability(task: Task) -> Average:
    """Logits of the mean probability: of the softmax for single-label, of each class on its own for multi-label.

    Not the mean of the logits, which multiplies the windows' odds: a single window that is sure that a class is absent
    would then outvote all that hear it, and a label that holds for a part of the clip, as most labels of long clips do,
    would be lost. A probability cannot weigh more than 1. It is also what FSD50K's authors do with
    clips that they cut into windows (Fonseca et al. 2022). Computed in log space, so that nothing saturates.
    """
    return _mean_softmax if task == "single-label" else _mean_sigmoid


def _mean_softmax(logits: Tensor) -> Tensor:
    return logits.log_softmax(dim=1).logsumexp(dim=0) - _log_count(logits)


def _mean_sigmoid(logits: Tensor) -> Tensor:
    """log(mean p / mean (1 - p))."""
    present = torch.nn.functional.logsigmoid(logits).logsumexp(dim=0)
    absent = torch.nn.functional.logsigmoid(-logits).logsumexp(dim=0)
    return present - absent


def _log_count(logits: Tensor) -> Tensor:
    return logits.new_tensor(float(logits.shape[0])).log()


def average_windows(
    outputs: Float[Tensor, "window out"], clips: list[int], average: Average
) -> tuple[Float[Tensor, "clip out"], list[int]]:
    """(An output for every clip, in the order of the clips' numbers; the first row of each).

    The output of a clip with one window is kept bit for bit.

    Args: `clips` has the number of the clip that each row is of.
    """
    rows: dict[int, list[int]] = {}
    for row, clip in enumerate(clips):
        rows.setdefault(clip, []).append(row)
    firsts = [rows[clip][0] for clip in sorted(rows)]
    merged = outputs[firsts]
    for place, clip in enumerate(sorted(rows)):
        if len(rows[clip]) > 1:
            merged[place] = average(outputs[rows[clip]].double()).to(outputs.dtype)
    return merged, firsts
