"""The loop on a model of a few numbers: what happens when, and that a killed run goes on bit for bit."""

import json
import math
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from zoo.data.batch import BadAudio, Batch, Inputs
from zoo.data.partners import Partners
from zoo.draws import clip_keys, combine, uniform
from zoo.errors import CheckpointError, DataError, RecipeError, ZooError
from zoo.train import pace
from zoo.train.averaging import EmaConfig, EpochsConfig
from zoo.train.checkpoint import Checkpoints, latest, load_checkpoint, load_trainer
from zoo.train.incident import Incident
from zoo.train.interrupt import Interrupted
from zoo.train.length import Length
from zoo.train.logbook import Logbook, SilentLogbook
from zoo.train.loop import fit
from zoo.train.optim import AdamWConfig
from zoo.train.plan import Plan, Progress, Report
from zoo.train.schedule import CosineConfig
from zoo.train.seeding import seed_step

NUM_CLIPS, BATCH, NUM_SAMPLES = 10, 4, 5  # three batches an epoch: 4, 4, 2
PLAN = Plan(total_clips=34, seed=3, log_every_clips=6, evaluate_every_clips=12, monitor="eval/score", grad_clip=0.5)


class Killed(BaseException):
    """Stands for SIGKILL."""


class FakeLoader:
    """Clips of noise in an order of their own every epoch; clip 3 is odd, and clip 7 of epoch 1 unusable."""

    def __init__(self, num_clips: int = NUM_CLIPS) -> None:
        self.num_clips = num_clips
        self.seconds_waiting = 0.0
        self.started: list[tuple[int, int]] = []

    def epoch(self, epoch: int, start_batch: int = 0) -> Iterator[Batch]:
        self.started.append((epoch, start_batch))
        order = torch.randperm(self.num_clips, generator=torch.Generator().manual_seed(combine(11, epoch)))
        for number, ids in enumerate(order.split(BATCH) if self.num_clips else ()):
            if number >= start_batch:
                self.seconds_waiting += 0.25
                yield self.batch(epoch, ids)

    def batch(self, epoch: int, ids: Tensor) -> Batch:
        waveform = uniform(clip_keys(0, 0, ids), "waveform", NUM_SAMPLES)
        bad = []
        if 3 in ids:
            bad.append(BadAudio("3", "audio/3.wav", "silent", True))
        if epoch == 1 and 7 in ids:
            bad.append(BadAudio("7", "audio/7.wav", "zero bytes", False))
        samples = torch.full((len(ids),), NUM_SAMPLES)
        return Batch(waveform, samples, waveform[:, :2], ids, tuple(f"{i}.wav" for i in ids.tolist()), tuple(bad))


class PartnerLoader(FakeLoader):
    """Every batch comes with two clips to mix into its own."""

    def batch(self, epoch: int, ids: Tensor) -> Batch:
        two, none = ids[:2], ids[:0]
        waveform = torch.zeros(2, NUM_SAMPLES)
        partners = Partners(
            waveform, None, two * 0 + 5, waveform[:, :2], two, two * 0, waveform[:, 0], none, waveform[:0, 0]
        )
        return replace(super().batch(epoch, ids), partners=partners)


def make_inputs(batch: Batch, epoch: int, training: bool) -> Inputs:
    keys = clip_keys(5, epoch, batch.ids)
    log_mel = batch.waveform[:, None, :] + uniform(keys, "noise", NUM_SAMPLES)[:, None, :]
    return Inputs(log_mel, None, batch.target, keys, batch.names)


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(NUM_SAMPLES, 8)
        self.dropout = nn.Dropout(0.3)
        self.norm = nn.BatchNorm1d(8)  # has a state that the optimiser does not know
        self.head = nn.Linear(8, 2)

    def forward(self, log_mel: Tensor) -> Tensor:
        return self.head(self.norm(self.dropout(self.hidden(log_mel[:, 0]).relu())))


def objective(model: nn.Module, inputs: Inputs) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    assert inputs.target is not None
    error = (model(inputs.log_mel) - inputs.target).square().mean()
    return error * 2, torch.tensor(float(len(inputs.keys))), {"loss/part": error.detach()}


class CountingSink:
    """A bad-audio log that keeps what it is told."""

    def __init__(self, max_seen: float = math.inf) -> None:
        self.bads: list[BadAudio] = []
        self.seen: list[int] = []
        self.max_seen = max_seen

    def add(self, bads: Iterable[BadAudio]) -> None:
        self.bads += bads

    def check(self, num_seen: int) -> None:
        self.seen.append(num_seen)
        if num_seen > self.max_seen:
            raise DataError("too many")


