"""Losses against slow, obvious loops over clips, predictions and targets."""

import math
from functools import partial
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from zoo.data.batch import Inputs
from zoo.errors import DataError, RecipeError, ShapeError
from zoo.objectives.classification import ClassificationConfig, binary_cross_entropy, cross_entropy
from zoo.objectives.masked_patch import MaskedPatchConfig, info_nce, normalise_patches, reconstruction_error

SIZES = [(1, 1, 1), (1, 2, 3), (2, 5, 4), (3, 7, 16), (4, 20, 6)]


def triple(batch: int, masked: int, patch_dim: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """(output, target, length): rows beyond the length hold zeros, as the model gives them."""
    generator = torch.Generator().manual_seed(seed)
    length = torch.randint(1, masked + 1, (batch,), generator=generator)
    length[0] = masked
    output = torch.randn(batch, masked, patch_dim, generator=generator)
    target = torch.randn(batch, masked, patch_dim, generator=generator)
    for clip, count in enumerate(length.tolist()):
        output[clip, count:] = target[clip, count:] = 0
    return output, target, length


def slow_error(output: Tensor, target: Tensor, length: Tensor) -> float:
    errors = [
        float(((output[clip, row].double() - target[clip, row].double()) ** 2).mean())
        for clip, count in enumerate(length.tolist())
        for row in range(count)
    ]
    return sum(errors) / len(errors)


def slow_nce(
    output: Tensor, target: Tensor, length: Tensor, temperature: float, over: str
) -> tuple[float, float, float]:
    losses, hits, chances = [], [], []
    for clip, count in enumerate(length.tolist()):
        scores = [
            [float(output[clip, p].double() @ target[clip, t].double()) / temperature for t in range(count)]
            for p in range(count)
        ]
        for own in range(count):
            row = scores[own] if over == "targets" else [scores[p][own] for p in range(count)]
            losses.append(math.log(sum(math.exp(s) for s in row)) - row[own])
            if over == "targets":
                answers = scores[own]
            else:  # the released code: a softmax over predictions, then the best target of each prediction
                answers = [
                    scores[own][t] - math.log(sum(math.exp(scores[p][t]) for p in range(count))) for t in range(count)
                ]
            hits.append(max(range(count), key=answers.__getitem__) == own)
            chances.append(1 / count)
    return sum(losses) / len(losses), sum(hits) / len(hits), sum(chances) / len(chances)


@pytest.mark.parametrize("size", SIZES)
def test_reconstruction_error_is_the_mean_over_real_patches(size: tuple[int, int, int]) -> None:
    given = triple(*size)
    assert float(reconstruction_error(*given)) == pytest.approx(slow_error(*given), rel=1e-5)


@pytest.mark.parametrize("over", ["targets", "predictions"])
@pytest.mark.parametrize("temperature", [1.0, 3.0])
@pytest.mark.parametrize("size", SIZES)
def test_info_nce_pairs_each_prediction_with_its_target(
    size: tuple[int, int, int], temperature: float, over: Any
) -> None:
    given = triple(*size)
    got = [float(value) for value in info_nce(*given, temperature, over)]
    assert got == pytest.approx(slow_nce(*given, temperature, over), rel=1e-5, abs=1e-6)


def test_the_two_directions_differ_and_swap_when_roles_swap() -> None:
    output, target, length = triple(3, 7, 16)
    forward = info_nce(output, target, length, softmax_over="targets")[0]
    backward = info_nce(output, target, length, softmax_over="predictions")[0]
    assert not torch.isclose(forward, backward)
    torch.testing.assert_close(info_nce(target, output, length, softmax_over="predictions")[0], forward)


@pytest.mark.parametrize("over", ["targets", "predictions"])
def test_padded_rows_never_count_whatever_they_hold(over: Any) -> None:
    output, target, length = triple(4, 9, 5)
    loud_output, loud_target = output.clone(), target.clone()
    for clip, count in enumerate(length.tolist()):
        loud_output[clip, count:] = 1e4
        loud_target[clip, count:] = -1e4
    for clean, loud in zip(
        info_nce(output, target, length, 1.0, over), info_nce(loud_output, loud_target, length, 1.0, over), strict=True
    ):
        assert torch.equal(clean, loud)
    assert torch.equal(
        reconstruction_error(output, target, length), reconstruction_error(loud_output, loud_target, length)
    )


def test_a_padded_target_is_no_answer_for_a_prediction_that_is_faint_everywhere() -> None:
    output = torch.tensor([[[0.1, 0.0], [5.0, 6.0], [0.0, 0.0]]])
    target = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]])
    for over in ("targets", "predictions"):
        assert float(info_nce(output, target, torch.tensor([2]), 1.0, over)[1]) == 1.0


def test_clips_without_masked_patches_give_zero_not_nan() -> None:
    output = torch.randn(2, 3, 4, requires_grad=True)
    length = torch.zeros(2, dtype=torch.int64)
    loss, accuracy, chance = info_nce(output, torch.randn(2, 3, 4), length)
    total = loss + reconstruction_error(output, torch.randn(2, 3, 4), length)
    total.backward()
    assert float(total.detach()) == float(accuracy) == float(chance) == 0
    assert output.grad is not None
    assert not output.grad.any()


