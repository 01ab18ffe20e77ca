"""The one training loop, for pretraining and fine-tuning alike: it knows neither the model nor the task."""

import contextlib
import itertools
import math
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import asdict, replace
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from zoo.data.batch import BadAudio, Batch, Inputs
from zoo.draws import combine
from zoo.errors import DataError, RecipeError
from zoo.train.checkpoint import Checkpoints
from zoo.train.interrupt import Interrupted, held_back_signals
from zoo.train.logbook import Book, Scalars
from zoo.train.pace import Pace
from zoo.train.plan import Plan, Progress, Report
from zoo.train.schedule import Schedule
from zoo.train.window import Window

Objective = Callable[[nn.Module, Inputs], tuple[Tensor, Tensor, dict[str, Tensor]]]
MakeInputs = Callable[[Batch, int, bool], Inputs]
"""(batch, epoch, training) -> what the objective gets."""


@runtime_checkable
class Batches(Protocol):
    """The training clips: an endless row of epochs, each a function of its number alone."""

    seconds_waiting: float
    """How long the loop has stood still for want of a batch; it only grows."""

    def epoch(self, epoch: int, start_batch: int = 0) -> Iterator[Batch]:
        """The batches of one pass over the data, without the first `start_batch`."""


@runtime_checkable
class BadAudioSink(Protocol):
    """Where clips go that could not be used, or are odd."""

    def add(self, bads: Iterable[BadAudio]) -> object:
        """Notes them."""

    def check(self, num_seen: int) -> None:
        """Raises DataError when too many are unusable, `num_seen` clips having come out of the loader."""


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
    evaluate: Callable[[int], Scalars] | None = None,
    bad_audio: BadAudioSink | None = None,
    on_progress: Callable[[Report], None] | None = None,
    resume: dict[str, Any] | None = None,
) -> Progress:
    """Trains a model that is on its device already, and returns how far it came.

    Args:
        evaluate: clips seen -> scalars by tag (`eval/*`); called at every `evaluate_every_clips` and at the end.
        resume: what `load_trainer` read. The caller has loaded the weights of the same checkpoint, and has opened the
            logbook at its `["progress"]["clips"]`. On a CPU the run then goes on bit for bit.

    Raises:
        Interrupted: SIGINT or SIGTERM came, and `last` was written after the step it came in.
        ZooError: a loss or gradient that is not finite. DataError: no clips, or too many unusable ones.
    """
    device = next(model.parameters()).device
    for group in optimiser.param_groups:
        group.setdefault("initial_lr", group["lr"])  # torch's own name for the rate that a schedule scales
    progress, window, unusable = Progress(), Window(device), set[str]()
    if resume is not None:
        optimiser.load_state_dict(resume["optimiser"])
        window.load_state_dict(resume["window"])
        # A checkpoint from before partners were counted has read its clips alone.
        progress = Progress(**{"clips_read": resume["progress"]["clips"], **resume["progress"]})
        unusable = set(resume["unusable"])
    if progress.clips >= plan.total_clips:
        return progress
    pace, last_loss = Pace(progress.seconds, progress.training_seconds, progress.clips, loader.seconds_waiting), None
    model.train()

    with held_back_signals() as caught, contextlib.closing(_batches(loader, progress)) as batches:
        for epoch, number, batch in batches:
            # --- the step: nothing here waits for the device ---------------------------------------------------------
            for group in optimiser.param_groups:
                group["lr"] = group["initial_lr"] * schedule(progress.clips)
            torch.manual_seed(combine(plan.seed, progress.step))  # so that dropout repeats after a resume
            with torch.autocast(device.type, torch.bfloat16, enabled=plan.precision == "bf16"):
                loss, _, scalars = objective(model, make_inputs(batch.to(device), epoch, True))
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            grad_norm = get_total_norm([p.grad for p in model.parameters() if p.grad is not None])
            if plan.grad_clip is not None:
                clip_grads_with_norm_(model.parameters(), plan.grad_clip, grad_norm)
            optimiser.step()

            # --- count it --------------------------------------------------------------------------------------------
            before, clips = progress.clips, progress.clips + len(batch)
            progress = replace(
                progress, step=progress.step + 1, epoch=epoch, batch=number + 1, clips=clips, seconds=pace.seconds()
            )
            clips_read = progress.clips_read + batch.num_read
            progress = replace(progress, training_seconds=pace.training_seconds(), clips_read=clips_read)
            scalars = {"loss/total": loss, **scalars, "optim/grad_norm": grad_norm}
            window.add(progress.step, batch.names, loss + grad_norm, scalars)
            unusable.update(bad.name for bad in batch.bad if not bad.used)
            if bad_audio is not None:
                bad_audio.add(batch.bad)
                bad_audio.check(progress.clips_read)

            # --- what is due: logs before the checkpoint, so that a resume finds just the lines before it -----------
            done = clips >= plan.total_clips
            if done or _crosses(plan.log_every_clips, before, clips):
                means: dict[str, float | int] = {**window.read()}  # the one place that waits for the device
                last_loss = means["loss/total"]
                means |= {"optim/lr": optimiser.param_groups[0]["lr"], "data/bad_clips": len(unusable)}
                means |= pace.read(clips, loader.seconds_waiting)
                if device.type == "cuda":
                    means["perf/gpu_memory_gib"] = torch.cuda.max_memory_allocated(device) / 2**30
                _log(logbook, means, progress)

            must_save = done or _crosses(plan.checkpoint_every_clips, before, clips)
            must_save |= pace.unsaved_seconds() >= (plan.checkpoint_every_seconds or math.inf)
            if evaluate is not None and (done or _crosses(plan.evaluate_every_clips, before, clips)):
                window.check()  # weights that are not finite are neither measured nor, below, saved
                with pace.paused():
                    results = evaluate(clips)
                    model.train()  # whatever the evaluation left it in
                    progress = replace(progress, seconds=pace.seconds())
                    _log(logbook, results, progress)
                    value = _monitored(results, plan)
                    if value is not None and _is_better(value, progress.best, plan.monitor_mode):
                        progress = replace(progress, best=value)
                        checkpoints.save("best", model, progress)
                must_save = True

            stop = caught.number
            if must_save or stop is not None:
                window.check()
                with pace.paused():
                    trainer: dict[str, Any] = {"optimiser": optimiser.state_dict(), "window": window.state_dict()}
                    trainer |= {"progress": asdict(progress), "unusable": sorted(unusable)}
                    checkpoints.save("last", model, progress, trainer)
                pace.saved()

            if on_progress is not None:
                rate = pace.rate(clips)
                on_progress(Report(clips, plan.total_clips, progress.step, epoch, progress.seconds, rate, last_loss))
            if done:
                break
            if stop is not None:
                raise Interrupted(stop, clips)
    return replace(progress, seconds=pace.seconds())


