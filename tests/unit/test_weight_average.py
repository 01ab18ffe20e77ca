"""Averages against the plain mean of kept copies, and against torch's own; resumed, applied, and taken off again."""

import io
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

import zoo
from zoo.errors import CheckpointError, RecipeError
from zoo.train.averaging import AverageConfig, Averager, EmaConfig, EpochsConfig, NoAverageConfig, SwaConfig

ADAPTER: TypeAdapter[Any] = TypeAdapter(AverageConfig)
CONFIGS = [
    EmaConfig(decay=0.9),
    EmaConfig(decay=0.8, every_steps=3, warmup=False),
    EpochsConfig(first=2, last=4),
    SwaConfig(start=1, every=2),
]
STEPS = 4  # of an epoch


class Model(nn.Module):
    """Weights in two precisions, tied ones, a running mean, a counter, and a table that is in no state."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(5, 3)
        self.coarse = nn.Parameter(torch.randn(4).bfloat16())
        self.tied = self.linear.weight
        self.register_buffer("mean", torch.randn(3))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))
        self.register_buffer("table", torch.randn(2), persistent=False)


def step(model: Model, number: int) -> None:
    """A step of training: everything changes, by a function of its number."""
    draw = torch.Generator().manual_seed(number)
    with torch.no_grad():
        for tensor in model.state_dict().values():
            tensor += 1 if tensor.dtype == torch.int64 else torch.randn(tensor.shape, generator=draw).to(tensor.dtype)


def epochs_of(averager: Averager, model: Model, epochs: range, kept: list[Any] | None = None) -> None:
    """Trains, and keeps a copy of the weights after every step."""
    for epoch in epochs:
        for i in range(STEPS):
            number = epoch * STEPS + i + 1
            step(model, number)
            averager.after_step(number, epoch, i == STEPS - 1)
            if kept is not None:
                kept.append({name: tensor.clone() for name, tensor in model.state_dict().items()})


def averaged(averager: Averager, model: nn.Module) -> dict[str, Tensor]:
    with averager.applied():
        return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def plain_mean(kept: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Of every tensor in float64; of integers the last."""
    return {
        name: torch.stack([one[name].double() for one in kept]).mean(0).to(tensor.dtype)
        if tensor.is_floating_point()
        else kept[-1][name]
        for name, tensor in kept[0].items()
    }


def assert_equal(one: dict[str, Tensor], two: dict[str, Tensor], tolerance: float = 0.0) -> None:
    assert one.keys() == two.keys()
    for name in one:
        torch.testing.assert_close(one[name], two[name], rtol=0, atol=tolerance, msg=name)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def test_none_is_none() -> None:
    assert ADAPTER.validate_python("none").build(Model()) is None
    NoAverageConfig().check(1)


@pytest.mark.parametrize(("first", "last"), [(1, 1), (2, 4), (1, 6), (6, 6)])
def test_epochs_first_to_last_both_included(first: int, last: int) -> None:
    model, kept = Model(), []
    averager = EpochsConfig(first=first, last=last).build(model)
    epochs_of(averager, model, range(7), kept)
    ends = [kept[epoch * STEPS - 1] for epoch in range(first, last + 1)]  # epoch n, from 1, ends with step n * STEPS
    assert_equal(averaged(averager, model), plain_mean(ends), 1e-6)


@pytest.mark.parametrize(
    ("start", "every", "epochs", "snapshots"),
    [(50, 5, 130, 17), (10, 3, 50, 14), (2, 1, 10, 9), (1, 4, 9, 3), (1, 4, 8, 2)],
)
def test_swa_is_the_mean_of_the_beginnings_of_epochs(start: int, every: int, epochs: int, snapshots: int) -> None:
    """The first three are PaSST's on AudioSet, FSD50K and ESC-50, with its published counts."""
    model = Model()
    begun: list[dict[str, Tensor]] = []
    averager = SwaConfig(start=start, every=every).build(model)
    for epoch in range(epochs):
        if epoch >= start - 1 and (epoch - (start - 1)) % every == 0:  # as its callback on_train_epoch_start
            begun.append({name: tensor.clone() for name, tensor in model.state_dict().items()})
        epochs_of(averager, model, range(epoch, epoch + 1))
        assert averager.has_begun == bool(begun)
        assert averager.state_dict()["num"] == len(begun)
    assert len(begun) == snapshots
    assert_equal(averaged(averager, model), plain_mean(begun), 1e-6)


