"""The schedule at named points, and as a function of clips alone."""

import itertools
import math
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from zoo.errors import RecipeError
from zoo.train.length import Length
from zoo.train.schedule import ConstantConfig, CosineConfig, PasstConfig, ScheduleConfig, StepConfig


def clips_long(total: int) -> Length:
    return Length(total, clips_per_step=4, clips_per_epoch=max(total // 2, 1))


def test_values_by_hand() -> None:
    factor = CosineConfig(warmup_clips=100, final_share=0.1).build(clips_long(1100))
    assert factor(0) == pytest.approx(1 / 101)
    assert factor(49) == pytest.approx(50 / 101)
    assert factor(100) == 1.0
    assert factor(600) == pytest.approx(0.1 + 0.9 * 0.5)
    assert factor(350) == pytest.approx(0.1 + 0.9 * (1 + math.cos(math.pi / 4)) / 2)
    assert factor(1100) == pytest.approx(0.1)
    assert factor(5000) == pytest.approx(0.1)


def test_a_warmup_below_1_is_a_share_of_the_run() -> None:
    share, count = (
        CosineConfig(warmup_clips=0.1).build(clips_long(1000)),
        CosineConfig(warmup_clips=100).build(clips_long(1000)),
    )
    assert [share(clips) for clips in range(0, 1001, 7)] == [count(clips) for clips in range(0, 1001, 7)]


def test_it_rises_then_falls_and_is_never_0_before_the_end() -> None:
    factor = CosineConfig(warmup_clips=0.2).build(clips_long(500))
    values = [factor(clips) for clips in range(501)]
    assert all(a < b for a, b in itertools.pairwise(values[:101]))
    assert all(a > b for a, b in itertools.pairwise(values[100:]))
    assert min(values[:-1]) > 0
    assert max(values) == 1.0


@pytest.mark.parametrize("total", [1, 2, 16])
def test_runs_of_few_clips(total: int) -> None:
    factor = CosineConfig().build(clips_long(total))
    assert all(0 < factor(clips) <= 1 for clips in range(total))


def test_no_warmup_and_constant() -> None:
    factor = CosineConfig(warmup_clips=0, final_share=1.0).build(clips_long(100))
    assert {factor(clips) for clips in range(101)} == {1.0}


def test_warmup_of_the_whole_run_is_allowed_and_longer_is_an_error() -> None:
    assert CosineConfig(warmup_clips=100).build(clips_long(100))(99) == pytest.approx(100 / 101)
    expected = r"schedule\.warmup_clips: found 5000 for a run of 4000 clips - expected at most its length"
    with pytest.raises(RecipeError, match=expected):
        CosineConfig(warmup_clips=5000).build(clips_long(4000))
    with pytest.raises(ValidationError):
        CosineConfig(final_share=1.5)


def test_constant_after_the_same_warmup() -> None:
    factor, cosine = ConstantConfig().build(clips_long(1000)), CosineConfig().build(clips_long(1000))
    assert [factor(clips) for clips in range(100)] == [cosine(clips) for clips in range(100)]
    assert {factor(clips) for clips in range(100, 2000)} == {1.0}
    assert {ConstantConfig(warmup_clips=0).build(clips_long(1000))(clips) for clips in range(50)} == {1.0}
    with pytest.raises(RecipeError, match=r"^schedule\.warmup_clips: found 5000 for a run of 4000 clips - "):
        ConstantConfig(warmup_clips=5000).build(clips_long(4000))


def released_rates(
    epochs: int, steps_per_epoch: int, start: int, every: int, gamma: float, warmup: bool
) -> list[float]:
    """The loop of the released AST in its own terms, with torch's MultiStepLR: the rate of every step, of 1."""
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    milestones = list(range(start, 1000, every))
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimiser, milestones, gamma)
    rates, global_step = [], 0
    for _ in range(epochs):
        for _ in range(steps_per_epoch):
            if warmup and global_step <= 1000 and global_step % 50 == 0:
                optimiser.param_groups[0]["lr"] = global_step / 1000
            rates.append(optimiser.param_groups[0]["lr"])
            optimiser.step()
            global_step += 1
        scheduler.step()
    return rates


@pytest.mark.parametrize(
    ("epochs", "steps_per_epoch", "start", "every", "gamma", "warmup"),
    [
        (5, 1_700, 2, 1, 0.5, True),  # AudioSet
        (25, 180, 10, 5, 0.5, True),  # balanced AudioSet, with a tenth of the clips
        (25, 33, 5, 1, 0.85, False),  # ESC-50
        (30, 66, 5, 1, 0.85, True),  # Speech Commands, with a tenth of the clips: milestones within the warm-up
        (12, 100, 10, 1, 0.5, True),  # a milestone just before the step that ends the warm-up
        (9, 333, 1, 2, 0.3, True),
        (50, 33, 6, 1, 0.85, False),  # SSAST on ESC-50
    ],
)
def test_steps_equal_the_released_loop(
    epochs: int, steps_per_epoch: int, start: int, every: int, gamma: float, warmup: bool
) -> None:
    length = Length(epochs * steps_per_epoch * 12, 12, steps_per_epoch * 12)
    config = StepConfig(gamma=gamma, start_epoch=start, every_epochs=every, warmup_steps=1000 if warmup else 0)
    factor = config.build(length)
    expected = released_rates(epochs, steps_per_epoch, start, every, gamma, warmup)
    assert [factor(12 * step) for step in range(epochs * steps_per_epoch)] == pytest.approx(expected, rel=1e-12)


def test_the_staircase_by_hand() -> None:
    """1,000 steps of 12 clips: a rate of 0 for 50 steps, then .05 for 50, ..., .95, and 1 from step 1,000 on."""
    factor = StepConfig().build(Length(100_000, 12, 20_000))
    assert [factor(12 * step) for step in (0, 49, 50, 99, 100, 949, 950, 999, 1000, 1001)] == [
        *(0, 0, 0.05, 0.05, 0.1, 0.9, 0.95, 0.95, 1, 1),
    ]


def test_milestones_by_hand() -> None:
    factor = StepConfig(gamma=0.5, start_epoch=2, every_epochs=3, warmup_steps=0).build(Length(1000, 5, 100))
    assert [factor(clips) for clips in (0, 199, 200, 499, 500, 799, 800, 999)] == [
        1,
        1,
        0.5,
        0.5,
        0.25,
        0.25,
        0.125,
        0.125,
    ]


def test_a_plain_linear_warmup_loses_no_milestone() -> None:
    factor = StepConfig(start_epoch=1, every_epochs=1, warmup_steps=10, warmup_stair=None).build(Length(400, 10, 50))
    assert factor(0) == pytest.approx(1 / 11)
    assert factor(40) == pytest.approx(5 / 11)
    assert factor(50) == pytest.approx(0.5 * 6 / 11)
    assert factor(100) == pytest.approx(0.25)


AUDIOSET = {0: 0.01742, 1: 0.04076, 2: 0.16530, 3: 0.44933, 4: 0.81873, 5: 1, 30: 1, 50: 1, 51: 0.9802, 75: 0.505}
AUDIOSET |= {99: 0.0298, 100: 0.01, 101: 0.01, 129: 0.01}
FSD50K = {0: 0.01742, 4: 0.81873, 5: 1, 10: 1, 11: 0.901, 15: 0.505, 19: 0.109, 20: 0.01, 49: 0.01}


@pytest.mark.parametrize(
    ("config", "epochs", "expected"),
    [
        (PasstConfig(), 130, AUDIOSET),
        (PasstConfig(ramp_down_start=10, ramp_down_epochs=10), 50, FSD50K),
        (PasstConfig(), 10, {4: 0.81873, 5: 1, 9: 1}),  # ESC-50 and OpenMIC-2018: the run ends before the ramp
        (PasstConfig(warmup_epochs=0, ramp_down_start=2, ramp_down_epochs=0, final_share=0.5), 5, {0: 1, 2: 1, 3: 0.5}),
        (PasstConfig(warmup_epochs=4, ramp_down_start=0, ramp_down_epochs=2, final_share=0), 5, {1: 0.03003, 2: 0}),
    ],
)
def test_the_published_values_of_passt(config: PasstConfig, epochs: int, expected: dict[int, float]) -> None:
    factor = config.build(Length(epochs * 100, 12, 100))
    for epoch, value in expected.items():
        assert (
            factor(100 * epoch) == factor(100 * epoch + 99) == pytest.approx(value, abs=6e-6 if value < 0.9 else 1e-4)
        )


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            StepConfig(),
            "schedule.warmup_steps: found 1000 for a run of 100 steps - expected at most its length - "
            "shorten the warm-up",
        ),
        (
            PasstConfig(warmup_epochs=11),
            "schedule.warmup_epochs: found 11 for a run of 10 epochs - expected at most its length - "
            "shorten the warm-up",
        ),
    ],
)
def test_a_warmup_that_does_not_end_in_time_is_one_line(config: StepConfig | PasstConfig, message: str) -> None:
    with pytest.raises(RecipeError) as error:
        config.build(Length(1000, 10, 100))
    assert str(error.value) == message


