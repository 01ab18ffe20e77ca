"""Several processes against one: the same batches, the same loss, the same gradients, the same evaluation."""

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.distributed.conftest import run, torchrun
from tests.distributed.one_step import ACCUMULATE, OBJECTIVES, found
from tests.distributed.test_shared_evaluation import same

Everything = dict[tuple[str, int], dict[str, Any]]


@pytest.fixture(scope="module")
def alone(sounds: Path) -> dict[str, dict[str, Any]]:
    """What one process finds, without accumulation."""
    torch.set_num_threads(1)
    return {command: found(sounds, command, 1) for command in OBJECTIVES}


@pytest.fixture(scope="module", params=[2, pytest.param(3, marks=pytest.mark.slow)])
def several(request: pytest.FixtureRequest, sounds: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Everything]:
    """What each of several processes finds."""
    out = tmp_path_factory.mktemp("several")
    run(torchrun(request.param, Path(__file__).with_name("one_step.py"), sounds, out))
    return [torch.load(out / f"{rank}.pt", weights_only=False) for rank in range(request.param)]


@pytest.mark.parametrize("accumulate", ACCUMULATE)
@pytest.mark.parametrize("command", OBJECTIVES)
def test_as_one_process(
    command: str, accumulate: int, several: list[Everything], alone: dict[str, dict[str, Any]]
) -> None:
    one, all_found = alone[command], [everything[command, accumulate] for everything in several]

    # Identical batches: the parts of each, put together.
    for step, names in enumerate(one["batches"]):
        turns = range(step * accumulate, (step + 1) * accumulate)
        assert sum((each["batches"][turn] for turn in turns for each in all_found), ()) == names
    assert all(len(each["batches"]) == accumulate * len(one["batches"]) for each in all_found)

    # The parts are of different size, so that a mean of means would be another number.
    shares = [share for each in all_found for share in each["counts"]]
    assert sum(shares) == pytest.approx(1)
    assert max(shares) > 1.05 * min(shares)

    assert float(sum(each["loss"] for each in all_found)) == pytest.approx(float(one["loss"]), abs=1e-6)
    for each in all_found:
        assert each["gradients"].keys() == one["gradients"].keys()
        for name, gradient in each["gradients"].items():
            torch.testing.assert_close(gradient, one["gradients"][name], rtol=0, atol=1e-5)
            assert torch.equal(gradient, all_found[0]["gradients"][name]), "the processes drift apart"
    assert max(gradient.abs().max() for gradient in one["gradients"].values()) > 1e-2

    for each in all_found:
        for what, result in each["evaluated"].items():
            assert same(result, one["evaluated"][what]), what
