"""What the classes weigh in the loss, from how many training clips each has.

The weights are scaled so that their mean over the training clips is 1: the size of the loss, and with it the meaning
of the learning rate, stays as it is without them.

Letters: n clips, C classes, n_c clips of class c.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from zoo.errors import RecipeError


@dataclass(frozen=True)
class ClassWeights:
    """`positive` (C,) multiplies the part of the loss where the class is right. `negative` (C,) multiplies the part
    where it is wrong; None with cross entropy, which has no such part."""

    positive: Float[Tensor, "cls"]
    negative: Float[Tensor, "cls"] | None = None

    def as_report(self) -> dict[str, Any]:
        """For `summary.json`, in the order of the labels."""
        rounded = {
            name: [float(f"{value:.6g}") for value in weights.tolist()]
            for name, weights in (("positive", self.positive), ("negative", self.negative))
            if weights is not None
        }
        return rounded if self.negative is not None else {"weights": rounded["positive"]}


def weigh_classes(
    choice: Literal["balanced"] | Sequence[float],
    loss: Literal["ce", "bce"],
    counts: Sequence[int],
    num_clips: int,
    largest: float,
) -> ClassWeights:
    """The weights of a choice.

    - ce: w_c = n / (C n_c), as scikit-learn's "balanced"; a list gives w_c in proportion. A clip of class c counts w_c.
    - bce: p_c = (n - n_c) / n_c, so that yes and no weigh the same in all; a list gives p_c, torch's `pos_weight`. A
      yes counts p_c times as much as a no of the same class.

    Balanced w_c and p_c are cut at `largest` and at 1 / `largest`. A class without clips gets 1. Then w, and each
    class's pair of weights, are scaled to a mean of 1 over the clips.

    Raises: `RecipeError` for another number of weights than classes.
    """
    found = torch.tensor(counts, dtype=torch.float64)
    is_there = found > 0
    if choice == "balanced":
        some = found.clamp(min=1)
        raw = num_clips / (len(counts) * some) if loss == "ce" else (num_clips - found) / some
        raw = raw.clamp(min=1 / largest, max=largest)
    else:
        if len(choice) != len(counts):
            raise RecipeError(
                f"objective.class_weights: found {len(choice)} weights for {len(counts)} classes - expected one for "
                "each, in the order of the labels - put the list right"
            )
        raw = torch.tensor([float(weight) for weight in choice], dtype=torch.float64)
    if loss == "ce":
        mean = (found * raw).sum() / found.sum().clamp(min=1)
        return ClassWeights(torch.where(is_there, raw / mean, 1.0).float())
    negative = num_clips / (found * raw + num_clips - found)
    return ClassWeights(
        torch.where(is_there, raw * negative, 1.0).float(), torch.where(is_there, negative, 1.0).float()
    )
