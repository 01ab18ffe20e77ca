"""One step, whole and in parts: the same loss and the same gradients, and none at all where something is not finite."""

import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from zoo.data.batch import Batch, Inputs
from zoo.objectives.masked_patch import MaskedPatchConfig
from zoo.train.optim import AdamConfig, AdamWConfig
from zoo.train.plan import Plan
from zoo.train.step import Stepper, Taken

BATCH, WIDTH = 7, 5


def batch_of(clips: slice) -> Batch:
    waveform = torch.randn(BATCH, WIDTH, generator=torch.Generator().manual_seed(1))[clips]
    ids = torch.arange(BATCH)[clips]
    samples = torch.full((len(ids),), WIDTH)
    return Batch(waveform, samples, waveform[:, :2], ids, tuple(map(str, ids.tolist())))


def make_inputs(batch: Batch, epoch: int, training: bool) -> Inputs:
    assert batch.waveform is not None
    return Inputs(batch.waveform[:, None], None, batch.target, batch.ids, batch.names)


def objective(model: nn.Module, inputs: Inputs) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """A mean over things of which clip i has i + 1, as clips of different length have masked patches."""
    error = (model(inputs.log_mel[:, 0]) - inputs.target).square().mean(dim=1)
    weight = inputs.keys.float() + 1
    loss = (error * weight).sum() / weight.sum()
    return loss, weight.sum(), {"loss/part": loss.detach() / 2}


def make_model() -> nn.Sequential:
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(WIDTH, 6), nn.GELU(), nn.Linear(6, 2))


def stepper(model: nn.Module, optim: Any = None, objective: Any = objective, **plan: Any) -> Stepper:
    optimiser = (optim or AdamWConfig(lr=0.01)).build(model)
    return Stepper(model, objective, make_inputs, optimiser, Plan(10, 0, **plan), lambda is_bad: is_bad)


def gradients(model: nn.Module) -> list[Tensor]:
    return [parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None]


def of_all(taken: Taken, tag: str) -> float:
    return float(sum(share * found[tag] for share, found in zip(taken.shares, taken.scalars, strict=True)))


@pytest.mark.parametrize("cuts", [[3], [1, 2], [2, 4, 6], list(range(1, BATCH))])
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_parts_make_the_whole(cuts: Sequence[int], precision: Any) -> None:
    whole, parted = make_model(), make_model()
    slices = [slice(a, b) for a, b in zip([0, *cuts], [*cuts, BATCH], strict=True)]
    parts = [batch_of(part) for part in slices]
    in_one, in_parts = stepper(whole, precision=precision), stepper(parted, precision=precision)
    for step in range(10):  # without a learning rate: fp16 finds its scale
        one, many = in_one.take([batch_of(slice(None))], 0, step, 0.0), in_parts.take(parts, 0, step, 0.0)
    tolerance = 1e-6 if precision == "fp32" else 2e-2
    for a, b in zip(gradients(whole), gradients(parted), strict=True):
        torch.testing.assert_close(a, b, atol=tolerance, rtol=0)
    for tag in ("loss/total", "loss/part", "optim/grad_norm"):
        assert of_all(one, tag) == pytest.approx(of_all(many, tag), rel=tolerance)
    assert float(sum(many.shares)) == pytest.approx(1)
    assert float(one.grad_norm) == pytest.approx(float(many.grad_norm), rel=10 * tolerance)


