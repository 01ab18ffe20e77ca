"""A model over a whole data set: its scores, its features, or its loss.

A clip may come in several windows, in whatever order: their outputs are averaged, and each clip counts once. Several
processes share the batches, whole, and all of them get, bit for bit, what one process gets.
"""

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from zoo.data.batch import BadAudio, Batch, Inputs
from zoo.data.labels import Task
from zoo.errors import DataError
from zoo.evaluate.averaging import Average, average_windows, mean_output, mean_probability
from zoo.evaluate.bad_clips import judge_clips
from zoo.evaluate.rows import Rows
from zoo.evaluate.shares import Batches, Seen, gather, own_batches
from zoo.group import ALONE, Group
from zoo.precision import Precision, arithmetic

MakeInputs = Callable[[Batch, int, bool], Inputs]
Objective = Callable[[nn.Module, Inputs], tuple[Tensor, Tensor, dict[str, Tensor]]]
"""(model, inputs) -> (loss, count of what it is a mean over, scalars by tag), as in `zoo.objectives.objective`."""


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
    clips: tuple[int, ...] = ()
    """The place of every row in the manifest, where the loader tells it."""


@dataclass(frozen=True)
class Features:
    """A model's vector for every usable clip, in the order of the manifest; on the CPU, in float32."""

    names: tuple[str, ...]
    features: Float[Tensor, "n embed"]
    targets: Float[Tensor, "n cls"] | None
    bad: tuple[BadAudio, ...]
    clips: tuple[int, ...] = ()
    """The place of every row in the manifest, where the loader tells it."""


def predict_all(
    model: nn.Module,
    loader: Batches,
    make_inputs: MakeInputs,
    device: torch.device | str,
    precision: Precision = "fp32",
    task: Task = "single-label",
    group: Group = ALONE,
) -> Scores:
    """The logits of every clip; of several windows, those of the mean probability, which depends on the task.

    Raises DataError when no clip can be used.
    """
    return Scores(*_collect(model, model, loader, make_inputs, device, precision, mean_probability(task), group))


def extract_features(
    model: nn.Module,
    loader: Batches,
    make_inputs: MakeInputs,
    device: torch.device | str,
    precision: Precision = "fp32",
    group: Group = ALONE,
    function: Callable[..., Tensor] | None = None,
) -> Features:
    """`model.features` of every clip; of several windows, their mean. Raises DataError when no clip can be used.

    Args: `function` of (log_mel, num_frames, keys) is asked in the place of `model.features`.
    """
    asked: Callable[..., Tensor] = function or model.features  # type: ignore[assignment]  # typed as a module
    return Features(*_collect(model, asked, loader, make_inputs, device, precision, mean_output, group))


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
    group: Group = ALONE,
) -> Means:
    """The loss and the scalars of an objective: means over all that it counts (windows of clips, or their masked
    patches), however they lie in batches.

    A masked-patch loss is measured on the same masks every time, since evaluation always uses the same keys.
    Raises DataError when no clip can be used.
    """
    tags: tuple[str, ...] = ()
    sums = Rows(torch.float64)  # of every batch; added up in their order, however many processes there are
    seen: list[Seen] = []
    with evaluating(model, device, precision):
        for number, batch in own_batches(loader, group):
            seen.append(Seen.of(number, batch))
            if len(batch):
                loss, count, scalars = objective(model, make_inputs(batch.to(device), 0, False))
                found = {"loss/total": loss, **scalars}
                tags = tuple(found)
                values = torch.stack([value.to(count.device).double() for value in found.values()])
                sums.add(torch.cat((values * count, count.double()[None]))[None])
    tags = next((some for some in group.gather(tags) if some), ())
    seen, (rows,) = gather(group, seen, (sums.on_cpu(),), lambda one: int(bool(one.names)))
    windows = Counter(name for one in seen for name in one.names)
    bad = [bad for one in seen for bad in one.bad]
    if rows is None:
        raise _no_clip(bad)
    *totals, count_of_all = np.cumsum(rows.numpy(), axis=0)[-1].tolist()  # one after the other, unlike `sum`
    means = {tag: total / max(count_of_all, 1.0) for tag, total in zip(tags, totals, strict=True)}
    return Means(means, len(windows), judge_clips(bad, windows))


def _collect(
    model: nn.Module,
    function: Callable[..., Float[Tensor, "batch out"]],
    loader: Batches,
    make_inputs: MakeInputs,
    device: torch.device | str,
    precision: Precision,
    average: Average,
    group: Group,
) -> tuple[tuple[str, ...], Tensor, Tensor | None, tuple[BadAudio, ...], tuple[int, ...]]:
    """(names, outputs (n, ·), targets (n, C) or None, bad, places in the manifest) of a function of the inputs, over
    all batches."""
    outputs, targets = Rows(), Rows()
    seen: list[Seen] = []
    with evaluating(model, device, precision):
        for number, batch in own_batches(loader, group):
            seen.append(Seen.of(number, batch))
            if len(batch):
                inputs = make_inputs(batch.to(device), 0, False)
                outputs.add(function(inputs.log_mel, inputs.num_frames, inputs.keys))
                if batch.target is not None:
                    targets.add(batch.target)
    seen, (output, target) = gather(group, seen, (outputs.on_cpu(), targets.on_cpu()), lambda one: len(one.names))
    names: list[str] = []
    clips: list[int] = []
    for one in seen:
        clips += one.clips or range(len(names), len(names) + len(one.names))
        names += one.names
    bad = [bad for one in seen for bad in one.bad]
    if output is None:
        raise _no_clip(bad)
    merged, firsts = average_windows(output, clips, average)
    target = None if target is None else target[firsts]
    first_names, places = tuple(names[row] for row in firsts), tuple(clips[row] for row in firsts)
    return first_names, merged, target, judge_clips(bad, Counter(names)), places


@contextlib.contextmanager
def evaluating(model: nn.Module, device: torch.device | str, precision: Precision) -> Iterator[None]:
    """Without gradients, in eval mode, with positions for clips of any length; afterwards as before.

    A model that was compiled for training runs as it is written: batches of ever other widths would be compiled anew,
    for longer than most evaluations take.
    """
    was_training = model.training
    model.eval()
    any_length = getattr(model, "any_length", contextlib.nullcontext)
    try:
        with (
            torch.no_grad(),
            arithmetic(precision, torch.device(device)),
            any_length(),
            torch.compiler.set_stance("force_eager"),
        ):
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
