"""A model over a whole data set: its scores, its features, or its loss."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from zoo.data.batch import BadAudio, Batch, Inputs
from zoo.errors import DataError

MakeInputs = Callable[[Batch, int, bool], Inputs]
Objective = Callable[[nn.Module, Inputs], tuple[Tensor, dict[str, Tensor]]]
Precision = Literal["fp32", "bf16"]


@runtime_checkable
class Batches(Protocol):
    """The clips to evaluate, each once."""

    def epoch(self, epoch: int, start_batch: int = 0) -> Iterator[Batch]:
        """All batches. Some may hold fewer clips than others or none, where clips could not be used."""


@dataclass(frozen=True)
class Scores:
    """What a model says of every usable clip, in the order of the data; on the CPU, in float32."""

    names: tuple[str, ...]
    scores: Float[Tensor, "n cls"]
    """Logits."""
    targets: Float[Tensor, "n cls"] | None
    bad: tuple[BadAudio, ...]
    """Clips that could not be used, which have no row here, and odd ones, which have."""


@dataclass(frozen=True)
class Features:
    """A model's vector for every usable clip, in the order of the data; on the CPU, in float32."""

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
) -> Scores:
    """The logits of every clip. Raises DataError when no clip can be used."""
    return Scores(*_collect(model, model, loader, make_inputs, device, precision))


def extract_features(
    model: nn.Module,
    loader: Batches,
    make_inputs: MakeInputs,
    device: torch.device | str,
    precision: Precision = "fp32",
) -> Features:
    """`model.features` of every clip. Raises DataError when no clip can be used."""
    features: Callable[..., Tensor] = model.features  # type: ignore[assignment]  # nn.Module types attributes as modules
    return Features(*_collect(model, features, loader, make_inputs, device, precision))


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
    """The loss and the scalars of an objective: means over batches, each weighted by its clips.

    A masked-patch loss is measured on the same masks every time, since evaluation always uses the same keys.
    Raises DataError when no clip can be used.
    """
    sums: dict[str, Tensor] = {}
    bad: list[BadAudio] = []
    count = 0
    with _evaluating(model, device, precision):
        for batch in loader.epoch(0):
            bad += batch.bad
            if len(batch):
                loss, scalars = objective(model, make_inputs(batch.to(device), 0, False))
                for tag, value in {"loss/total": loss, **scalars}.items():
                    sums[tag] = sums.get(tag, torch.zeros((), device=value.device)) + value.float() * len(batch)
                count += len(batch)
    if not count:
        raise _no_clip(bad)
    return Means({tag: float(total.item()) / count for tag, total in sums.items()}, count, tuple(bad))


def _collect(
    model: nn.Module,
    function: Callable[..., Float[Tensor, "batch out"]],
    loader: Batches,
    make_inputs: MakeInputs,
    device: torch.device | str,
    precision: Precision,
) -> tuple[tuple[str, ...], Tensor, Tensor | None, tuple[BadAudio, ...]]:
    """(names, outputs (n, ·), targets (n, C) or None, bad) of a function of the inputs over all batches."""
    names: list[str] = []
    outputs: list[Tensor] = []
    targets: list[Tensor] = []
    bad: list[BadAudio] = []
    with _evaluating(model, device, precision):
        for batch in loader.epoch(0):
            bad += batch.bad
            if len(batch):
                inputs = make_inputs(batch.to(device), 0, False)
                outputs.append(function(inputs.log_mel, inputs.num_frames, inputs.keys).float())
                names += batch.names
                if batch.target is not None:
                    targets.append(batch.target)
    if not names:
        raise _no_clip(bad)
    # Read back once, at the end: the device never waits for the host.
    return tuple(names), torch.cat(outputs).cpu(), torch.cat(targets).float().cpu() if targets else None, tuple(bad)


@contextlib.contextmanager
def _evaluating(model: nn.Module, device: torch.device | str, precision: Precision) -> Iterator[None]:
    """Without gradients, in eval mode, and afterwards in the mode from before."""
    was_training = model.training
    model.eval()
    autocast = torch.autocast(torch.device(device).type, torch.bfloat16, enabled=precision == "bf16")
    try:
        with torch.no_grad(), autocast:
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