def test_large_scores_do_not_overflow() -> None:
    output = torch.full((1, 3, 4), 1e4, requires_grad=True)
    loss, _, _ = info_nce(output, torch.randn(1, 3, 4) * 1e4, torch.tensor([2]))
    loss.backward()
    assert loss.isfinite()
    assert output.grad is not None
    assert output.grad.isfinite().all()


def test_normalised_patches_have_mean_0_and_variance_1_and_silence_stays_0() -> None:
    patches = torch.randn(2, 3, 64) * 7 + 5
    patches[1, 2] = -1.25
    got = normalise_patches(patches)
    for clip, patch in [(0, 0), (1, 1)]:
        row = patches[clip, patch].double()
        expected = (row - row.mean()) / math.sqrt(float(((row - row.mean()) ** 2).mean()) + 1e-6)
        torch.testing.assert_close(got[clip, patch].double(), expected, atol=1e-5, rtol=0)
    assert torch.equal(got[1, 2], torch.zeros(64))


class TwoHeads(nn.Module):
    """Answers with triples like a masked-patch model: `output` is a parameter, so that its gradient can be seen."""

    def __init__(self, reconstruct: tuple[Tensor, ...], classify: tuple[Tensor, ...]) -> None:
        super().__init__()
        self.outputs = nn.ParameterList([nn.Parameter(reconstruct[0]), nn.Parameter(classify[0])])
        self.rest = (reconstruct[1:], classify[1:])
        self.keys: Tensor | None = None

    def forward(self, log_mel: Tensor, num_frames: Tensor | None, keys: Tensor) -> Any:
        self.keys = keys
        return tuple((output, *rest) for output, rest in zip(self.outputs, self.rest, strict=True))


def inputs(batch: int = 3, target: Tensor | None = None) -> Inputs:
    names = tuple(f"{i}.wav" for i in range(batch))
    return Inputs(torch.zeros(batch, 4, 6), None, target, torch.arange(batch), names)


@pytest.mark.parametrize("normalise", [False, True])
def test_masked_patch_loss_is_the_weighted_sum_with_a_mask_of_its_own_for_each(normalise: bool) -> None:
    config = MaskedPatchConfig(
        reconstruct_weight=7.0, classify_weight=0.5, normalise_targets=normalise, temperature=2.0
    )
    reconstruct, classify = triple(3, 7, 16, seed=1), triple(3, 5, 16, seed=2)
    model = TwoHeads(reconstruct, classify)
    given = inputs()
    loss, count, scalars = config.build(None)(model, given)
    prepare = normalise_patches if normalise else (lambda patches: patches)
    error = slow_error(reconstruct[0], prepare(reconstruct[1]), reconstruct[2])
    nce, accuracy, chance = slow_nce(classify[0], prepare(classify[1]), classify[2], 2.0, "targets")
    assert model.keys is given.keys
    assert float(count) == float(reconstruct[2].sum())
    assert float(loss.detach()) == pytest.approx(7 * error + 0.5 * nce, rel=1e-5)
    assert {tag: float(value) for tag, value in scalars.items()} == pytest.approx(
        {
            "loss/reconstruct": error,
            "loss/classify": nce,
            "pretext/accuracy": accuracy,
            "pretext/chance": chance,
        },
        rel=1e-5,
    )
    assert not any(value.requires_grad for value in scalars.values())


def test_gradient_reaches_the_outputs_and_never_the_targets() -> None:
    reconstruct, classify = triple(3, 7, 4, seed=1), triple(3, 5, 4, seed=2)
    reconstruct[1].requires_grad_()
    classify[1].requires_grad_()
    model = TwoHeads(reconstruct, classify)
    MaskedPatchConfig(normalise_targets=True).build(None)(model, inputs())[0].backward()
    assert reconstruct[1].grad is None
    assert classify[1].grad is None
    for parameter, length in zip(model.outputs, (reconstruct[2], classify[2]), strict=True):
        assert parameter.grad is not None
        for clip, count in enumerate(length.tolist()):
            assert parameter.grad[clip, :count].any()
            assert not parameter.grad[clip, count:].any()


@pytest.mark.parametrize("autocast", [False, True])
def test_bfloat16_outputs_are_computed_in_float32(autocast: bool) -> None:
    reconstruct, classify = triple(3, 7, 16, seed=1), triple(3, 5, 16, seed=2)
    half = [tuple(t.bfloat16() if t.is_floating_point() else t for t in part) for part in (reconstruct, classify)]
    full = [tuple(t.float() if t.is_floating_point() else t for t in part) for part in half]
    objective = MaskedPatchConfig().build(None)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        loss, *_ = objective(TwoHeads(*half), inputs())
    assert loss.dtype == torch.float32
    assert torch.equal(loss, objective(TwoHeads(*full), inputs())[0])


