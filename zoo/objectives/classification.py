"""Supervised training: cross entropy for one label a clip, binary cross entropy for several."""

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any, Literal

import torch
from jaxtyping import Float
from pydantic import BeforeValidator, Field
from torch import Tensor, nn
from torch.nn import functional as F

from zoo.config import Config
from zoo.data.batch import Inputs
from zoo.errors import DataError, RecipeError, ShapeError
from zoo.objectives.class_weights import ClassWeights, weigh_classes
from zoo.objectives.objective import Objective, Task
from zoo.precision import exactly


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


Weight = Annotated[float, Field(gt=0, le=1e6)]


class ClassificationConfig(Config):
    """The loss of a classifier."""

    kind: Literal["classification"] = "classification"
    loss: Literal["ce", "bce"] | None = None
    """`ce`: softmax over the classes. `bce`: each class on its own (AST's Speech Commands recipe uses it with one label
    a clip). None: by task, `ce` for single-label and `bce` for multi-label."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of every target that is spread evenly: over the classes with `ce`, over yes and no with `bce`."""
    class_weights: Annotated[
        Literal["none", "balanced"] | tuple[Weight, ...],
        BeforeValidator(_as_tuple, json_schema_input_type=Literal["none", "balanced"] | list[Weight]),
    ] = "none"
    """What the classes weigh in the loss; their mean over the training clips is made 1. `balanced`: with `ce`, every
    class as much as another in all; with `bce`, for each class its yes as much as its no. A list, in the order of the
    labels: with `ce`, a clip of each class; with `bce`, a yes against a no of the class."""
    max_class_weight: Annotated[float, Field(ge=1, le=1e6)] = 100.0
    """Balanced weights are cut at this (before they are scaled), for classes of very few clips."""

    def weigh(self, task: Task, counts: Sequence[int], num_clips: int) -> ClassWeights | None:
        """`class_weights` for clips of which `counts` have each class; None for none.

        Raises: RecipeError for a list of another length than there are classes.
        """
        if self.class_weights == "none":
            return None
        return weigh_classes(self.class_weights, self._loss(task), counts, num_clips, self.max_class_weight)

    def _loss(self, task: Task) -> Literal["ce", "bce"]:
        return self.loss or ("ce" if task == "single-label" else "bce")

    def build(self, task: Task | None, weights: ClassWeights | None = None) -> Objective:
        """The objective for a task, with what `weigh` gave. Raises RecipeError when loss and task contradict each
        other."""
        if task is None:
            raise RecipeError(
                "data.task: found none for objective 'classification' - expected single-label or multi-label: state it"
            )
        if self.loss == "ce" and task == "multi-label":
            raise RecipeError(
                "objective.loss: found 'ce' with data.task 'multi-label' - expected 'bce', "
                "since several classes can be right at once - leave the loss out or change the task"
            )
        return partial(
            classification_loss,
            loss=self._loss(task),
            label_smoothing=self.label_smoothing,
            task=task,
            weights=weights,
        )


def classification_loss(
    model: nn.Module,
    inputs: Inputs,
    loss: Literal["ce", "bce"],
    label_smoothing: float,
    task: Task,
    weights: ClassWeights | None = None,
) -> tuple[Float[Tensor, ""], Float[Tensor, ""], dict[str, Tensor]]:
    """(loss, clips, scalars) of a model that answers with logits (B, C) to targets that are probabilities (B, C), mixed
    or not."""
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
    with exactly(logits.device):
        function = cross_entropy if loss == "ce" else binary_cross_entropy
        value = function(logits.float(), inputs.target.float(), label_smoothing, weights)
    count = torch.full((), float(logits.shape[0]), device=logits.device)
    if task == "multi-label":
        return value, count, {}
    # With mixed clips: how often the class with the larger share wins. Only shown; the loss never takes an argmax.
    is_right = logits.detach().argmax(dim=1) == inputs.target.argmax(dim=1)
    return value, count, {"train/accuracy": is_right.float().mean()}


def cross_entropy(
    logits: Float[Tensor, "batch cls"],
    target: Float[Tensor, "batch cls"],
    label_smoothing: float = 0.0,
    weights: ClassWeights | None = None,
) -> Float[Tensor, ""]:
    """Mean over clips of -sum_c w_c target_c log softmax(logits)_c. The targets are probabilities, so mixed clips count
    with both of their labels (taking the argmax, as released AST code does, silently trains on label 0).

    The mean is over the clips, not over their weights: a batch of one class keeps the weight of that class.
    """
    weight = None if weights is None else weights.positive.to(logits.device, non_blocking=True)
    return F.cross_entropy(logits, target, weight, label_smoothing=label_smoothing)


def binary_cross_entropy(
    logits: Float[Tensor, "batch cls"],
    target: Float[Tensor, "batch cls"],
    label_smoothing: float = 0.0,
    weights: ClassWeights | None = None,
) -> Float[Tensor, ""]:
    """Mean over clips and classes. Smoothing moves every target towards one half: each class is its own question."""
    target = target * (1 - label_smoothing) + label_smoothing / 2
    if weights is None or weights.negative is None:
        return F.binary_cross_entropy_with_logits(logits, target)
    positive, negative = (one.to(logits.device, non_blocking=True) for one in (weights.positive, weights.negative))
    return F.binary_cross_entropy_with_logits(logits, target, weight=negative, pos_weight=positive / negative)