def _batches(loader: Batches, progress: Progress) -> Generator[tuple[int, int, Batch], None, None]:
    """(epoch, number in the epoch, batch), from where the run stands, without end."""
    start = progress.batch
    for epoch in itertools.count(progress.epoch):
        has_clips = start > 0
        for number, batch in enumerate(loader.epoch(epoch, start), start):
            has_clips |= len(batch) > 0
            yield epoch, number, batch
        if not has_clips:
            raise DataError("training: found no clip in an epoch - expected at least one - check data.train")
        start = 0


def _crosses(period: int | None, before: int, now: int) -> bool:
    """Whether a multiple of the period lies in (before, now]."""
    return period is not None and now // period > before // period


def _log(logbook: Book, values: Scalars, at: Progress) -> None:
    logbook.scalars(values, clips=at.clips, step=at.step, epoch=at.epoch, seconds=at.seconds)


def _monitored(results: Scalars, plan: Plan) -> float | None:
    if plan.monitor is None:
        return None
    if plan.monitor not in results:
        known = ", ".join(sorted(results)) or "nothing"
        raise RecipeError(
            f"monitor: found no '{plan.monitor}' in the evaluation - expected one of {known} - choose one"
        )
    return float(results[plan.monitor])


def _is_better(value: float, best: float | None, mode: Literal["max", "min"]) -> bool:
    """Ties keep the earlier one. A first value is better than none, even NaN; any number is better than NaN."""
    if best is None or math.isnan(best):
        return best is None or not math.isnan(value)
    return value > best if mode == "max" else value < best