@dataclass
class Run:
    """One run folder, and what is to go wrong in it."""

    folder: Path
    plan: Plan = PLAN
    objective: Callable[..., Any] = objective
    evaluate: Callable[[int], dict[str, float]] | None = None
    score: Callable[[int], float] = lambda clips: -abs(clips - 26)
    on_incident: Callable[[Incident], Path | None] | None = None
    average: Any = None
    lr: float = 0.05
    logged: bool = True
    reports: list[Report] = field(default_factory=list)
    evaluated: list[int] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    loader: FakeLoader = field(default_factory=FakeLoader)
    sink: CountingSink = field(default_factory=CountingSink)
    model: Model = field(init=False)
    optimiser: torch.optim.AdamW = field(init=False)

    def start(self, kill: Callable[[str], None] = lambda what: None, resume: bool = False) -> Progress:
        """Trains with new objects. `kill(what)` is called wherever a run could die."""
        torch.manual_seed(0)
        self.model = Model()
        self.optimiser = AdamWConfig(lr=self.lr).build(self.model)
        schedule = CosineConfig(warmup_clips=0.2).build(Length(self.plan.total_clips, 4, 10))
        state, clips = None, None
        if resume:
            clips = 0
            found = latest(self.folder / "checkpoints")
            if found is not None:
                self.model.load_state_dict(load_checkpoint(found)[0])
                state = load_trainer(found)
                clips = state["progress"]["clips"]

        def wrapped_objective(model: nn.Module, inputs: Inputs) -> Any:
            kill("step")
            self.rates.append(self.optimiser.param_groups[0]["lr"])
            return self.objective(model, inputs)

        def evaluate(clips: int) -> dict[str, float]:
            kill("evaluate")
            self.evaluated.append(clips)
            self.model.eval()
            torch.rand(3)  # what an evaluation draws must not matter
            weight = self.model.head.weight.detach()
            return {"eval/score": self.score(clips), "eval/weight": float(weight.sum())}

        class Saving(Checkpoints):
            def save(
                self, name: str, model: nn.Module, progress: Progress, trainer: dict[str, Any] | None = None
            ) -> None:
                kill(f"before {name}")
                super().save(name, model, progress, trainer)
                kill(f"after {name}")

        book = Logbook(self.folder, resume_at_clips=clips) if self.logged else SilentLogbook()

        class Logging(SilentLogbook):
            def scalars(self, *args: Any, **kwargs: Any) -> None:
                kill("before log")
                book.scalars(*args, **kwargs)
                kill("after log")

        try:
            return fit(
                self.model,
                wrapped_objective,
                make_inputs,
                self.loader,
                self.optimiser,
                schedule,
                self.plan,
                Logging(),
                Saving(self.folder / "checkpoints", {"kind": "tiny"}),
                averager=self.average and self.average.build(self.model),
                evaluate=self.evaluate or evaluate,
                bad_audio=self.sink,
                on_incident=self.on_incident,
                on_progress=self.reports.append,
                resume=state,
            )
        finally:
            book.close()

    def lines(self) -> list[dict[str, Any]]:
        """The metrics without what a clock decides."""
        clocked = {"seconds", "perf/clips_per_second", "data/seconds_waiting"}
        text = (self.folder / "metrics.jsonl").read_text()
        return [{k: v for k, v in json.loads(line).items() if k not in clocked} for line in text.splitlines()]

    def final(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        folder = self.folder / "checkpoints" / "last"
        return load_checkpoint(folder)[0], load_trainer(folder)


def assert_same(one: Any, two: Any) -> None:
    """Equal to the last bit, through dictionaries and lists; clocks aside."""
    assert type(one) is type(two)
    if isinstance(one, dict):
        assert one.keys() == two.keys()
        for key in one.keys() - {"seconds", "training_seconds"}:
            assert_same(one[key], two[key])
    elif isinstance(one, list | tuple):
        assert len(one) == len(two)
        for a, b in zip(one, two, strict=True):
            assert_same(a, b)
    elif isinstance(one, Tensor):
        assert torch.equal(one, two)
    else:
        assert one == two


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Run:
    torch.set_num_threads(1)
    run = Run(tmp_path_factory.mktemp("whole"))
    run.start()
    return run


def test_events_of_a_run(uninterrupted: Run) -> None:
    lines = uninterrupted.lines()
    trained = [line for line in lines if "loss/total" in line]
    # Clips seen after each step: 4 8 10 | 14 18 20 | 24 28 30 | 34.
    assert [line["clips"] for line in trained] == [8, 14, 18, 24, 30, 34]
    assert [line["step"] for line in trained] == [2, 4, 5, 7, 9, 10]
    assert [line["epoch"] for line in trained] == [0, 1, 1, 2, 2, 3]
    assert uninterrupted.evaluated == [14, 24, 34]
    assert [line["clips"] for line in lines if "eval/score" in line] == [14, 24, 34]
    assert set(trained[0]) == {
        *("clips", "step", "epoch"),
        *("loss/total", "loss/part", "optim/lr", "data/bad_clips"),
        *("optim/grad_norm", "optim/grad_norm/head", "optim/grad_norm/other"),
        *("health/skipped_steps", "health/weight_norm", "health/update_ratio"),
    }
    assert uninterrupted.loader.started == [(0, 0), (1, 0), (2, 0), (3, 0)]
    assert [line["data/bad_clips"] for line in trained][-1] == 1
    assert all(line["loss/total"] == pytest.approx(2 * line["loss/part"], rel=1e-5) for line in trained)


def test_progress_and_reports(tmp_path: Path) -> None:
    run = Run(tmp_path, logged=False)
    progress = run.start()
    assert (progress.step, progress.epoch, progress.batch, progress.clips, progress.best) == (10, 3, 1, 34, -2)
    assert [report.clips for report in run.reports] == [4, 8, 10, 14, 18, 20, 24, 28, 30, 34]
    assert {report.total_clips for report in run.reports} == {34}
    assert [report.loss is None for report in run.reports[:3]] == [True, False, False]
    assert all(report.clips_per_second > 0 for report in run.reports)
    assert all(a.seconds <= b.seconds for a, b in zip(run.reports, run.reports[1:], strict=False))


def test_the_rate_follows_the_schedule_by_clips_seen_before_each_step(tmp_path: Path) -> None:
    run = Run(tmp_path, logged=False)
    run.start()
    factor = CosineConfig(warmup_clips=0.2).build(Length(34, 4, 10))
    assert run.rates == [0.05 * factor(clips) for clips in (0, 4, 8, 10, 14, 18, 20, 24, 28, 30)]


def test_logged_means_are_those_of_the_steps_between(tmp_path: Path) -> None:
    losses: list[float] = []

    def noting(model: nn.Module, inputs: Inputs) -> Any:
        loss, count, scalars = objective(model, inputs)
        losses.append(float(loss.detach()))
        return loss, count, scalars

    run = Run(tmp_path, objective=noting)
    run.start()
    logged = [line["loss/total"] for line in run.lines() if "loss/total" in line]
    windows = [losses[0:2], losses[2:4], losses[4:5], losses[5:7], losses[7:9], losses[9:10]]
    assert logged == pytest.approx([sum(window) / len(window) for window in windows], rel=1e-6)


def test_it_equals_a_loop_by_hand(tmp_path: Path) -> None:
    run = Run(tmp_path, logged=False)
    run.start()
    torch.manual_seed(0)
    model = Model().train()
    optimiser = AdamWConfig(lr=0.05).build(model)
    factor, loader, clips, step = CosineConfig(warmup_clips=0.2).build(Length(34, 4, 10)), FakeLoader(), 0, 0
    for epoch in range(4):
        for batch in loader.epoch(epoch):
            if clips < 34:
                for group in optimiser.param_groups:
                    group["lr"] = 0.05 * factor(clips)
                seed_step(3, step)
                optimiser.zero_grad()
                objective(model, make_inputs(batch, epoch, True))[0].backward()
                torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
                optimiser.step()
                clips, step = clips + len(batch), step + 1
    assert_same(dict(run.model.state_dict()), dict(model.state_dict()))


def kill_at(places: set[str], count: int) -> Callable[[str], None]:
    """Raises the `count`-th time that one of the places is reached."""
    left = [count]

    def kill(what: str) -> None:
        if what in places:
            left[0] -= 1
            if left[0] == 0:
                raise Killed(what)

    return kill


PLACES = ["step", "evaluate", "before log", "after log", "before last", "after last", "before best", "after best"]


@pytest.mark.parametrize("place", PLACES)
def test_killed_anywhere_and_resumed_equals_uninterrupted(tmp_path: Path, place: str, uninterrupted: Run) -> None:
    for count in range(1, 12):
        run = Run(tmp_path / str(count))
        try:
            run.start(kill_at({place}, count))
        except Killed:
            run.start(resume=True)
        else:
            assert count > 1
            break
        assert run.lines() == uninterrupted.lines(), count
        assert_same(run.final(), uninterrupted.final())
        best = [load_checkpoint(r.folder / "checkpoints" / "best")[0] for r in (run, uninterrupted)]
        assert_same(*best)


def test_killed_again_and_again(tmp_path: Path, uninterrupted: Run) -> None:
    plan = replace(PLAN, checkpoint_every_clips=7)
    run = Run(tmp_path, plan=plan)
    kills = 0
    while kills < 20:
        try:
            run.start(kill_at({"step", "before log", "after last"}, 7), resume=True)
            break
        except Killed:
            kills += 1
    assert 3 <= kills < 20
    assert run.lines() == uninterrupted.lines()
    assert_same(run.final(), uninterrupted.final())


def spoiling(model: nn.Module, inputs: Inputs) -> Any:
    """Not finite wherever clip 5 is."""
    loss, count, scalars = objective(model, inputs)
    return loss * (math.nan if "5.wav" in inputs.names else 1), count, scalars


EVERYTHING = replace(PLAN, accumulate=2, precision="fp16", on_nonfinite="skip", steps_per_epoch=2, patience=5)


@pytest.mark.parametrize("average", [EmaConfig(decay=0.5), EpochsConfig(first=2, last=3)], ids=["ema", "epochs"])
def test_killed_and_resumed_with_everything_on(tmp_path: Path, average: Any) -> None:
    whole = Run(tmp_path / "whole", plan=EVERYTHING, objective=spoiling, average=average)
    progress = whole.start()
    assert 0 < progress.skipped < progress.step
    killed = 0
    for place in ("step", "before log", "before last", "after last", "before average", "after average"):
        for count in (1, 2, 3, 5):
            run = Run(tmp_path / f"{place}{count}", plan=EVERYTHING, objective=spoiling, average=average)
            try:
                run.start(kill_at({place}, count))
            except Killed:
                killed += 1
                run.start(resume=True)
            assert run.lines() == whole.lines(), (place, count)
            assert_same(run.final(), whole.final())
            averages = [load_checkpoint(r.folder / "checkpoints" / "average")[0] for r in (run, whole)]
            assert_same(*averages)
    assert killed > 12


def test_the_average_is_what_is_evaluated_and_kept(tmp_path: Path) -> None:
    run = Run(tmp_path, average=EmaConfig(decay=0.9, warmup=False))
    run.start()
    trained = load_checkpoint(tmp_path / "checkpoints" / "last")[0]["head.weight"]
    averaged = load_checkpoint(tmp_path / "checkpoints" / "average")[0]["head.weight"]
    assert not torch.equal(trained, averaged)
    evaluated = [line["eval/weight"] for line in run.lines() if "eval/weight" in line]
    assert evaluated[-1] == pytest.approx(float(averaged.sum()))
    assert torch.equal(run.model.head.weight, trained)


def test_early_stopping(tmp_path: Path) -> None:
    plan = replace(PLAN, patience=2, evaluate_every_clips=1, log_every_clips=None)
    score = {4: 0.1, 8: 0.5, 10: 0.4, 14: 0.6, 18: 0.5, 20: 0.6}
    run = Run(tmp_path, plan=plan, score=lambda clips: score[clips])
    progress = run.start()
    assert (progress.clips, progress.best, progress.stopped_early) == (20, 0.6, True)
    assert load_trainer(tmp_path / "checkpoints" / "last")["progress"]["stopped_early"]
    assert run.lines()[-1]["clips"] == 20
    assert any("loss/total" in line and line["clips"] == 20 for line in run.lines())
    again = Run(tmp_path, plan=plan, score=lambda clips: score[clips])
    assert again.start(resume=True).clips == 20  # it stays stopped
    assert again.evaluated == []


def test_steps_that_are_not_finite_are_told_and_left_out(tmp_path: Path) -> None:
    told: list[Incident] = []
    weights: list[Tensor] = []

    def on_incident(incident: Incident) -> None:
        told.append(incident)
        weights.append(run.model.head.weight.detach().clone())

    before: dict[int, Tensor] = {}
    seen: list[tuple[str, ...]] = []

    def noting(model: nn.Module, inputs: Inputs) -> Any:
        seen.append(inputs.names)
        before[len(run.rates)] = run.model.head.weight.detach().clone()
        return spoiling(model, inputs)

    run = Run(tmp_path, plan=replace(PLAN, on_nonfinite="skip"), objective=noting, on_incident=on_incident)
    progress = run.start()
    assert progress.clips == 34
    assert progress.skipped == len(told) == sum("5.wav" in names for names in seen)
    assert [incident.step for incident in told] == sorted({incident.step for incident in told})
    for incident, weight in zip(told, weights, strict=True):
        assert "5.wav" in incident.names
        assert incident.exact
        assert math.isnan(incident.loss)
        assert torch.equal(weight, before[incident.step])  # the step was not taken
    assert [line["health/skipped_steps"] for line in run.lines() if "optim/lr" in line][-1] == len(told)
    assert not any(value is None for line in run.lines() for value in line.values())
    assert all(tensor.isfinite().all() for tensor in run.final()[0].values())


def test_skipping_ends_when_nothing_is_finite_any_more(tmp_path: Path) -> None:
    def hopeless(model: nn.Module, inputs: Inputs) -> Any:
        loss, count, scalars = objective(model, inputs)
        return loss * math.nan, count, scalars

    plan = Plan(total_clips=1000, seed=3, on_nonfinite="skip")
    run = Run(tmp_path, plan=plan, objective=hopeless)
    with pytest.raises(ZooError, match="not finite at step 20 "):
        run.start()


def test_a_resumed_run_does_not_redo_what_is_saved(tmp_path: Path) -> None:
    run = Run(tmp_path)
    with pytest.raises(Killed):
        run.start(kill_at({"step"}, 6))  # after clips 18; the checkpoint is at 14
    run.loader, run.evaluated = FakeLoader(), []
    run.start(resume=True)
    assert run.loader.started == [(1, 1), (2, 0), (3, 0)]
    assert run.evaluated == [24, 34]
    run.loader = FakeLoader()
    progress = run.start(resume=True)  # finished: nothing to do
    assert run.loader.started == []
    assert progress.clips == 34


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("step", [1, 3, 7])
def test_a_signal_saves_after_the_step(tmp_path: Path, number: int, step: int, uninterrupted: Run) -> None:
    run = Run(tmp_path)

    def send(what: str) -> None:
        if what == "step" and len(run.rates) == step - 1:
            os.kill(os.getpid(), number)

    with pytest.raises(Interrupted, match="after") as caught:
        run.start(send)
    assert caught.value.exit_code == 128 + number
    assert load_trainer(tmp_path / "checkpoints" / "last")["progress"]["step"] == step
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    run.start(resume=True)
    assert run.lines() == uninterrupted.lines()
    assert_same(run.final(), uninterrupted.final())


def test_a_signal_in_the_last_step_lets_the_run_finish(tmp_path: Path) -> None:
    run = Run(tmp_path, logged=False)

    def send(what: str) -> None:
        if what == "step" and len(run.rates) == 9:
            os.kill(os.getpid(), signal.SIGTERM)

    assert run.start(send).clips == 34


def test_a_signal_while_evaluating_is_heard_at_once_after_it(tmp_path: Path) -> None:
    run = Run(tmp_path, logged=False)
    with pytest.raises(Interrupted, match="interrupted by SIGTERM after 14 clips"):
        run.start(lambda what: os.kill(os.getpid(), signal.SIGTERM) if what == "evaluate" else None)


@pytest.mark.parametrize(
    ("mode", "scores", "expected"),
    [
        ("max", {14: 0.2, 24: 0.9, 34: 0.5}, 24),
        ("min", {14: 0.2, 24: 0.9, 34: 0.5}, 14),
        ("max", {14: 0.5, 24: 0.5, 34: 0.5}, 14),
        ("max", {14: math.nan, 24: 0.1, 34: math.nan}, 24),
        ("min", {14: math.nan, 24: math.nan, 34: math.nan}, 14),
    ],
)
def test_best_is_kept(tmp_path: Path, mode: Any, scores: dict[int, float], expected: int) -> None:
    weights: dict[int, Tensor] = {}

    def score(clips: int) -> float:
        weights[clips] = run.model.head.weight.detach().clone()
        return scores[clips]

    run = Run(tmp_path, plan=replace(PLAN, monitor_mode=mode), score=score, logged=False)
    progress = run.start()
    state, config = load_checkpoint(tmp_path / "checkpoints" / "best")
    assert torch.equal(state["head.weight"], weights[expected])
    assert (config["kind"], config["clips"]) == ("tiny", expected)
    assert progress.best == pytest.approx(scores[expected], nan_ok=True)
    assert not (tmp_path / "checkpoints" / "best" / "trainer.pt").exists()


def test_without_a_monitor_there_is_no_best(tmp_path: Path) -> None:
    Run(tmp_path, plan=replace(PLAN, monitor=None), logged=False).start()
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["last", "previous"]


def test_an_unknown_monitor_names_what_there_is(tmp_path: Path) -> None:
    run = Run(tmp_path, plan=replace(PLAN, monitor="eval/mAp"), logged=False)
    with pytest.raises(
        RecipeError, match="found no 'eval/mAp' in the evaluation - expected one of eval/score, eval/weig"
    ):
        run.start()


def test_without_periods_everything_happens_once_at_the_end(tmp_path: Path) -> None:
    run = Run(tmp_path, plan=Plan(total_clips=34, seed=3))
    run.start()
    assert [(line["clips"], "eval/score" in line) for line in run.lines()] == [(34, False), (34, True)]
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["last"]


class InfiniteGradient(torch.autograd.Function):
    """Adds 0, with a gradient that is not finite."""

    @staticmethod
    def forward(ctx: Any, loss: Tensor) -> Tensor:
        return loss.clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad * math.inf


@pytest.mark.parametrize("spoil", [lambda loss: loss * math.nan, InfiniteGradient.apply], ids=["loss", "gradient"])
@pytest.mark.parametrize("plan", [PLAN, replace(PLAN, log_every_clips=None), replace(PLAN, checkpoint_every_clips=1)])
def test_a_loss_that_is_not_finite_stops_the_run(tmp_path: Path, plan: Plan, spoil: Callable[[Tensor], Tensor]) -> None:
    blamed: list[str] = []

    def exploding(model: nn.Module, inputs: Inputs) -> Any:
        loss, count, scalars = objective(model, inputs)
        if len(run.rates) == 6:
            blamed.extend(inputs.names)
            loss = spoil(loss)
        return loss, count, scalars

    run = Run(tmp_path, plan=plan, objective=exploding)
    with pytest.raises(ZooError, match=r"not finite at step 6 \(clips ") as caught:
        run.start()
    assert "\n" not in str(caught.value)
    assert blamed
    assert all(name in str(caught.value) for name in blamed)
    state, trainer = run.final()
    assert trainer["progress"]["step"] < 6
    assert all(tensor.isfinite().all() for tensor in state.values())
    assert not any(value is None for line in run.lines() for value in line.values())


@pytest.mark.parametrize("clip", [None, 1e-3, 1e3])
def test_the_gradient_norm_is_logged_before_it_is_clipped(tmp_path: Path, clip: float | None) -> None:
    run = Run(tmp_path, plan=Plan(total_clips=4, seed=3, grad_clip=clip))
    run.start()
    grads = [parameter.grad for parameter in run.model.parameters() if parameter.grad is not None]
    norm_after = float(torch.stack([grad.square().sum() for grad in grads]).sum().sqrt())
    logged = run.lines()[0]["optim/grad_norm"]
    assert logged > 1e-3
    assert norm_after == pytest.approx(min(logged, clip or math.inf), rel=1e-4)


def test_precision(tmp_path: Path) -> None:
    seen: list[torch.dtype] = []

    def noting(model: nn.Module, inputs: Inputs) -> Any:
        seen.append(model.head(torch.zeros(1, 8)).dtype)
        return objective(model, inputs)

    for precision, expected in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        seen.clear()
        run = Run(tmp_path / precision, plan=replace(PLAN, precision=precision), objective=noting, logged=False)
        run.start()
        assert set(seen) == {expected}
        assert all(p.dtype == torch.float32 for p in run.model.parameters())


def test_dropout_repeats_for_a_step_and_not_between_steps(tmp_path: Path) -> None:
    draws: list[list[float]] = []

    def noting(model: nn.Module, inputs: Inputs) -> Any:
        assert model.training
        draws.append(torch.rand(3).tolist())
        return objective(model, inputs)

    for seed in (3, 3, 4):
        Run(tmp_path / f"{len(draws)}", plan=replace(PLAN, seed=seed), objective=noting, logged=False).start()
    first, second, other = draws[:10], draws[10:20], draws[20:]
    assert first == second
    assert first != other
    assert len({tuple(draw) for draw in first}) == 10


def test_bad_clips_are_passed_on(tmp_path: Path) -> None:
    run = Run(tmp_path, logged=False)
    run.start()
    assert {bad.path for bad in run.sink.bads} == {"audio/3.wav", "audio/7.wav"}
    assert run.sink.seen == [4, 8, 10, 14, 18, 20, 24, 28, 30, 34]
    run = Run(tmp_path / "partners", logged=False, loader=PartnerLoader())
    assert run.start().clips_read == 34 + 10 * 2
    assert run.sink.seen == [6, 12, 16, 22, 28, 32, 38, 44, 48, 54]
    run = Run(tmp_path / "strict", logged=False, sink=CountingSink(max_seen=9))
    with pytest.raises(DataError, match="too many"):
        run.start()


def test_checkpoints_by_the_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(pace.time, "monotonic", lambda: now[0])
    saved: list[int] = []

    def slow(model: nn.Module, inputs: Inputs) -> Any:
        now[0] += 10.0
        return objective(model, inputs)

    def note(what: str) -> None:
        if what == "before last":
            saved.append(len(run.rates))

    plan = Plan(total_clips=34, seed=3, checkpoint_every_seconds=25.0, log_every_clips=1)
    run = Run(tmp_path, plan=plan, objective=slow)
    assert run.start(note).seconds == 100.0
    assert saved == [3, 6, 9, 10]
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["seconds"] for line in lines[:3]] == [10.0, 20.0, 30.0]
    assert [line["perf/clips_per_second"] for line in lines[:3]] == [0.4, 0.4, 0.2]
    assert [line["data/seconds_waiting"] for line in lines[:3]] == [0.25, 0.25, 0.25]


