"""Gradients of both pretext losses against `slow_pretext`: by the outputs, and through a small model by its weights."""

import copy
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import zoo
from tests.unit.slow_pretext import Clips, normalised, slow_error, slow_info_nce
from zoo.data.batch import Inputs
from zoo.draws import clip_keys
from zoo.models.masked_patch import MaskedPatches
from zoo.objectives.masked_patch import MaskedPatchConfig, info_nce, reconstruction_error

SETTINGS: list[dict[str, Any]] = [
    {},
    {"softmax_over": "predictions", "temperature": 16.0},
    {"normalise_targets": True, "temperature": 4.0, "reconstruct_weight": 3.0, "classify_weight": 0.5},
    {"normalise_targets": True, "softmax_over": "predictions"},
    {"classify_weight": 0},
    {"reconstruct_weight": 0, "softmax_over": "predictions"},
]


def patches_of(rows: Tensor, length: Tensor) -> Clips:
    """The real rows of a padded (B, L, K)."""
    return [[row.double().numpy() for row in clip[:count]] for clip, count in zip(rows, length.tolist(), strict=True)]


def padded(clips: Clips, like: Tensor) -> Tensor:
    filled = torch.zeros(like.shape, dtype=torch.float64)
    for clip, rows in enumerate(clips):
        for place, row in enumerate(rows):
            filled[clip, place] = torch.from_numpy(np.asarray(row))
    return filled


def slow_parts(task: MaskedPatches, config: MaskedPatchConfig, is_classify: bool) -> tuple[float, Tensor]:
    """One task's loss, and its derivative by the outputs."""
    predictions, targets = (patches_of(part.detach(), task.length) for part in (task.output, task.target))
    if config.normalise_targets:
        targets = [[normalised(row) for row in clip] for clip in targets]
    if is_classify:
        found = slow_info_nce(predictions, targets, config.temperature, config.softmax_over)
    else:
        found = slow_error(predictions, targets)
    return found.loss, padded(found.gradient, task.output)


def triple(seed: int, length: list[int]) -> MaskedPatches:
    generator = torch.Generator().manual_seed(seed)
    output, target = torch.randn(2, len(length), max(length), 6, generator=generator)
    return MaskedPatches(output, target, torch.tensor(length))


@pytest.mark.parametrize("lengths", [[1], [5], [7, 3, 0, 5], [1, 2]])
@pytest.mark.parametrize("over", ["targets", "predictions"])
@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_gradients_by_the_outputs(temperature: float, over: Any, lengths: list[int]) -> None:
    """Of each loss alone; rows beyond a clip's length hold anything, and get exactly nothing."""
    given = triple(3, lengths)
    config = MaskedPatchConfig(temperature=temperature, softmax_over=over)
    is_real = torch.arange(max(lengths)) < given.length[:, None]
    for is_classify in (False, True):
        output = given.output.clone().requires_grad_()
        if is_classify:
            loss, *_ = info_nce(output, given.target, given.length, temperature, over)
        else:
            loss = reconstruction_error(output, given.target, given.length)
        expected, derivative = slow_parts(given, config, is_classify)
        (gradient,) = torch.autograd.grad(loss, output)
        assert float(loss.detach()) == pytest.approx(expected, rel=1e-5, abs=1e-6)
        torch.testing.assert_close(gradient.double(), derivative, atol=1e-6, rtol=1e-5)
        assert not gradient[~is_real].any()


def test_the_two_directions_have_different_gradients() -> None:
    """So that the test above would see them confused."""
    given = triple(3, [7, 3])
    found = [slow_parts(given, MaskedPatchConfig(softmax_over=over), True)[1] for over in ("targets", "predictions")]
    assert (found[0] - found[1]).abs().max() > 0.1 * found[0].abs().max()


