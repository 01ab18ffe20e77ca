"""A model over a whole data set: its scores, its features, or its loss.

A clip may come in several windows, in whatever order: their outputs are averaged, and each clip counts once.
"""

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from zoo.data.batch import BadAudio, Batch, Inputs
from zoo.data.labels import Task
from zoo.errors import DataError
from zoo.evaluate.averaging import Average, average_windows, mean_output, mean_probability
from zoo.evaluate.bad_clips import judge_clips
from zoo.evaluate.rows import Rows
from zoo.precision import Precision, arithmetic

MakeInputs = Callable[[Batch, int, bool], Inputs]
Objective = Callable[[nn.Module, Inputs], tuple[Tensor, dict[str, Tensor]]]


@runtime_checkable
class Batches(Protocol):
    """The clips to evaluate, each once, or each of their windows once. `Batch.clips` says which is whose."""

    def epoch(self, epoch: int, start_batch: int = 0) -> Iterator[Batch]:
        """All batches. Some may hold fewer clips than others or none, where clips could not be used."""


@dataclass(frozen=True)
class Scores:
    """What a model says of every usable clip, in the order of the manifest; on the CPU, in float32."""

    names: tuple[str, ...]
    scores: Float[Tensor, "n cls"]
    """Logits."""
    targets: Float[Tensor, "n cls"] | None
    bad: tuple[BadAudio, ...]
    """Clips that could not be used, which have no row here, and odd ones, which have. A clip of which a window could
    not be used is odd."""


@dataclass(frozen=True)
class Features:
    """A model's vector for every usable clip, in the order of the manifest; on the CPU, in float32."""

    names: tuple[str, ...]
    features: Float[Tensor, "n embed"]
    targets: Float[Tensor, "n cls"] | None
    bad: tuple[BadAudio, ...]


def predict_all(
    model: nn.Module,
    loader: Batches,
    make_inputs: MakeInputs,
    device: torch.device | str,
    precision: Precision = "fp32",
    task: Task = "single-label",
) -> Scores:
    """The logits of every clip; of several windows, those of the mean probability, which depends on the task.

    Raises DataError when no clip can be used.
    """
    return Scores(*_collect(model, model, loader, make_inputs, device, precision, mean_probability(task)))


def extract_features(
    model: nn.Module,
    loader: Batches,
    make_inputs: MakeInputs,
    device: torch.device | str,
    precision: Precision = "fp32",
) -> Features:
    """`model.features` of every clip; of several windows, their mean. Raises DataError when no clip can be used."""
    features: Callable[..., Tensor] = model.features  # type: ignore[assignment]  # nn.Module types attributes as modules
    return Features(*_collect(model, features, loader, make_inputs, device, precision, mean_output))


@dataclass(frozen=True)
class Means:
    """An objective's loss (`loss/total`) and scalars, over all usable clips."""

    scalars: dict[str, float]
    num_clips: int
    bad: tuple[BadAudio, ...]


def evaluate_objective(
    model: nn.Module,
    objective: Objective,
    loader: Batches,
    make_inputs: MakeInputs,
    device: torch.device | str,
    precision: Precision = "fp32",
) -> Means:
    """The loss and the scalars of an objective: means over batches, each weighted by its windows.

    A masked-patch loss is measured on the same masks every time, since evaluation always uses the same keys.
    Raises DataError when no clip can be used.
    """
    sums: dict[str, Tensor] = {}
    bad: list[BadAudio] = []
    count = 0
    windows: Counter[str] = Counter()
    with _evaluating(model, device, precision):
        for batch in loader.epoch(0):
            bad += batch.bad
            if len(batch):
                loss, scalars = objective(model, make_inputs(batch.to(device), 0, False))
                for tag, value in {"loss/total": loss, **scalars}.items():
                    sums[tag] = sums.get(tag, torch.zeros((), device=value.device)) + value.float() * len(batch)
                count += len(batch)
                windows.update(batch.names)
    if not count:
        raise _no_clip(bad)
    means = {tag: float(total.item()) / count for tag, total in sums.items()}
    return Means(means, len(windows), judge_clips(bad, windows))


def _collect(
    model: nn.Module,
    function: Callable[..., Float[Tensor, "batch out"]],
    loader: Batches,
    make_inputs: MakeInputs,
    device: torch.device | str,
    precision: Precision,
    average: Average,
) -> tuple[tuple[str, ...], Tensor, Tensor | None, tuple[BadAudio, ...]]:
    """(names, outputs (n, ·), targets (n, C) or None, bad) of a function of the inputs over all batches."""
    names: list[str] = []
    clips: list[int] = []
    outputs, targets = Rows(), Rows()
    bad: list[BadAudio] = []
    with _evaluating(model, device, precision):
        for batch in loader.epoch(0):
            bad += batch.bad
            if len(batch):
                inputs = make_inputs(batch.to(device), 0, False)
                outputs.add(function(inputs.log_mel, inputs.num_frames, inputs.keys))
                clips += batch.clips or range(len(names), len(names) + len(batch))
                names += batch.names
                if batch.target is not None:
                    targets.add(batch.target)
    if not names:
        raise _no_clip(bad)
    merged, firsts = average_windows(outputs.on_cpu(), clips, average)
    target = targets.on_cpu()[firsts] if len(targets) else None
    return tuple(names[row] for row in firsts), merged, target, judge_clips(bad, Counter(names))


@contextlib.contextmanager
def _evaluating(model: nn.Module, device: torch.device | str, precision: Precision) -> Iterator[None]:
    """Without gradients, in eval mode, with positions for clips of any length; afterwards as before.

    A model that was compiled for training runs as it is written: batches of ever other widths would be compiled anew,
    for longer than most evaluations take.
    """
    was_training = model.training
    model.eval()
    any_length = getattr(model, "any_length", contextlib.nullcontext)
    uncompiled = torch.compiler.set_stance("force_eager")
    try:
        with torch.no_grad(), arithmetic(precision, torch.device(device)), any_length(), uncompiled:
            yield
    finally:
        model.train(was_training)


def _no_clip(bad: list[BadAudio] | tuple[BadAudio, ...]) -> DataError:
    unusable = [clip for clip in bad if not clip.used]
    example = f", such as {unusable[0].path}: {unusable[0].reason}" if unusable else ""
    return DataError(
        f"evaluation: found no usable clip ({len(unusable)} unusable{example}) - expected at least one - "
        "check the evaluation data"
    )
