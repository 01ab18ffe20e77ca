"""What the training loop minimises: a function of a model and a batch of inputs."""

from collections.abc import Callable
from typing import Literal

from torch import Tensor, nn

from zoo.data.batch import Inputs

Objective = Callable[[nn.Module, Inputs], tuple[Tensor, Tensor, dict[str, Tensor]]]
"""`objective(model, inputs)` -> (loss () with a gradient, count () of what it is a mean over, scalars by tag, each ()
and detached). Loss and scalars are means over the same things, clips or masked patches: with their counts as weights,
those of the parts of a batch make those of the whole, however it was split over steps and processes.

The tags (`loss/*`, `pretext/*`, `train/*`) are the same at every step. An objective runs under the loop's autocast and
leaves it for its own arithmetic, which is float32 whatever the model's precision.
"""

Task = Literal["single-label", "multi-label"]
