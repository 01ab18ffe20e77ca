"""Supervised training: cross entropy for one label a clip, binary cross entropy for several."""

from functools import partial
from typing import Annotated, Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from zoo.config import Config
from zoo.data.batch import Inputs
from zoo.errors import DataError, RecipeError, ShapeError
from zoo.objectives.objective import Objective, Task


class ClassificationConfig(Config):
    """The loss of a classifier."""

    kind: Literal["classification"] = "classification"
    loss: Literal["ce", "bce"] | None = None
    """`ce`: softmax over the classes. `bce`: each class on its own (AST's Speech Commands recipe uses it with one label
    a clip). None: by task, `ce` for single-label and `bce` for multi-label."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of every target that is spread evenly: over the classes with `ce`, over yes and no with `bce`."""

    def build(self, task: Task | None) -> Objective:
        """The objective for a task. Raises RecipeError when loss and task contradict each other."""
        if task is None:
            raise RecipeError(
                "data.task: found none for objective 'classification' - expected single-label or multi-label: state it"
            )
        if self.loss == "ce" and task == "multi-label":
            raise RecipeError(
                "objective.loss: found 'ce' with data.task 'multi-label' - expected 'bce', "
                "since several classes can be right at once - leave the loss out or change the task"
            )
        loss = self.loss or ("ce" if task == "single-label" else "bce")
        return partial(classification_loss, loss=loss, label_smoothing=self.label_smoothing, task=task)


def classification_loss(
    model: nn.Module, inputs: Inputs, loss: Literal["ce", "bce"], label_smoothing: float, task: Task
) -> tuple[Float[Tensor, ""], dict[str, Tensor]]:
    """Loss of a model that answers with logits (B, C) to targets that are probabilities (B, C), mixed or not."""
    if inputs.target is None:
        raise DataError(
            f"{inputs.names[0] if inputs.names else 'a batch'}: found no label - "
            "expected labelled clips for objective 'classification' - give labels, or choose 'masked-patch'"
        )
    logits = model(inputs.log_mel, inputs.num_frames, inputs.keys)
    if logits.shape != inputs.target.shape:
        raise ShapeError(
            f"logits: found {tuple(logits.shape)} against targets {tuple(inputs.target.shape)} (clips, classes) - "
            "expected the same - set model.num_classes to the number of labels"
        )
    with torch.autocast(device_type=logits.device.type, enabled=False):
        function = cross_entropy if loss == "ce" else binary_cross_entropy
        value = function(logits.float(), inputs.target.float(), label_smoothing)
    if task == "multi-label":
        return value, {}
    # With mixed clips: how often the class with the larger share wins. Only shown; the loss never takes an argmax.
    is_right = logits.detach().argmax(dim=1) == inputs.target.argmax(dim=1)
    return value, {"train/accuracy": is_right.float().mean()}


def cross_entropy(
    logits: Float[Tensor, "batch cls"], target: Float[Tensor, "batch cls"], label_smoothing: float = 0.0
) -> Float[Tensor, ""]:
    """Mean over clips of -sum_c target_c log softmax(logits)_c. The targets are probabilities, so mixed clips count
    with both of their labels (taking the argmax, as released AST code does, silently trains on label 0)."""
    return F.cross_entropy(logits, target, label_smoothing=label_smoothing)


def binary_cross_entropy(
    logits: Float[Tensor, "batch cls"], target: Float[Tensor, "batch cls"], label_smoothing: float = 0.0
) -> Float[Tensor, ""]:
    """Mean over clips and classes. Smoothing moves every target towards one half: each class is its own question."""
    target = target * (1 - label_smoothing) + label_smoothing / 2
    return F.binary_cross_entropy_with_logits(logits, target)