def test_the_rate_of_operations_and_its_share(tmp_path: Path) -> None:
    run = Run(tmp_path, plan=Plan(total_clips=34, seed=3, flops_per_clip=5 * 10**9, peak_flops=4e10))
    run.start()
    line = json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[0])
    assert line["perf/tflops"] == pytest.approx(line["perf/clips_per_second"] * 5e9 / 1e12)
    assert line["perf/utilisation"] == pytest.approx(line["perf/clips_per_second"] * 5e9 / 4e10)


def test_a_run_does_not_go_on_in_another_precision(tmp_path: Path) -> None:
    Run(tmp_path, plan=replace(PLAN, total_clips=8)).start()
    run = Run(tmp_path, plan=replace(PLAN, precision="bf16"))
    with pytest.raises(
        RecipeError, match=r"train\.precision: found bf16 .* began in fp32 .* set train\.precision=fp32"
    ):
        run.start(resume=True)


def test_evaluating_does_not_count_against_the_speed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(pace.time, "monotonic", lambda: now[0])

    def slow(model: nn.Module, inputs: Inputs) -> Any:
        now[0] += 2.0
        return objective(model, inputs)

    def evaluate(clips: int) -> dict[str, float]:
        now[0] += 1000.0
        return {}

    plan = Plan(total_clips=8, seed=3, log_every_clips=1, evaluate_every_clips=1)
    run = Run(tmp_path, plan=plan, objective=slow, evaluate=evaluate)
    assert run.start().seconds == 2004.0
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["seconds"] for line in lines] == [2.0, 1002.0, 1004.0, 2004.0]
    assert [line["perf/clips_per_second"] for line in lines if "loss/total" in line] == [2.0, 2.0]
    assert [report.clips_per_second for report in run.reports] == [2.0, 2.0]


def test_a_full_disk_stops_the_run_and_keeps_the_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(tmp_path, logged=False)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    def fill_later(what: str) -> None:
        if what == "before last" and len(run.rates) > 5:
            monkeypatch.setattr(torch, "save", full)

    with pytest.raises(CheckpointError, match="No space left on device"):
        run.start(fill_later)
    assert load_trainer(tmp_path / "checkpoints" / "last")["progress"]["clips"] == 14


def test_no_clips_is_an_error_not_an_endless_loop(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="found no clip in an epoch"):
        Run(tmp_path, logged=False, loader=FakeLoader(num_clips=0)).start()
