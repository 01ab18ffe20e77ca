"""What the training loop minimises: a function of a model and a batch of inputs."""

from collections.abc import Callable
from typing import Literal

from torch import Tensor, nn

from zoo.data.batch import Inputs

Objective = Callable[[nn.Module, Inputs], tuple[Tensor, dict[str, Tensor]]]
"""`objective(model, inputs)` -> (loss () with a gradient, scalars by tag, each () and detached).

The tags (`loss/*`, `pretext/*`, `train/*`) are the same at every step. An objective runs under the loop's autocast and
leaves it for its own arithmetic, which is float32 whatever the model's precision.
"""

Task = Literal["single-label", "multi-label"]
