"""A training step whose loss or gradient was not finite: all that is needed to run it again."""

from dataclasses import dataclass
from pathlib import Path

from zoo.data.batch import Batch
from zoo.errors import ZooError

_NAMES_SHOWN = 5


@dataclass(frozen=True)
class Incident:
    """One such step, as one process saw it."""

    step: int
    """From 1 on: the number that the step would have had."""
    epoch: int
    clips: int
    """Seen by the run before the step."""
    batches: tuple[Batch, ...]
    """What this process had of the step, as it came from the loader: one batch, or as many as it accumulates."""
    loss: float
    """Mean over this process's batches."""
    grad_norm: float
    """Before clipping; with several processes, of the gradient that all have summed."""
    precision: str
    """In which the step was computed: fp32, tf32, bf16 or fp16; never `auto`."""
    exact: bool = True
    """Whether the weights are still those before the step. False where a GPU had gone on by some steps before the
    host heard of it."""
    rank: int = 0
    """Of this process."""
    world: int = 1
    """Processes in all."""

    @property
    def names(self) -> tuple[str, ...]:
        """Of the step's clips."""
        return tuple(name for batch in self.batches for name in batch.names)

    @property
    def in_words(self) -> str:
        """`not finite at step 6 (clips a.wav, b.wav)`: the step and the first few of its clips."""
        names = self.names
        shown = ", ".join(names[:_NAMES_SHOWN])
        shown += f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
        return f"not finite at step {self.step} (clips {shown})"


def stopped_by(incident: Incident, box: Path | None) -> ZooError:
    """The error that ends a run under `train.on_nonfinite: stop`, in one line.

    Args: `box` is the black box that was written; None when none could be.
    """
    look = "look at these clips" if box is None else f"zoo replay {box} tells which clip and where"
    return ZooError(
        f"training: found a loss or gradient that is {incident.in_words} - expected finite numbers - {look}; leave the "
        "clip out, lower optim.lr or set optim.grad_clip in a new run (init.from=RUN takes the weights along), or go "
        "on without such steps: --resume train.on_nonfinite=skip"
    )
