"""The mean-patch baseline against loops over clips and patches."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from zoo.data.batch import Batch, Inputs
from zoo.evaluate.evaluation import evaluate_objective
from zoo.models.masked_patch import RECONSTRUCT, MaskedPatchModel
from zoo.models.registry import build_model, preset_config
from zoo.nn.patch import PatchGrid
from zoo.objectives.masked_patch import MaskedPatchConfig
from zoo.run.mean_patch import mean_patch_error, with_mean_patch


def model(**fields: Any) -> MaskedPatchModel:
    small = {"embed_dim": 8, "depth": 1, "num_heads": 2, "n_frames": 64, "num_masked": 0.5, "num_classes": 0}
    built = build_model(preset_config("ssast-patch-tiny", **{**small, **fields}), pretraining=True)
    assert isinstance(built, MaskedPatchModel)
    return built.eval()


def clips(count: int, frames: list[int], seed: int = 0) -> Inputs:
    generator = torch.Generator().manual_seed(seed)
    log_mel = 3 + torch.randn(count, 128, max(frames), generator=generator)
    return Inputs(log_mel, torch.tensor(frames), None, torch.arange(count) + 100 * seed, tuple(map(str, range(count))))


def slowly(model: MaskedPatchModel, inputs: Inputs, normalise: bool) -> list[float]:
    """The error of every masked patch, in float64."""
    rows, columns = 128 // 16, inputs.log_mel.shape[2] // 16
    assert inputs.num_frames is not None
    is_padded = torch.tensor(
        [[(patch % columns + 1) * 16 > frames for patch in range(rows * columns)] for frames in inputs.num_frames]
    )
    masks = model.draw(PatchGrid(rows, columns), inputs.keys, RECONSTRUCT, is_padded)
    errors = []
    for clip in range(len(inputs.keys)):

        def patch(number: int, clip: int = clip) -> Tensor:
            row, column = divmod(number, columns)
            values = inputs.log_mel[clip, 16 * row : 16 * row + 16, 16 * column : 16 * column + 16].double()
            if normalise:
                values = (values - values.mean()) / (values.var(correction=0) + 1e-6).sqrt()
            return values

        real = [number for number in range(rows * columns) if not is_padded[clip, number]]
        seen = [patch(number) for number in real if not masks[clip, number]]
        mean = sum(seen) / len(seen)
        errors += [float((patch(number) - mean).square().mean()) for number in real if masks[clip, number]]
    return errors


@pytest.mark.parametrize("fields", [{}, {"separate_masks": True}, {"num_masked": 3.0}])
@pytest.mark.parametrize("normalise", [False, True])
def test_against_loops(normalise: bool, fields: dict[str, Any]) -> None:
    built = model(**fields)
    inputs = clips(3, [64, 40, 17])
    found = mean_patch_error(built, inputs, normalise)
    errors = slowly(built, inputs, normalise)
    assert float(found) == pytest.approx(sum(errors) / len(errors), rel=1e-5)
    if normalise:
        assert 0.9 < float(found) < 1.3  # targets have variance 1, and noise has no mean to guess by


def test_padding_and_masked_patches_do_not_reach_it() -> None:
    built, inputs = model(), clips(2, [64, 33])
    before = mean_patch_error(built, inputs, False)
    inputs.log_mel[1, :, 32:] = torch.nan
    torch.testing.assert_close(mean_patch_error(built, inputs, False), before)


def test_a_perfect_guess_and_one_patch_alone() -> None:
    """A clip of equal patches is guessed without error; one of which nothing can be masked counts nothing."""
    built = model(cluster_size=(1, 1), patch_size=(128, 16), stride=(128, 16))
    inputs = clips(2, [64, 16])
    inputs.log_mel[0] = inputs.log_mel[0, :, :16].repeat(1, 4)
    assert float(mean_patch_error(built, inputs, True)) == pytest.approx(0, abs=1e-9)


def test_it_is_averaged_over_an_evaluation_as_the_reconstruction_is() -> None:
    """Every masked patch of all batches counts the same, however they lie in batches."""
    built = model()
    parts = {0: clips(3, [64, 40, 17], 1), 1: clips(1, [48], 2)}

    class Loader:
        def epoch(self, epoch: int, start_batch: int = 0) -> Iterator[Batch]:
            for number, part in parts.items():
                ids = torch.full((len(part.names),), number)
                yield Batch(torch.zeros(len(ids), 1), torch.ones_like(ids), None, ids, part.names)

    objective = with_mean_patch(MaskedPatchConfig(normalise_targets=True).build(), True)
    means = evaluate_objective(built, objective, Loader(), lambda batch, *_: parts[int(batch.ids[0])], "cpu")
    errors = [error for part in parts.values() for error in slowly(built, part, True)]
    assert means.scalars["mean_patch_loss"] == pytest.approx(sum(errors) / len(errors), rel=1e-5)
    assert {"loss/total", "loss/reconstruct", "pretext/accuracy", "pretext/chance"} < set(means.scalars)


def test_a_model_that_says_the_mean_has_its_loss() -> None:
    """The baseline is the reconstruction loss of the very answer that it is said to be."""
    built = model(num_masked=8.0)
    inputs = clips(2, [64, 64])
    normal = MaskedPatchConfig(normalise_targets=False)

    class SaysTheMean(torch.nn.Module):
        def forward(self, log_mel: Tensor, num_frames: Tensor, keys: Tensor) -> Any:
            answer = built(log_mel, num_frames, keys).reconstruct
            values = log_mel.unfold(1, 16, 16).unfold(2, 16, 16).flatten(3).flatten(1, 2)
            count = values.shape[1] - answer.length[:, None]
            mean = (values.sum(1) - answer.target.sum(1)) / count
            said = answer._replace(output=mean[:, None].expand_as(answer.target))
            return said, said

    _, _, scalars = normal.build()(SaysTheMean(), inputs)
    assert float(mean_patch_error(built, inputs, False)) == pytest.approx(float(scalars["loss/reconstruct"]), rel=1e-5)
