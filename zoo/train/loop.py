"""The one training loop, for pretraining and fine-tuning alike: it knows neither the model nor the task."""

import contextlib
import itertools
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import nn

from zoo.data.batch import Batch
from zoo.errors import DataError
from zoo.group import ALONE, Group
from zoo.precision import float32_products
from zoo.train.averaging import Averager
from zoo.train.checkpoint import Checkpoints
from zoo.train.incident import Incident
from zoo.train.interrupt import Interrupted, held_back_signals
from zoo.train.logbook import Book, Scalars
from zoo.train.plan import Plan, Progress, Report
from zoo.train.schedule import Schedule
from zoo.train.session import BadAudioSink, Session
from zoo.train.step import MakeInputs, Objective, Stepper
from zoo.train.watch import Watch


@runtime_checkable
class Batches(Protocol):
    """The training clips of this process: an endless row of epochs, each a function of its number alone."""

    seconds_waiting: float
    """How long the loop has stood still for want of a batch; it only grows."""

    def epoch(self, epoch: int, start_batch: int = 0) -> Iterator[Batch]:
        """The batches of one pass over the data, without the first `start_batch`."""


def fit(
    model: nn.Module,
    objective: Objective,
    make_inputs: MakeInputs,
    loader: Batches,
    optimiser: torch.optim.Optimizer,
    schedule: Schedule,
    plan: Plan,
    logbook: Book,
    checkpoints: Checkpoints,
    *,
    averager: Averager | None = None,
    evaluate: Callable[[int], Scalars] | None = None,
    bad_audio: BadAudioSink | None = None,
    on_incident: Callable[[Incident], Path | None] | None = None,
    on_progress: Callable[[Report], None] | None = None,
    resume: dict[str, Any] | None = None,
    group: Group = ALONE,
) -> Progress:
    """Trains a model that is on its device already, and returns how far it came.

    Args:
        optimiser: a fused one, which leaves steps out that are not finite without being waited for.
        averager: what is evaluated in place of the weights, as soon as it has something.
        evaluate: clips seen -> scalars by tag (`eval/*`); called at every `evaluate_every_clips` and at the end.
        on_incident: is told of a step that was not finite; says where it has written that down, if it has.
        resume: what `load_trainer` read. The caller has loaded the weights of the same checkpoint, and has opened the
            logbook at its `["progress"]["clips"]`. On a CPU the run then goes on bit for bit.
        group: the processes that train together; all call this alike, each with its own part of every batch. Logs and
            checkpoints are those that the main one is given.

    Raises:
        Interrupted: SIGINT or SIGTERM came to any process, and `last` was written after the step it came in, or the
            one after.
        ZooError: a loss or gradient that is not finite. DataError: no clips, or too many unusable ones.
    """
    device = next(model.parameters()).device
    watch = Watch(device, stop=plan.on_nonfinite == "stop")
    stepper = Stepper(model, objective, make_inputs, optimiser, plan, watch.judge, group)
    parts = (averager, bad_audio, on_incident, group, resume, loader.seconds_waiting)
    session = Session(model, stepper, watch, plan, logbook, checkpoints, *parts)
    if session.is_over():
        return session.progress
    model.train()
    with (
        float32_products(plan.precision, device),
        held_back_signals(patient=group.world > 1) as caught,
        contextlib.closing(_steps(loader, session.progress, plan.accumulate)) as steps,
    ):
        for epoch, number, batches in steps:
            # Nothing in a step waits for the device.
            before = session.progress.clips
            taken = stepper.take(batches, epoch, session.progress.step, schedule(before))
            session.count(taken, batches, epoch, number)

            # Logs come before the checkpoint, so that a resume finds just the lines before it.
            clips, is_done = session.progress.clips, session.is_over()
            must_evaluate = is_done or _crosses(plan.evaluate_every_clips, before, clips)
            must_log = is_done or _crosses(plan.log_every_clips, before, clips)
            if must_log:
                session.log(loader.seconds_waiting)
            if must_evaluate and evaluate is not None:
                session.evaluate(evaluate)
                if session.is_over() and not must_log:  # early: nothing of the last steps is lost
                    session.log(loader.seconds_waiting)
            signal, must_save = session.agree(caught)
            must_save |= is_done or (must_evaluate and evaluate is not None) or bool(signal)
            if must_save or _crosses(plan.checkpoint_every_clips, before, clips):
                session.save(with_average=must_evaluate)
            if on_progress is not None:
                on_progress(session.report())
            if session.is_over():
                break
            if signal:
                group.from_main(None)  # no process ends before the checkpoint is whole: torchrun would end the others
                raise Interrupted(signal, clips)
    return session.end()


def _steps(loader: Batches, progress: Progress, accumulate: int) -> Generator[tuple[int, int, list[Batch]], None, None]:
    """(epoch, number in the epoch, batches of the step), from where the run stands, without end."""
    start = progress.batch
    for epoch in itertools.count(progress.epoch):
        batches = loader.epoch(epoch, start * accumulate)
        has_clips = start > 0
        for number in itertools.count(start):
            parts = list(itertools.islice(batches, accumulate))
            if not parts:
                break
            has_clips |= any(map(len, parts))
            yield epoch, number, parts
        if not has_clips:
            raise DataError("training: found no clip in an epoch - expected at least one - check data.train")
        start = 0


def _crosses(period: int | None, before: int, now: int) -> bool:
    """Whether a multiple of the period lies in (before, now]."""
    return period is not None and now // period > before // period
