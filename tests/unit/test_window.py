"""Means between two logs."""

import math

import pytest
import torch

from tests.distributed.threads import together
from zoo.group import Group
from zoo.train.window import Window

CPU = torch.device("cpu")
ONE = torch.tensor(1.0)
NO, YES = torch.tensor(False), torch.tensor(True)


def fill(window: Window, steps: range) -> None:
    for step in steps:
        window.add([{"loss": torch.tensor(float(step)), "norm": torch.tensor(0.5)}], [ONE], NO)


def test_means_then_empty() -> None:
    window = Window(CPU)
    fill(window, range(1, 5))
    assert window.read() == {"loss": 2.5, "norm": 0.5}
    fill(window, range(5, 6))
    assert window.read() == {"loss": 5.0, "norm": 0.5}
    assert window.read() == {}


def test_parts_count_by_their_share_and_steps_alike() -> None:
    window = Window(CPU)
    window.add([{"x": torch.tensor(1.0)}, {"x": torch.tensor(5.0)}], [torch.tensor(0.75), torch.tensor(0.25)], NO)
    window.add([{"x": torch.tensor(6.0)}], [ONE], NO)
    assert window.read() == {"x": 4.0}


def test_a_window_saved_half_way_gives_the_same_means_to_the_last_bit() -> None:
    whole, half = Window(CPU), Window(CPU)
    values = torch.rand(20)
    for window in (whole, half):
        for step in range(11):
            window.add([{"x": values[step]}], [ONE], NO)
    resumed = Window(CPU)
    resumed.load_state_dict(half.state_dict())
    for window in (whole, resumed):
        for step in range(11, 20):
            window.add([{"x": values[step]}], [ONE], NO)
    assert whole.read() == resumed.read()


def test_saved_sums_do_not_move_on() -> None:
    window = Window(CPU)
    fill(window, range(1, 3))
    state = window.state_dict()
    fill(window, range(3, 9))
    assert state["sums"].tolist() == [[3.0, 1.0, 2.0]]
    assert window.read()["loss"] == 4.5


def test_steps_that_were_not_taken_do_not_count() -> None:
    window = Window(CPU)
    window.add([{"x": torch.tensor(math.nan)}], [ONE], YES)
    assert window.read() == {}
    for step in range(1, 5):
        window.add([{"x": torch.tensor(math.inf if step == 3 else float(step))}], [ONE], torch.tensor(step == 3))
    assert window.read() == {"x": pytest.approx((1 + 2 + 4) / 3)}


def test_tags_may_not_change() -> None:
    window = Window(CPU)
    fill(window, range(1, 2))
    with pytest.raises(ValueError, match="may not change"):
        window.add([{"other": torch.tensor(0.0)}], [ONE], NO)


def test_several_processes_resume_as_they_were() -> None:
    """Each with its own sums: saving and resuming move no bit. Another number of processes has the same mean."""

    def sums(group: Group) -> list[float]:
        window = Window(CPU, group)
        fill(window, range(1, 3 + group.rank))
        state = window.state_dict()
        assert torch.equal(window._sums, state["sums"][group.rank])
        resumed = Window(CPU, group)
        resumed.load_state_dict(state)
        assert torch.equal(resumed._sums, window._sums)
        alone = Window(CPU)
        alone.load_state_dict(state)
        return alone._sums.tolist()

    one, other = Window(CPU), Window(CPU)
    fill(one, range(1, 3))
    fill(other, range(1, 4))
    total = (one._sums + other._sums).tolist()
    assert together(2, sums) == [total, total]


def test_a_checkpoint_of_other_tags_loses_its_steps_since_the_last_log_and_no_more() -> None:
    """As one of an older version has, which knew no norms by part."""
    before, after = Window(CPU), Window(CPU)
    fill(before, range(1, 4))
    after.load_state_dict(before.state_dict())
    after.add([{"loss": torch.tensor(7.0), "norm": ONE, "norm/head": ONE}], [ONE], NO)
    assert after.read() == {"loss": 7.0, "norm": 1.0, "norm/head": 1.0}
    fill(after, range(1, 2))
    with pytest.raises(ValueError, match="may not change"):
        after.add([{"loss": ONE}], [ONE], NO)
