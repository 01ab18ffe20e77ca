"""The released joint loss of SSAST, two passes with a mask each, and our default, one pass with one mask."""

from pathlib import Path

import numpy as np
import pytest
import torch
from golden import DATA, Golden, golden_paths
from kinds import KINDS
from kinds.kind import log_mel_of
from kinds.ssast import masks_of

from zoo.data.batch import Inputs
from zoo.models.masked_patch import RECONSTRUCT, MaskedPatchModel
from zoo.objectives.masked_patch import MaskedPatchConfig

PATHS = [path for path in golden_paths(DATA) if Golden(path).kind == "ssast_pretrain"]
RELEASED = MaskedPatchConfig(reconstruct_weight=10.0, softmax_over="predictions")
PAIRS = [("a", "b"), ("b", "a"), ("a", "a")]


def inputs_of(x: torch.Tensor) -> Inputs:
    batch = x.shape[0]
    return Inputs(x, None, None, torch.arange(batch), tuple(f"clip {i}" for i in range(batch)))


def tolerance_of(golden: Golden, name: str) -> float:
    return next(output["tolerance"]["atol"] for output in golden.meta["outputs"] if output["name"] == name)


@pytest.mark.parametrize(("of_classify", "of_reconstruct"), PAIRS)
@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_the_two_pass_loss_is_the_released_one(
    path: Path, of_classify: str, of_reconstruct: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NCE of one mask + 10 * MSE of the other, through the objective that training has; the draws alone are stated."""
    golden = Golden(path)
    model: MaskedPatchModel = KINDS[golden.kind].build(golden, tmp_path).requires_grad_(False)
    masks = {letter: is_masked for letter, (_, is_masked) in masks_of(golden).items()}
    model.separate_masks = True
    model.num_masked = float(max(int(mask.sum(dim=1).max()) for mask in masks.values()))
    drawn = []

    def draw(_grid: object, _keys: object, task: str, _is_padded: object) -> torch.Tensor:
        drawn.append(task)
        return masks[of_reconstruct if task == RECONSTRUCT else of_classify]

    monkeypatch.setattr(model, "draw", draw)
    x = log_mel_of(golden.inputs()["x"])
    loss, _, scalars = RELEASED.build(None)(model, inputs_of(x))
    nce, mse = golden.arrays[f"mpc_nce_{of_classify}"], golden.arrays[f"mpg_mse_{of_reconstruct}"]
    limit = tolerance_of(golden, f"mpc_nce_{of_classify}") + 10 * tolerance_of(golden, f"mpg_mse_{of_reconstruct}")
    assert float(loss) == pytest.approx(float(nce + 10 * mse), abs=limit)
    assert float(scalars["pretext/accuracy"]) == pytest.approx(float(golden.arrays[f"mpc_acc_{of_classify}"]))
    assert len(drawn) == 2


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_one_pass_is_the_same_loss_at_one_mask(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Our default looks at one mask: with it the released loss costs half, and is the released numbers at that mask."""
    golden = Golden(path)
    model: MaskedPatchModel = KINDS[golden.kind].build(golden, tmp_path).requires_grad_(False)
    _, is_masked = masks_of(golden)["a"]
    model.num_masked = float(is_masked[0].sum())
    monkeypatch.setattr(model, "draw", lambda *_: is_masked)
    x = log_mel_of(golden.inputs()["x"])
    loss, *_ = RELEASED.build(None)(model, inputs_of(x))
    limit = tolerance_of(golden, "mpc_nce_a") + 10 * tolerance_of(golden, "mpg_mse_a")
    released = golden.arrays["mpc_nce_a"] + 10 * golden.arrays["mpg_mse_a"]
    assert np.abs(float(loss) - released) <= limit