def test_masked_patch_config_refuses_a_loss_of_nothing() -> None:
    with pytest.raises(ValidationError, match="both 0"):
        MaskedPatchConfig(reconstruct_weight=0, classify_weight=0)
    with pytest.raises(ValidationError):
        MaskedPatchConfig(temperature=0)


class Logits(nn.Module):
    """Answers with what it was given."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = nn.Parameter(logits)

    def forward(self, log_mel: Tensor, num_frames: Tensor | None, keys: Tensor) -> Tensor:
        return self.logits * 1


def soft_targets(batch: int, classes: int) -> Tensor:
    """Mixed clips: two labels with shares that sum to 1; every third clip has one label."""
    target = torch.zeros(batch, classes)
    for clip in range(batch):
        share = 1.0 if clip % 3 == 0 else 0.3
        target[clip, clip % classes] += share
        target[clip, (clip + 2) % classes] += 1 - share
    return target


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize(("batch", "classes"), [(1, 2), (4, 3), (7, 11)])
def test_cross_entropy_with_soft_targets(batch: int, classes: int, smoothing: float) -> None:
    logits, target = torch.randn(batch, classes) * 3, soft_targets(batch, classes)
    total = 0.0
    for clip in range(batch):
        scale = math.log(sum(math.exp(float(x)) for x in logits[clip]))
        for c in range(classes):
            wanted = float(target[clip, c]) * (1 - smoothing) + smoothing / classes
            total -= wanted * (float(logits[clip, c]) - scale)
    assert float(cross_entropy(logits, target, smoothing)) == pytest.approx(total / batch, rel=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_binary_cross_entropy_with_soft_targets(smoothing: float) -> None:
    logits, target = torch.randn(5, 4) * 3, torch.rand(5, 4)
    total = 0.0
    for x, y in zip(logits.flatten().tolist(), target.flatten().tolist(), strict=True):
        wanted = y * (1 - smoothing) + 0.5 * smoothing
        share = 1 / (1 + math.exp(-x))
        total -= wanted * math.log(share) + (1 - wanted) * math.log(1 - share)
    assert float(binary_cross_entropy(logits, target, smoothing)) == pytest.approx(total / 20, rel=1e-5)


def test_mixing_is_linear_in_the_targets() -> None:
    """No argmax and no rounding: the loss of a mixture is the mixture of the losses."""
    logits = torch.randn(4, 5)
    one, two = torch.eye(5)[[0, 1, 2, 3]], torch.eye(5)[[4, 3, 0, 3]]
    for function in (partial(cross_entropy, label_smoothing=0.1), partial(binary_cross_entropy, label_smoothing=0.1)):
        mixed = function(logits, 0.3 * one + 0.7 * two)
        torch.testing.assert_close(mixed, 0.3 * function(logits, one) + 0.7 * function(logits, two))


@pytest.mark.parametrize(
    ("loss", "task", "function"),
    [
        (None, "single-label", cross_entropy),
        (None, "multi-label", binary_cross_entropy),
        ("ce", "single-label", cross_entropy),
        ("bce", "single-label", binary_cross_entropy),
        ("bce", "multi-label", binary_cross_entropy),
    ],
)
def test_the_loss_follows_the_task_unless_it_is_given(loss: Any, task: Any, function: Any) -> None:
    logits, target = torch.randn(3, 4), soft_targets(3, 4)
    objective = ClassificationConfig(loss=loss, label_smoothing=0.1).build(task)
    value, count, scalars = objective(Logits(logits), inputs(3, target))
    assert torch.equal(value, function(logits, target, 0.1))
    assert float(count) == 3
    if task == "single-label":
        right = sum(int(logits[i].argmax()) == int(target[i].argmax()) for i in range(3))
        assert float(scalars["train/accuracy"]) == pytest.approx(right / 3)
    else:
        assert scalars == {}


def test_classification_is_computed_in_float32_under_autocast() -> None:
    logits, target = torch.randn(3, 4).bfloat16(), soft_targets(3, 4)
    for task in ("single-label", "multi-label"):
        objective = ClassificationConfig().build(task)
        with torch.autocast("cpu", torch.bfloat16):
            value, *_ = objective(Logits(logits), inputs(3, target))
        assert value.dtype == torch.float32
        assert torch.equal(value, objective(Logits(logits.float()), inputs(3, target))[0])


def test_classification_errors() -> None:
    with pytest.raises(
        RecipeError, match=r"objective\.loss: found 'ce' with data\.task 'multi-label' - expected 'bce'"
    ):
        ClassificationConfig(loss="ce").build("multi-label")
    with pytest.raises(RecipeError, match=r"data\.task: found none"):
        ClassificationConfig().build(None)
    objective = ClassificationConfig().build("single-label")
    with pytest.raises(DataError, match=r"0\.wav: found no label"):
        objective(Logits(torch.randn(3, 4)), inputs())
    with pytest.raises(ShapeError, match=r"found \(3, 5\) against targets \(3, 4\)"):
        objective(Logits(torch.randn(3, 5)), inputs(3, soft_targets(3, 4)))
