"""Means between two logs, and the step that was not finite."""

import math

import pytest
import torch

from zoo.errors import ZooError
from zoo.train.window import Window

CPU = torch.device("cpu")


def fill(window: Window, steps: range, bad: dict[int, float] | None = None) -> None:
    for step in steps:
        loss = torch.tensor((bad or {}).get(step, float(step)))
        window.add(step, (f"{step}a.wav", f"{step}b.wav"), loss, {"loss": loss, "norm": torch.tensor(0.5)})


def test_means_then_empty() -> None:
    window = Window(CPU)
    fill(window, range(1, 5))
    assert window.read() == {"loss": 2.5, "norm": 0.5}
    fill(window, range(5, 6))
    assert window.read() == {"loss": 5.0, "norm": 0.5}
    assert window.read() == {}


def test_a_window_saved_half_way_gives_the_same_means_to_the_last_bit() -> None:
    whole, half = Window(CPU), Window(CPU)
    values = torch.rand(20)
    for window in (whole, half):
        for step in range(11):
            window.add(step, (), values[step], {"x": values[step]})
    resumed = Window(CPU)
    resumed.load_state_dict(half.state_dict())
    for window in (whole, resumed):
        for step in range(11, 20):
            window.add(step, (), values[step], {"x": values[step]})
    assert whole.read() == resumed.read()


def test_saved_sums_do_not_move_on() -> None:
    window = Window(CPU)
    fill(window, range(1, 3))
    state = window.state_dict()
    fill(window, range(3, 9))
    assert state["sums"].tolist() == [3.0, 1.0]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_the_first_step_that_is_not_finite_is_named(value: float) -> None:
    window = Window(CPU)
    fill(window, range(1, 9), {4: value, 6: math.nan})
    for call in (window.check, window.read):
        with pytest.raises(ZooError, match=r"not finite at step 4 \(clips 4a\.wav, 4b\.wav\) - expected finite"):
            call()


def test_checking_does_not_forget_the_sums() -> None:
    window = Window(CPU)
    fill(window, range(1, 3))
    window.check()
    fill(window, range(3, 5))
    assert window.read()["loss"] == 2.5


def test_many_clips_are_shortened() -> None:
    window = Window(CPU)
    names = tuple(f"{i}.wav" for i in range(8))
    window.add(1, names, torch.tensor(math.nan), {"x": torch.tensor(0.0)})
    with pytest.raises(ZooError, match=r"\(clips 0\.wav, 1\.wav, 2\.wav, 3\.wav, 4\.wav and 3 more\)"):
        window.check()


def test_tags_may_not_change() -> None:
    window = Window(CPU)
    fill(window, range(1, 2))
    with pytest.raises(ValueError, match="may not change"):
        window.add(2, (), torch.tensor(0.0), {"other": torch.tensor(0.0)})
