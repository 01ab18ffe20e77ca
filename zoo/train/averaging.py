"""Which average of the weights a run keeps beside the weights that it trains: a key of the recipe.

`AverageConfig.build(model)` gives an `Averager`, which the loop tells of every step.
"""

import math
from contextlib import AbstractContextManager, nullcontext
from typing import Annotated, Any, Literal, Protocol, runtime_checkable

from pydantic import BeforeValidator, Field, model_validator
from torch import nn

from zoo.config import Config
from zoo.errors import RecipeError
from zoo.train.weight_average import Ema, SnapshotMean

Epoch = Annotated[int, Field(ge=1, le=1_000_000)]


@runtime_checkable
class Averager(Protocol):
    """An average of a model's weights, as the training loop uses it."""

    @property
    def has_begun(self) -> bool:
        """Whether there is an average yet."""

    def after_step(self, step: int, epoch: int, is_last_of_epoch: bool) -> None:
        """To be called after every step of the optimiser, also one that changed nothing.

        Args:
            step: from 1, counted over the whole run. epoch: from 0.
            is_last_of_epoch: whether the epoch is complete with this step.
        """

    def applied(self) -> AbstractContextManager[None]:
        """Within it the model has the averaged weights, in place; afterwards the trained ones again, bit for bit.

        Only where `has_begun`; otherwise RuntimeError.
        """

    def state_dict(self) -> dict[str, Any]:
        """Plain tensors and numbers, from which a resumed run gets the same average bit for bit."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Raises CheckpointError for the state of another kind of average, or of another model."""


class NoAverageConfig(Config):
    """No average: the weights are those of the last step."""

    kind: Literal["none"] = "none"

    def check(self, epochs: float | int | None) -> None:
        """Fits every run."""

    def build(self, model: nn.Module) -> None:
        """None."""


class EmaConfig(Config):
    """An exponential moving average: old weights fade by `decay` with every update.

    It begins with the weights after the first update; those before training take no part. In float32, as the weights.
    """

    kind: Literal["ema"] = "ema"
    decay: Annotated[float, Field(ge=0, lt=1)] = 0.9999
    """What is kept of the average at an update. Half of the average is younger than .69 / (1 - decay) updates."""
    every_steps: Annotated[int, Field(ge=1, le=1_000_000_000)] = 1
    """Steps between two updates."""
    warmup: bool = True
    """After t updates keep at most (1 + t) / (10 + t), so that short runs are not held back by their beginning."""

    def check(self, epochs: float | int | None) -> None:
        """Fits every run."""

    def build(self, model: nn.Module) -> Ema:
        """The average of a model that is on its device already."""
        return Ema(model, self.decay, self.every_steps, self.warmup)


class EpochsConfig(Config):
    """The arithmetic mean of the weights at the end of some epochs: weight averaging in the released AST and SSAST."""

    kind: Literal["epochs"] = "epochs"
    first: Epoch
    """The first epoch that takes part, counted from 1 as in the released recipes."""
    last: Epoch
    """The last one; it takes part too."""

    @model_validator(mode="after")
    def _in_order(self) -> "EpochsConfig":
        if self.last < self.first:
            raise ValueError(f"last: found {self.last} with first {self.first} - expected it or more - raise it")
        return self

    def check(self, epochs: float | int | None) -> None:
        """Raises RecipeError when a run of so many epochs, where that is known, does not have them all."""
        if epochs is not None and self.last > epochs:
            raise RecipeError(
                f"train.average.last: found {self.last} for a run of {epochs:g} epochs - expected at most that - "
                "lower it"
            )

    def build(self, model: nn.Module) -> SnapshotMean:
        """The average of a model that is on its device already."""
        return SnapshotMean(model, lambda epoch: self.first - 1 <= epoch <= self.last - 1)


class SwaConfig(Config):
    """The arithmetic mean of the weights at the beginning of every few epochs: SWA in the released PaSST.

    It stands for the weights alone; the learning rate follows its schedule, as in PaSST. The end of the last epoch
    begins no other, and takes no part: 50 and 5 give 17 snapshots in 130 epochs, before the epochs 49, 54, …, 129.
    """

    kind: Literal["swa"] = "swa"
    start: Epoch = 50
    """The epoch, counted from 1, whose beginning is the first snapshot; of epoch 1 these are the initial weights."""
    every: Epoch = 5
    """Epochs between two snapshots."""

    def check(self, epochs: float | int | None) -> None:
        """Raises RecipeError when a run of so many epochs, where that is known, ends before the first snapshot."""
        if epochs is not None and self.start > math.ceil(epochs):
            raise RecipeError(
                f"train.average.start: found {self.start} for a run of {epochs:g} epochs - expected at most that - "
                "lower it"
            )

    def build(self, model: nn.Module) -> SnapshotMean:
        """The average of a model that is on its device already and has its initial weights."""
        first = self.start - 1

        def is_before_snapshot(epoch: int) -> bool:
            return epoch + 1 >= first and (epoch + 1 - first) % self.every == 0

        return SnapshotMean(model, is_before_snapshot, of_next_epoch=True)


def averaged(averager: Averager | None) -> AbstractContextManager[None]:
    """Within, the model has its averaged weights, where there is an average by now; else nothing happens."""
    return averager.applied() if averager is not None and averager.has_begun else nullcontext()


def _as_kind(value: Any) -> Any:
    return {"kind": value} if isinstance(value, str) else value


AnyAverageConfig = NoAverageConfig | EmaConfig | EpochsConfig | SwaConfig
"""The config of any kind."""

AverageConfig = Annotated[
    Annotated[AnyAverageConfig, Field(discriminator="kind")],
    BeforeValidator(_as_kind, json_schema_input_type=Literal["none", "ema", "swa"] | AnyAverageConfig),
]
"""A key of a recipe: a kind alone, or its keys."""
