"""A checkpoint in memory: its tensors by the zoo's names, and what is known about them."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from torch import Tensor

from zoo.audio.front_ends import AnyFrontEndConfig, parse_front_end
from zoo.errors import CheckpointError
from zoo.models.registry import ModelConfig, in_words, parse_model_config
from zoo.train.checkpoint import CONFIG
from zoo.weights.positions import Rule


@dataclass(frozen=True)
class Loaded:
    """A checkpoint as read: tensors by the zoo's names, in the checkpoint's own geometry."""

    path: Path
    config: dict[str, Any]
    """What `config.json` of a checkpoint folder has: model, front_end, labels, task, pretraining, history."""
    state: dict[str, Tensor]
    origin: str = "zoo"
    """The format that it came in."""
    rule: Rule = "ast"
    """Whose released code counts as official when positions are adapted (`zoo.weights.adapt`)."""
    start: dict[str, Any] = field(default_factory=dict)
    """Fields in which the model to build differs from the checkpoint's own unless stated otherwise."""
    unused: tuple[str, ...] = ()
    """Tensors of the file that nothing reads."""
    notes: tuple[str, ...] = ()
    """What was assumed about it."""

    @property
    def pretraining(self) -> bool:
        """True when the weights are those of a `MaskedPatchModel`."""
        return bool(self.config.get("pretraining", False))

    @property
    def is_released(self) -> bool:
        """Whether the weights are as released code wrote them, converted perhaps, but not trained on by the zoo."""
        return self.origin != "zoo"

    @property
    def is_image(self) -> bool:
        """Whether it is ImageNet's: the start of a model, and none that could be used as it is."""
        return self.rule == "image"

    def has_head_for(self, config: ModelConfig) -> bool:
        """Whether it has a trained classifier of as many classes."""
        return not (self.pretraining or self.is_image) and config.num_classes == self.model_config.num_classes

    @property
    def model_config(self) -> ModelConfig:
        """The checkpoint's own geometry."""
        try:
            return parse_model_config(self.config["model"])
        except (KeyError, ValidationError) as error:
            why = "no 'model'" if isinstance(error, KeyError) else in_words(error)
            raise CheckpointError(
                f"{self.path / CONFIG}: 'model' does not describe a model of this zoo ({why}) - "
                "expected the file that a zoo run wrote - was it edited?"
            ) from None

    @property
    def front_end(self) -> AnyFrontEndConfig | None:
        """The front end that the weights were trained behind; None when nobody knows."""
        config = self.config.get("front_end")
        if not config:
            return None
        try:
            return parse_front_end(config)
        except ValidationError as error:
            raise CheckpointError(
                f"{self.path}: 'front_end' is none of this zoo ({error.errors()[0]['msg']}) - "
                "expected what a zoo run wrote - was it edited?"
            ) from None