def test_one_part_is_the_plain_loss_to_the_last_bit() -> None:
    model, plain = make_model(), make_model()
    stepper(model).take([batch_of(slice(None))], 0, 0, 1.0)
    objective(plain, make_inputs(batch_of(slice(None)), 0, True))[0].backward()
    for a, b in zip(gradients(model), gradients(plain), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("optim", [AdamWConfig(lr=0.01), AdamConfig(lr=0.01)], ids=["adamw", "adam"])
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_step_that_is_not_finite_changes_nothing(optim: Any, precision: Any, value: float) -> None:
    model = make_model()
    spoilt: list[bool] = []

    def spoiling(model: nn.Module, inputs: Inputs) -> Any:
        loss, count, scalars = objective(model, inputs)
        return (loss * value if spoilt else loss), count, scalars

    steps = stepper(model, optim, spoiling, precision=precision, accumulate=2)
    batches = [batch_of(slice(0, 4)), batch_of(slice(4, None))]
    for step in range(8):  # fp16 finds its scale first
        steps.take(batches, 0, step, 1.0)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    moments = [value.clone() for state in steps.optimiser.state.values() for value in state.values()]
    spoilt.append(True)
    taken = steps.take(batches, 0, 8, 1.0)
    assert bool(taken.is_bad)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    after = [value for state in steps.optimiser.state.values() for value in state.values()]
    assert all(torch.equal(a, b) for a, b in zip(after, moments, strict=True))
    spoilt.clear()
    assert not bool(steps.take(batches, 0, 9, 1.0).is_bad)
    if precision != "fp16":  # whose scale may have to come down again
        assert not torch.equal(model.state_dict()["0.weight"], before["0.weight"])


def test_an_overflow_of_fp16_gradients_is_no_bad_step_and_lowers_the_scale() -> None:
    model = make_model()

    def steep(model: nn.Module, inputs: Inputs) -> Any:
        loss, count, scalars = objective(model, inputs)
        return loss * 1e4, count, scalars

    steps = stepper(model, objective=steep, precision="fp16")
    scale = steps.scaler.get_scale()
    before = model.state_dict()["0.weight"].clone()
    taken = steps.take([batch_of(slice(None))], 0, 0, 1.0)
    assert not bool(taken.is_bad)
    assert bool(taken.is_left_out)
    assert torch.equal(model.state_dict()["0.weight"], before)
    assert steps.scaler.get_scale() == scale / 2
    for step in range(1, 30):
        steps.take([batch_of(slice(None))], 0, step, 1.0)
    assert not torch.equal(model.state_dict()["0.weight"], before)


class NotFiniteGradient(torch.autograd.Function):
    """Adds 0, with a gradient that is not finite."""

    @staticmethod
    def forward(ctx: Any, loss: Tensor) -> Tensor:
        return loss.clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad * math.nan


def test_fp16_gradients_that_no_scale_makes_finite_are_bad_steps() -> None:
    def broken(model: nn.Module, inputs: Inputs) -> Any:
        loss, count, scalars = objective(model, inputs)
        return NotFiniteGradient.apply(loss), count, scalars

    model = make_model()
    steps = stepper(model, objective=broken, precision="fp16")
    before = model.state_dict()["0.weight"].clone()
    bad = [bool(steps.take([batch_of(slice(None))], 0, step, 1.0).is_bad) for step in range(30)]
    assert bad == [False] * 17 + [True] * 13  # 2 ** 16 halves down to 1, and once more
    assert torch.equal(model.state_dict()["0.weight"], before)


def test_clips_without_a_masked_patch_weigh_nothing() -> None:
    class Predictions(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.tensor(0.5))

        def forward(self, log_mel: Tensor, num_frames: Tensor | None, keys: Tensor) -> Any:
            patches = log_mel.expand(-1, 4, -1)
            lengths = torch.where(keys == 0, 0, 3)
            return ((patches * self.scale, patches, lengths),) * 2

    config = MaskedPatchConfig()
    whole, parted = Predictions(), Predictions()
    stepper(whole, objective=config.build()).take([batch_of(slice(None))], 0, 0, 1.0)
    taken = stepper(parted, objective=config.build()).take([batch_of(slice(0, 1)), batch_of(slice(1, None))], 0, 0, 1.0)
    assert [float(share) for share in taken.shares] == [0.0, 1.0]
    assert whole.scale.grad is not None
    assert parted.scale.grad is not None
    torch.testing.assert_close(whole.scale.grad, parted.scale.grad)
