"""The learning rate over a run, as a pure function of clips seen: there is no state to save.

That leaves out schedules that look at results, like ReduceLROnPlateau in SSAST's released pretraining: how a run goes
on would depend on when it was evaluated, and on which clips.
"""

import math
from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from zoo.config import Config, CountOrShare, Probability
from zoo.errors import RecipeError
from zoo.train.length import Length

Schedule = Callable[[int], float]
"""Clips seen before a step -> the factor of the learning rate in that step."""

Known = float | int | None
"""A length that is known, or is not before the data is."""

Epochs = Annotated[int, Field(ge=0, le=1_000_000)]
Steps = Annotated[int, Field(ge=0, le=10**10)]


class _WarmupInClips(Config):
    """A linear warm-up."""

    warmup_clips: CountOrShare = 0.1
    """Clips seen while the rate rises; a share of the run when below 1."""

    def check(self, clips: Known = None, steps: Known = None, epochs: Known = None) -> None:
        """Raises RecipeError when the warm-up is longer than a run of this length, as far as that is known."""
        if clips is not None and self.warmup_clips >= 1 and self.warmup_clips > clips:
            raise RecipeError(
                f"schedule.warmup_clips: found {self.warmup_clips:g} for a run of {clips:g} clips - "
                "expected at most its length - shorten the warm-up, or give it as a share: schedule.warmup_clips=0.1"
            )

    def warmup_of(self, length: Length) -> float:
        """Clips of the warm-up in a run. Raises as `check`."""
        self.check(length.total_clips)
        return self.warmup_clips * length.total_clips if self.warmup_clips < 1 else self.warmup_clips


class CosineConfig(_WarmupInClips):
    """A linear warm-up, then half a cosine (Loshchilov and Hutter 2017, without restarts)."""

    kind: Literal["cosine"] = "cosine"
    final_share: Probability = 0.0
    """What is left of the rate at the end; 1 keeps it constant after the warm-up."""

    def build(self, length: Length) -> Schedule:
        """The schedule of a run of this length. Raises RecipeError when the warm-up is longer than the run."""
        warmup, total, final_share = self.warmup_of(length), length.total_clips, self.final_share

        def factor(clips: int) -> float:
            if clips < warmup:
                return _rising(clips, warmup)
            done = min((clips - warmup) / max(total - warmup, 1), 1.0)
            return final_share + (1 - final_share) * (1 + math.cos(math.pi * done)) / 2

        return factor


class ConstantConfig(_WarmupInClips):
    """A linear warm-up, then the same rate to the end."""

    kind: Literal["constant"] = "constant"

    def build(self, length: Length) -> Schedule:
        """The schedule of a run of this length. Raises RecipeError when the warm-up is longer than the run."""
        warmup = self.warmup_of(length)
        return lambda clips: _rising(clips, warmup) if clips < warmup else 1.0