def test_what_is_not_known_yet_is_not_refused() -> None:
    for config in (CosineConfig(warmup_clips=100), ConstantConfig(warmup_clips=100), StepConfig(), PasstConfig()):
        config.check()
    StepConfig().check(clips=10, epochs=1, steps=1000)
    PasstConfig().check(clips=10, steps=1, epochs=4.5)
    with pytest.raises(RecipeError):
        StepConfig().check(steps=999)
    with pytest.raises(RecipeError):
        PasstConfig().check(epochs=4)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"kind": "step", "warmup_steps": 70},
            "warmup_stair: found 50 with warmup_steps 70 - expected a divisor of it",
        ),
        ({"kind": "step", "gamma": 0}, "greater than 0"),
        ({"kind": "step", "start_epoch": 0}, "greater than or equal to 1"),
        ({"kind": "step", "warmup_stair": 0}, "greater than or equal to 1"),
        ({"kind": "passt", "final_share": 2}, "less than or equal to 1"),
        ({"kind": "constant", "final_share": 1}, "Extra inputs"),
        ({"kind": "plateau"}, "'cosine', 'constant', 'step', 'passt'"),
    ],
)
def test_nonsense_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TypeAdapter(ScheduleConfig).validate_python(values)


def test_without_a_kind_it_is_cosine() -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(ScheduleConfig)
    assert adapter.validate_python({"final_share": 0.5}) == CosineConfig(final_share=0.5)
    assert adapter.validate_python({"kind": "passt"}) == PasstConfig()
