"""What a training run is told, how far it is, and what it says on the way."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Plan:
    """How long a run is, what happens when, and how it computes. A period of None means: only at the end.

    Length is counted in clips: a run ends with the first step that reaches `total_clips`. With full batches that is
    step ceil(total_clips / batch_size); without `clips_per_step`, a short batch counts for what it holds.
    """

    total_clips: int
    seed: int
    clips_per_step: int | None = None
    """Clips of a step, of all processes together; None: as many as come, which only one process can count."""
    steps_per_epoch: int | None = None
    """None: unknown, and no average by epochs is kept."""
    accumulate: int = 1
    """Batches of the loader that one step is made of, one backward pass each."""
    log_every_clips: int | None = None
    evaluate_every_clips: int | None = None
    checkpoint_every_clips: int | None = None
    checkpoint_every_seconds: float | None = None
    precision: Literal["fp32", "tf32", "bf16", "fp16"] = "fp32"
    grad_clip: float | None = None
    """Largest norm of the gradient; None leaves it as it is."""
    on_nonfinite: Literal["stop", "skip"] = "stop"
    """What becomes of a run whose loss or gradient is not finite; the step is not taken in either case."""
    monitor: str | None = None
    """The tag that `evaluate` gives by which `best` is kept; None keeps no `best`."""
    monitor_mode: Literal["max", "min"] = "max"
    patience: int | None = None
    """The run ends after so many evaluations in a row without a better one; None: never before its length."""
    flops_per_clip: int | None = None
    """Operations of training on one clip, backward pass included; None logs no rate of them."""
    peak_flops: float | None = None
    """Operations a second that one device reaches on matrix products; None logs no utilisation."""


@dataclass(frozen=True)
class Progress:
    """How far a run is: with the weights, the optimiser and the open window of the log, all of its state."""

    step: int = 0
    """Steps that are done."""
    epoch: int = 0
    """The pass over the data in which the last step was, from 0."""
    batch: int = 0
    """Steps of this epoch that are done."""
    clips: int = 0
    clips_read: int = 0
    """Clips, and the partners that were mixed into them."""
    skipped: int = 0
    """Steps that were not taken because the loss or the gradient was not finite."""
    seconds: float = 0.0
    """Of training, evaluating and saving, over all sessions."""
    training_seconds: float = 0.0
    """Of training alone: what clips per second are measured by."""
    best: float | None = None
    """The monitored value of the checkpoint `best`."""
    since_best: int = 0
    """Evaluations since then."""
    stopped_early: bool = False
    """Whether the run has ended because nothing got better."""


@dataclass(frozen=True)
class Report:
    """What the caller hears after every step, without waiting for the device."""

    clips: int
    total_clips: int
    step: int
    epoch: int
    seconds: float
    clips_per_second: float
    loss: float | None
    """The mean at the last log; None before the first."""
