"""What a run has at hand while it trains: how far it is, and what it does when something is due."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from torch import nn

from zoo.data.batch import BadAudio, Batch
from zoo.errors import RecipeError
from zoo.group import Agreement, Group
from zoo.train.averaging import Averager, averaged
from zoo.train.checkpoint import Checkpoints
from zoo.train.incident import Incident, stopped_by
from zoo.train.interrupt import Caught
from zoo.train.logbook import Book, Scalars
from zoo.train.optim import base_rate, rates
from zoo.train.pace import Pace
from zoo.train.plan import Plan, Progress, Report
from zoo.train.step import Stepper, Taken
from zoo.train.watch import Watch
from zoo.train.weight_health import weight_health
from zoo.train.window import Window

_MOST_IN_A_ROW = 20  # steps that are not finite, after which a run that skips them stops: nothing would come of it


@runtime_checkable
class BadAudioSink(Protocol):
    """Where clips go that could not be used, or are odd."""

    def add(self, bads: Iterable[BadAudio]) -> object:
        """Notes them."""

    def check(self, num_seen: int) -> None:
        """Raises DataError when too many are unusable, `num_seen` clips having come out of the loader."""


class Session:
    """One process's side of a run, from its start or a checkpoint to its end or the next interruption.

    What is logged and saved is the main process's; but all processes call every method alike, for they exchange sums.
    """

    def __init__(
        self,
        model: nn.Module,
        stepper: Stepper,
        watch: Watch,
        plan: Plan,
        logbook: Book,
        checkpoints: Checkpoints,
        averager: Averager | None,
        bad_audio: BadAudioSink | None,
        on_incident: Callable[[Incident], Path | None] | None,
        group: Group,
        resume: dict[str, Any] | None,
        seconds_waiting: float,
    ) -> None:
        self._model, self._stepper, self._watch, self._plan = model, stepper, watch, plan
        self._logbook, self._checkpoints, self._averager = logbook, checkpoints, averager
        self._bad_audio, self._on_incident, self._group = bad_audio, on_incident, group
        self._agreement, self._has_asked = Agreement(group), False
        self._window = Window(stepper.device, group)
        self._unusable: set[str] = set()
        self._new_bads: list[BadAudio] = []
        self._newly_read = 0
        self._bad_in_a_row, self._last_bad = 0, 0
        self._last_loss: float | None = None
        self.progress = Progress()
        if resume is not None:
            self._load_state_dict(resume)
        begun = self.progress
        self._pace = Pace(begun.seconds, begun.training_seconds, begun.clips, seconds_waiting)

    def is_over(self) -> bool:
        """Whether the run has reached its length, or has stopped early."""
        return self.progress.clips >= self._plan.total_clips or self.progress.stopped_early

    def count(self, taken: Taken, batches: Sequence[Batch], epoch: int, number: int) -> None:
        """Notes a step that was taken on these parts of batch `number` of the epoch.

        Raises: ZooError - it, or one shortly before, was not finite, and the plan says stop.
        """
        before, plan, group = self.progress, self._plan, self._group
        clips = before.clips + (plan.clips_per_step or sum(map(len, batches)))
        self.progress = replace(
            before,
            step=before.step + 1,
            epoch=epoch,
            batch=number + 1,
            clips=clips,
            seconds=self._pace.seconds(),
            training_seconds=self._pace.training_seconds(),
        )
        self._window.add(taken.scalars, taken.shares, taken.is_left_out)
        for batch in batches:
            self._new_bads += batch.bad
            self._newly_read += batch.num_read
        step = self.progress.step
        tried = Incident(
            step, epoch, before.clips, tuple(batches), 0.0, 0.0, plan.precision, rank=group.rank, world=group.world
        )
        self._watch.note(tried, taken.is_bad, taken.loss, taken.grad_norm)
        self._tell_incidents(wait=False)
        if self._averager is not None:
            self._averager.after_step(step, epoch, number + 1 == plan.steps_per_epoch)
        if group.world == 1:
            self._exchange()

    def agree(self, caught: Caught) -> tuple[int, bool]:
        """(signal to stop for or 0, whether to save by the clock), the same in all processes."""
        due = self._pace.unsaved_seconds() >= (self._plan.checkpoint_every_seconds or math.inf)
        asks = due and self._group.is_main and not self._has_asked
        self._has_asked |= asks
        signal, save = self._agreement.exchange([caught.number or 0, int(asks)])
        self._has_asked &= not save
        return signal, bool(save)

    def _exchange(self) -> None:
        """Tells all processes which clips could not be used. Raises DataError when they are too many."""
        for bads, read in self._group.gather((self._new_bads, self._newly_read)):
            self.progress = replace(self.progress, clips_read=self.progress.clips_read + read)
            self._unusable.update(bad.name for bad in bads if not bad.used)
            if self._bad_audio is not None:
                self._bad_audio.add(bads)
        self._new_bads, self._newly_read = [], 0
        if self._bad_audio is not None:
            self._bad_audio.check(self.progress.clips_read)

    def log(self, seconds_waiting: float) -> None:
        """Writes what has come of the steps since the last log: the one place that waits for the device."""
        self._catch_up()
        values: dict[str, float | int] = {**self._window.read()}
        self._last_loss = values.get("loss/total", self._last_loss)
        values["optim/lr"] = base_rate(self._stepper.optimiser)
        values |= rates(self._stepper.optimiser)
        if self._stepper.scaler.is_enabled():
            values["optim/loss_scale"] = self._stepper.scaler.get_scale()
        values["data/bad_clips"] = len(self._unusable)
        values["health/skipped_steps"] = self.progress.skipped
        values |= weight_health(self._stepper.optimiser)
        values |= self._pace.read(self.progress.clips, seconds_waiting)
        if self._plan.flops_per_clip is not None:
            rate = values["perf/clips_per_second"] * self._plan.flops_per_clip
            values["perf/tflops"] = rate / 1e12
            if self._plan.peak_flops is not None:
                values["perf/utilisation"] = rate / (self._plan.peak_flops * self._group.world)
        if self._stepper.device.type == "cuda":
            values["perf/gpu_memory_gib"] = torch.cuda.max_memory_allocated(self._stepper.device) / 2**30
        self._write(values)

    def evaluate(self, evaluate: Callable[[int], Scalars]) -> None:
        """Measures the model, or its average where there is one, and keeps it as `best` if it is."""
        self._catch_up()
        plan = self._plan
        with self._pace.paused(), averaged(self._averager):
            results = evaluate(self.progress.clips)
            self._model.train()  # whatever the evaluation left it in
            self.progress = replace(self.progress, seconds=self._pace.seconds())
            self._write(results)
            value = _monitored(results, plan)
            if value is None:
                return
            if _is_better(value, self.progress.best, plan.monitor_mode):
                self.progress = replace(self.progress, best=value, since_best=0)
                if self._group.is_main:
                    self._checkpoints.save("best", self._model, self.progress)
            else:
                since = self.progress.since_best + 1
                is_enough = plan.patience is not None and since >= plan.patience
                self.progress = replace(self.progress, since_best=since, stopped_early=is_enough)

    def save(self, with_average: bool) -> None:
        """Writes `last`, and before it `average`, so that whoever finds a finished `last` has both."""
        self._catch_up()
        with self._pace.paused():
            average = self._averager.state_dict() if self._averager is not None else None
            trainer = {
                "optimiser": self._stepper.optimiser.state_dict(),
                "scaler": self._stepper.scaler.state_dict(),
                "window": self._window.state_dict(),
                "average": average,
                "progress": asdict(self.progress),
                "precision": self._plan.precision,
                "unusable": sorted(self._unusable),
            }
            if self._group.is_main:
                self._logbook.sync()
                if with_average and self._averager is not None and self._averager.has_begun:
                    with self._averager.applied():
                        self._checkpoints.save("average", self._model, self.progress)
                self._checkpoints.save("last", self._model, self.progress, trainer)
        self._pace.saved()

    def report(self) -> Report:
        """For whoever watches."""
        at = self.progress
        rate = self._pace.rate(at.clips)
        return Report(at.clips, self._plan.total_clips, at.step, at.epoch, at.seconds, rate, self._last_loss)

    def end(self) -> Progress:
        """How far it came; nothing is under way any more."""
        self._agreement.settle(2)
        return replace(self.progress, seconds=self._pace.seconds())

    def _load_state_dict(self, state: dict[str, Any]) -> None:
        before, now = state.get("precision", self._plan.precision), self._plan.precision
        if before != now:
            raise RecipeError(
                f"train.precision: found {now} on this device, for a run that began in {before} - expected the same - "
                f"set train.precision={before}, or start a new run with init.from"
            )
        self._stepper.optimiser.load_state_dict(state["optimiser"])
        self._window.load_state_dict(state["window"])
        if state.get("scaler"):
            self._stepper.scaler.load_state_dict(state["scaler"])
        if self._averager is not None:
            self._averager.load_state_dict(state["average"])
        self.progress = Progress(**state["progress"])
        self._unusable = set(state["unusable"])

    def _catch_up(self) -> None:
        """Learns of every step so far what there is to know, from the device and from the other processes."""
        self._tell_incidents(wait=True)
        if self._group.world > 1:  # one process knows them after every step
            self._exchange()

    def _tell_incidents(self, wait: bool) -> None:
        for incident in self._watch.incidents(wait):
            in_a_row = self._bad_in_a_row + 1 if incident.step == self._last_bad + 1 else 1
            self._bad_in_a_row, self._last_bad = in_a_row, incident.step
            self.progress = replace(self.progress, skipped=self.progress.skipped + 1)
            box = self._on_incident(incident) if self._on_incident is not None else None
            if self._plan.on_nonfinite == "stop" or in_a_row >= _MOST_IN_A_ROW:
                raise stopped_by(incident, box)

    def _write(self, values: Scalars) -> None:
        at = self.progress
        self._logbook.scalars(values, clips=at.clips, step=at.step, epoch=at.epoch, seconds=at.seconds)


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