def test_why_the_softmax_is_over_targets() -> None:
    """What patches have in common then changes nothing; over predictions, a patch of zeros learns nothing."""
    given = triple(3, [7])
    common = torch.randn(6) * 5
    losses = {
        over: [float(info_nce(given.output, target, given.length, 1.0, over)[0]) for target in targets]
        for over in ("targets", "predictions")
        for targets in [(given.target, given.target + common)]
    }
    assert losses["targets"][0] == pytest.approx(losses["targets"][1], rel=1e-4)
    assert abs(losses["predictions"][0] - losses["predictions"][1]) > 0.1

    target = given.target.clone()
    target[0, 2] = 0
    for over, learns in (("targets", True), ("predictions", False)):
        output = given.output.clone().requires_grad_()
        scores = output[0] @ target[0].T
        own = scores.log_softmax(dim=1 if over == "targets" else 0)[2, 2]
        (gradient,) = torch.autograd.grad(own, output)
        assert bool(gradient.any()) is learns
        if not learns:
            assert float(own.detach()) == pytest.approx(-math.log(7))  # chance


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("fields", [{}, {"separate_masks": True}, {"encode": "visible", "masks_per_clip": 2}], ids=str)
def test_gradients_by_the_weights(fields: dict[str, Any], settings: dict[str, Any]) -> None:
    """The whole step in float32 against the same model in float64, whose outputs get the derivatives of the slow code.

    Clips of three lengths; two tasks, each with its own head, and one trunk that both reach.
    """
    torch.manual_seed(0)
    numbers: dict[str, Any] = {"embed_dim": 16, "depth": 2, "num_heads": 2, "n_frames": 64, "num_masked": 0.4}
    model: Any = zoo.build("ssast-patch-tiny", pretraining=True, **numbers, **fields).train()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    config = MaskedPatchConfig(**settings)
    x, num_frames, keys = torch.randn(3, 128, 64), torch.tensor([64, 48, 20]), clip_keys(1, 0, torch.arange(3))

    exact = copy.deepcopy(model).double()
    tasks = exact(x.double(), num_frames, keys)
    weights = (config.reconstruct_weight, config.classify_weight)
    slow = [slow_parts(task, config, number == 1) for number, task in enumerate(tasks)]
    torch.autograd.backward(
        [task.output for task in tasks], [weight * one for weight, (_, one) in zip(weights, slow, strict=True)]
    )

    loss, count, scalars = config.build()(model, Inputs(x, num_frames, None, keys, ("a", "b", "c")))
    loss.backward()
    expected = sum(weight * value for weight, (value, _) in zip(weights, slow, strict=True))
    assert float(count) == int(tasks.reconstruct.length.sum()) > 0
    assert len(set(tasks.reconstruct.length.tolist())) == 3
    assert float(loss.detach()) == pytest.approx(expected, rel=1e-5)
    assert float(scalars["loss/reconstruct"]) == pytest.approx(slow[0][0], rel=1e-5)
    assert float(scalars["loss/classify"]) == pytest.approx(slow[1][0], rel=1e-5)
    size = max(float(p.grad.abs().max()) for p in exact.parameters())
    names = [name for name, _ in model.named_parameters()]
    for name, one, other in zip(names, model.parameters(), exact.parameters(), strict=True):
        difference = (one.grad.double() - other.grad).abs()
        assert (difference <= 1e-5 * size + 1e-3 * other.grad.abs()).all(), name
    if config.reconstruct_weight and config.classify_weight:
        assert all(parameter.grad.any() for parameter in model.parameters())


@pytest.mark.parametrize("off", ["reconstruct", "classify"])
@pytest.mark.parametrize("spoilt", [1.0, float("nan"), float("inf")])
def test_a_loss_of_weight_0_is_told_and_reaches_nothing(off: str, spoilt: float) -> None:
    """Its head gets gradients of exactly 0, even where its loss is not finite; the rest learns as without it."""
    torch.manual_seed(0)
    numbers: dict[str, Any] = {"embed_dim": 16, "depth": 1, "num_heads": 2, "n_frames": 64, "num_masked": 0.4}
    model: Any = zoo.build("ssast-patch-tiny", pretraining=True, **numbers).train()
    inputs = Inputs(torch.randn(2, 128, 64), None, None, torch.arange(2), ("a", "b"))
    config = MaskedPatchConfig(**{f"{off}_weight": 0})
    loss, _, scalars = config.build()(model, inputs)
    loss.backward()
    before = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
    assert all(gradient.any() != name.startswith(f"{off}.") for name, gradient in before.items())
    on = "classify" if off == "reconstruct" else "reconstruct"
    assert torch.equal(loss.detach(), scalars[f"loss/{on}"] * getattr(config, f"{on}_weight"))
    assert scalars[f"loss/{off}"] > 0

    with torch.no_grad():
        getattr(model, off).output.bias.mul_(0).add_(spoilt)
    model.zero_grad()
    again, _, scalars = config.build()(model, inputs)
    again.backward()
    assert torch.equal(again.detach(), loss.detach())
    assert scalars[f"loss/{off}"].isfinite() == (spoilt == 1.0)
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter.grad, before[name]), name


def test_training_with_a_loss_of_weight_0_steps() -> None:
    """Every parameter has a gradient, for which several processes wait, and the optimiser takes it."""
    for off in ("reconstruct_weight", "classify_weight"):
        model: Any = zoo.build(
            "ssast-patch-tiny", pretraining=True, embed_dim=16, depth=1, num_heads=2, n_frames=64, num_masked=9
        ).train()
        optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.0)
        before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
        inputs = Inputs(torch.randn(2, 128, 64), None, None, torch.arange(2), ("a", "b"))
        MaskedPatchConfig(**{off: 0}).build()(model, inputs)[0].backward()
        assert all(parameter.grad is not None for parameter in model.parameters())
        optimiser.step()
        still = {name for name, parameter in model.named_parameters() if torch.equal(parameter, before[name])}
        head = off.removesuffix("_weight")
        assert still == {name for name in before if name.startswith(f"{head}.")}