def test_many_snapshots_lose_nothing_to_rounding() -> None:
    """Weights far from 0: a running mean in float32 would drift by some 1e-6."""
    model, kept = nn.Linear(50, 50), []
    averager = EpochsConfig(first=1, last=200).build(model)
    for epoch in range(200):
        with torch.no_grad():
            model.weight.copy_(7 + torch.randn(50, 50))
        averager.after_step(epoch + 1, epoch, True)
        kept.append(model.weight.detach().double())
    with averager.applied():
        assert torch.equal(model.weight, torch.stack(kept).mean(0).float())


def test_ema_equals_torch() -> None:
    model = Model()
    del model.coarse  # which is averaged in float32 here, in bfloat16 there
    theirs = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=True)
    ours = EmaConfig(decay=0.9, warmup=False).build(model)
    for number in range(1, 30):
        step(model, number)
        ours.after_step(number, 0, False)
        theirs.update_parameters(model)
    expected = {name: tensor for name, tensor in theirs.module.state_dict().items() if name != "count"}
    got = averaged(ours, model)
    assert got.pop("count") == 29  # torch averages counters too
    assert_equal(got, expected, 1e-6)


@pytest.mark.parametrize("every", [1, 3])
def test_ema_with_its_ramp_by_hand(every: int) -> None:
    model, kept = Model(), []
    averager = EmaConfig(decay=0.5, every_steps=every).build(model)
    epochs_of(averager, model, range(5), kept)
    expected, updates = kept[every - 1]["mean"].double(), 1
    for weights in kept[2 * every - 1 :: every]:
        decay = min(0.5, (1 + updates) / (10 + updates))
        expected = decay * expected + (1 - decay) * weights["mean"].double()
        updates += 1
    got = averaged(averager, model)
    torch.testing.assert_close(got["mean"].double(), expected, rtol=0, atol=1e-6)
    assert got["count"] == kept[len(kept) // every * every - 1]["count"]


def test_weights_of_low_precision_are_averaged_in_float32() -> None:
    model = Model()
    averager = EmaConfig(decay=0.999, warmup=False).build(model)
    averager.after_step(1, 0, False)
    with torch.no_grad():
        model.coarse += 1
    before = averaged(averager, model)["coarse"]
    for number in range(2, 600):
        averager.after_step(number, 0, False)
    assert (averaged(averager, model)["coarse"] - before).min() > 0.4  # bfloat16 would not move by a thousandth


def fail(model: Model) -> None:
    """Whatever an evaluation does to the weights is lost."""
    step(model, 99)
    raise KeyError("x")


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.kind)
def test_applied_and_taken_off_bit_for_bit(config: Any) -> None:
    model = Model()
    averager = config.build(model)
    epochs_of(averager, model, range(3))
    trained = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    places = {name: tensor.data_ptr() for name, tensor in model.state_dict().items()}
    with averager.applied():
        inside = model.state_dict()
        assert not torch.equal(inside["mean"], trained["mean"])
        assert {name: tensor.data_ptr() for name, tensor in inside.items()} == places  # in place
        assert model.tied is model.linear.weight
    assert_equal(model.state_dict(), trained)
    state = {name: tensor.clone() for name, tensor in averager.state_dict()["values"].items()}
    with pytest.raises(KeyError, match="x"), averager.applied():
        fail(model)
    assert_equal(model.state_dict(), trained)
    assert_equal(averager.state_dict()["values"], state)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.kind)
def test_resumed_after_any_step_it_is_the_same_bit_for_bit(config: Any) -> None:
    def run(resume_after: int | None) -> tuple[dict[str, Tensor], Any]:
        torch.manual_seed(0)
        model = Model()
        averager = config.build(model)
        for number in range(1, 6 * STEPS + 1):
            step(model, number)
            averager.after_step(number, (number - 1) // STEPS, number % STEPS == 0)
            if number == resume_after:
                buffer = io.BytesIO()
                torch.save({"model": model.state_dict(), "average": averager.state_dict()}, buffer)
                buffer.seek(0)
                saved = torch.load(buffer, weights_only=True)
                torch.manual_seed(1)
                model = Model()
                model.load_state_dict(saved["model"])
                averager = config.build(model)
                averager.load_state_dict(saved["average"])
        return averaged(averager, model), averager.state_dict()

    whole, whole_state = run(None)
    for number in range(1, 6 * STEPS + 1):
        again, state = run(number)
        assert_equal(again, whole)
        assert state["num"] == whole_state["num"]
        for key in {"values", "waiting"} & state.keys():
            assert_equal(state[key], whole_state[key])


def test_what_is_loaded_stays_the_callers() -> None:
    model = Model()
    averager = EmaConfig().build(model)
    epochs_of(averager, model, range(1))
    state = averager.state_dict() | {"values": {k: v.clone() for k, v in averager.state_dict()["values"].items()}}
    kept = {name: tensor.clone() for name, tensor in state["values"].items()}
    again = EmaConfig().build(model)
    again.load_state_dict(state)
    epochs_of(again, model, range(1, 2))
    assert_equal(state["values"], kept)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.kind)
