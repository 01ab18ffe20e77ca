"""What a model says of a clip, in words and in how wrong it is."""

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor
from torch.nn import functional as F

from zoo.data.labels import Task

_LONGEST = 60  # characters of a clip's name, or of its labels: a title is one line


def probabilities(scores: Float[Tensor, "clip cls"], task: Task) -> Float64[np.ndarray, "clip cls"]:
    """Of logits: the classes of a clip add up to 1 where it has exactly one."""
    logits = scores.double().cpu()
    return (logits.softmax(dim=1) if task == "single-label" else logits.sigmoid()).numpy()


def clip_losses(
    scores: Float[Tensor, "clip cls"], targets: Float[Tensor, "clip cls"], task: Task
) -> Float64[Tensor, "clip"]:
    """The cross-entropy of every clip; for several labels the mean of the binary ones over the classes."""
    logits, wanted = scores.double().cpu(), targets.double().cpu()
    if task == "single-label":
        return -(wanted * logits.log_softmax(dim=1)).sum(dim=1)
    return F.binary_cross_entropy_with_logits(logits, wanted, reduction="none").mean(dim=1)


def hardest(
    scores: Float[Tensor, "clip cls"], targets: Float[Tensor, "clip cls"], task: Task, count: int
) -> list[tuple[int, float]]:
    """(row, loss) of the clips with the largest losses, the largest first; of equal ones the earlier row."""
    losses = clip_losses(scores, targets, task)
    order = torch.sort(losses, descending=True, stable=True).indices[:count].tolist()
    return [(row, float(losses[row])) for row in order]


def true_labels(target: Float[Tensor, "cls"], labels: tuple[str, ...]) -> str:
    """Their names; `none` where a clip has none."""
    return ", ".join(labels[place] for place in target.nonzero().flatten().tolist()) or "none"


def top_answers(probability: Float64[np.ndarray, "cls"], labels: tuple[str, ...], count: int = 3) -> str:
    """The likeliest classes with their probabilities: `dog 93 %, cat 4 %`."""
    order = np.argsort(-probability, kind="stable")[:count]
    return ", ".join(f"{_short(labels[place], 24)} {100 * probability[place]:.3g} %" for place in order)


def caption(name: str, true: str, said: str, loss: float | None = None) -> str:
    """Two lines above the picture of a clip."""
    told = f"said: {said}" if loss is None else f"said: {said}; loss {loss:.3g}"
    return f"{_short_name(name)}: {_short(true, _LONGEST)}\n{told}"


def _short(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _short_name(name: str) -> str:
    """With its end, which tells clips apart."""
    return name if len(name) <= _LONGEST else "…" + name[1 - _LONGEST :]