class StepConfig(Config):
    """The schedule of the released AST, and of SSAST's fine-tuning: a staircase up, then a factor every few epochs.

    With `warmup_stair`, what happens in the warm-up is as released, its slip included: every stair sets the rate anew,
    so a milestone before the end of the warm-up holds only until the next stair, and is then forgotten.
    """

    kind: Literal["step"] = "step"
    gamma: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Multiplies the rate at every milestone."""
    start_epoch: Annotated[int, Field(ge=1, le=1_000_000)] = 10
    """Epochs that are done at the first milestone."""
    every_epochs: Annotated[int, Field(ge=1, le=1_000_000)] = 5
    """Epochs between two milestones."""
    warmup_steps: Steps = 1_000
    """Steps in which the rate rises; 0 for none."""
    warmup_stair: Annotated[int, Field(ge=1, le=10**10)] | None = 50
    """Steps for which a rate stays: the step s, from 0, has s / warmup_steps of the rate, s rounded down to a multiple
    of this, so that the first stair has a rate of 0. null: a plain linear warm-up, which begins above 0."""

    @model_validator(mode="after")
    def _whole_stairs(self) -> "StepConfig":
        if self.warmup_stair is not None and self.warmup_steps % self.warmup_stair:
            raise ValueError(
                f"warmup_stair: found {self.warmup_stair} with warmup_steps {self.warmup_steps} - expected a divisor "
                "of it - change one of the two, or set it to null"
            )
        return self

    def check(self, clips: Known = None, steps: Known = None, epochs: Known = None) -> None:
        """Raises RecipeError when the warm-up is longer than a run of this length, as far as that is known."""
        if steps is not None and self.warmup_steps > math.ceil(steps):
            raise RecipeError(
                f"schedule.warmup_steps: found {self.warmup_steps} for a run of {math.ceil(steps)} steps - "
                "expected at most its length - shorten the warm-up"
            )

    def build(self, length: Length) -> Schedule:
        """The schedule of a run of this length. Raises RecipeError when the warm-up is longer than the run."""
        self.check(steps=length.steps)

        def milestones(clips: int) -> int:
            since = clips // length.clips_per_epoch - self.start_epoch
            return 0 if since < 0 else since // self.every_epochs + 1

        def factor(clips: int) -> float:
            step, lost, share = clips // length.clips_per_step, 0, 1.0
            if self.warmup_steps and self.warmup_stair is None:
                share = _rising(step, self.warmup_steps) if step < self.warmup_steps else 1.0
            elif self.warmup_steps and self.warmup_stair is not None:
                set_at = min(step - step % self.warmup_stair, self.warmup_steps)
                lost = milestones(set_at * length.clips_per_step)
                share = set_at / self.warmup_steps
            return share * self.gamma ** (milestones(clips) - lost)

        return factor


class PasstConfig(Config):
    """The schedule of the released PaSST, one rate an epoch: exponentially up, flat, linearly down, and flat again.

    In epoch e, from 0, the factor is exp(-5 (1 - max(e, 0.5) / warmup_epochs)^2) below `warmup_epochs`, times the ramp
    down: 1 up to `ramp_down_start`, then linear over `ramp_down_epochs` to `final_share`. A run may end before it:
    PaSST on ESC-50 runs 10 epochs with these very numbers.
    """

    kind: Literal["passt"] = "passt"
    warmup_epochs: Epochs = 5
    """Epochs in which the rate rises; 0 for none."""
    ramp_down_start: Epochs = 50
    """The last epoch, from 0, of the full rate."""
    ramp_down_epochs: Epochs = 50
    """Epochs from there to the final rate."""
    final_share: Probability = 0.01
    """What is left of the rate from then on."""

    def check(self, clips: Known = None, steps: Known = None, epochs: Known = None) -> None:
        """Raises RecipeError when the warm-up is longer than a run of this length, as far as that is known."""
        if epochs is not None and self.warmup_epochs > math.ceil(epochs):
            raise RecipeError(
                f"schedule.warmup_epochs: found {self.warmup_epochs} for a run of {math.ceil(epochs)} epochs - "
                "expected at most its length - shorten the warm-up"
            )

    def build(self, length: Length) -> Schedule:
        """The schedule of a run of this length. Raises RecipeError when the warm-up is longer than the run."""
        self.check(epochs=length.epochs)
        start, down, final_share = self.ramp_down_start, self.ramp_down_epochs, self.final_share

        def factor(clips: int) -> float:
            epoch, rate = clips // length.clips_per_epoch, 1.0
            if epoch < self.warmup_epochs:
                rate = math.exp(-5 * (1 - max(epoch, 0.5) / self.warmup_epochs) ** 2)
            if epoch <= start:
                return rate
            left = (start + down - epoch) / down if epoch < start + down else 0.0
            return rate * (final_share + (1 - final_share) * left)

        return factor


def _rising(done: float | int, warmup: float | int) -> float:
    """What is about to be seen counts, so that the first step is not wasted on a rate of 0."""
    return (done + 1) / (warmup + 1)


def _with_kind(value: Any) -> Any:
    return {"kind": "cosine", **value} if isinstance(value, dict) and "kind" not in value else value


AnyScheduleConfig = CosineConfig | ConstantConfig | StepConfig | PasstConfig
"""The config of any kind."""

ScheduleConfig = Annotated[Annotated[AnyScheduleConfig, Field(discriminator="kind")], BeforeValidator(_with_kind)]
"""The section of a recipe: any kind, told apart by `kind`; without one it is `cosine`."""