def test_steps_that_change_nothing_leave_an_average_of_the_same(config: Any) -> None:
    model = Model()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    averager = config.build(model)
    for number in range(1, 40):
        averager.after_step(number, (number - 1) // STEPS, number % STEPS == 0)
    assert_equal(averaged(averager, model), before)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.kind)
def test_before_it_has_begun_there_is_none(config: Any) -> None:
    model = Model()
    averager = config.build(model)
    assert isinstance(averager, Averager)
    assert not averager.has_begun
    with pytest.raises(RuntimeError, match="has_begun"), averager.applied():
        pass
    state = averager.state_dict()
    epochs_of(averager, model, range(3))
    assert averager.has_begun
    averager.load_state_dict(state)
    assert not averager.has_begun


def test_a_masked_patch_model_with_frozen_parts() -> None:
    """What does not train is its own average, bit for bit."""
    model = zoo.build("ssast-patch-tiny", pretraining=True, embed_dim=24, depth=1, num_heads=3)
    averager = EmaConfig(decay=0.9, warmup=False).build(model)
    for number in range(1, 20):
        with torch.no_grad():
            model.mask_token += 1
        averager.after_step(number, 0, False)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    got = averaged(averager, model)
    assert {name for name in got if not torch.equal(got[name], before[name])} == {"mask_token"}


def test_the_state_of_another_average_or_model_is_one_line() -> None:
    model = Model()
    ema, epochs = EmaConfig().build(model), EpochsConfig(first=1, last=1).build(model)
    epochs_of(ema, model, range(1))
    with pytest.raises(CheckpointError, match=r"^average: found the state of 'ema' - expected 'snapshots' - resume "):
        epochs.load_state_dict(ema.state_dict())
    for other in (nn.Linear(5, 3), nn.Linear(5, 4)):
        theirs = EmaConfig().build(other)
        theirs.after_step(1, 0, True)
        with pytest.raises(CheckpointError, match=r"^average: found '.*' in the checkpoint or in the model alone, or "):
            EmaConfig().build(nn.Linear(6, 4)).load_state_dict(theirs.state_dict())


@pytest.mark.parametrize(
    ("config", "epochs", "message"),
    [
        (
            EpochsConfig(first=6, last=25),
            5,
            "train.average.last: found 25 for a run of 5 epochs - expected at most that - lower it",
        ),
        (SwaConfig(), 10, "train.average.start: found 50 for a run of 10 epochs - expected at most that - lower it"),
    ],
)
def test_a_run_that_is_too_short_is_one_line(config: Any, epochs: int, message: str) -> None:
    with pytest.raises(RecipeError) as error:
        config.check(epochs)
    assert str(error.value) == message
    config.check(None)
    config.check(50)
    EmaConfig().check(1)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kind": "ema", "decay": 1.0}, "less than 1"),
        ({"kind": "ema", "every_steps": 0}, "greater than or equal to 1"),
        ({"kind": "epochs", "first": 3, "last": 2}, "last: found 2 with first 3 - expected it or more"),
        ({"kind": "epochs", "first": 0, "last": 2}, "greater than or equal to 1"),
        ({"kind": "epochs"}, "Field required"),
        ({"kind": "swa", "every": 0}, "greater than or equal to 1"),
        ({"kind": "polyak"}, "'none', 'ema', 'epochs', 'swa'"),
    ],
)
def test_nonsense_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ADAPTER.validate_python(values)


def test_a_kind_alone_is_enough_where_it_has_defaults() -> None:
    assert [ADAPTER.validate_python(kind) for kind in ("ema", "swa", "none")] == [
        *(EmaConfig(), SwaConfig(), NoAverageConfig())
    ]
