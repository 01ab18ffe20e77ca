"""Norms of the gradient, whole and by part, against a slow loop; and what a model's parts are."""

import math
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils import get_total_norm

from zoo.models.registry import build_model, preset_config
from zoo.train.gradient_norms import GradientNorms, part_of
from zoo.train.parameter_places import num_blocks, place_of

SMALL: dict[str, Any] = {"n_frames": 64, "embed_dim": 24, "num_heads": 3}


def with_gradients(preset: str, pretraining: bool = False, **numbers: Any) -> nn.Module:
    model = build_model(preset_config(preset, **numbers), pretraining=pretraining)
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter)
    return model


def slow_norm(model: nn.Module, part: str) -> float:
    blocks = num_blocks(model)
    total = 0.0
    for name, parameter in model.named_parameters():
        if parameter.grad is not None and part_of(place_of(name), blocks) == part:
            total += float(parameter.grad.double().square().sum())
    return math.sqrt(total)


@pytest.mark.parametrize(
    ("model", "parts"),
    [
        (("ast-tiny", False), ["input", "early_blocks", "middle_blocks", "late_blocks", "head"]),
        (("ssast-patch-tiny", True), ["input", "early_blocks", "middle_blocks", "late_blocks", "head"]),
        (("cnn-baseline", False), ["other", "head"]),
    ],
)
def test_parts_equal_a_slow_loop_and_the_whole_is_torchs_to_the_last_bit(
    model: tuple[str, bool], parts: list[str]
) -> None:
    numbers = {} if model[0].startswith("cnn") else {**SMALL, "depth": 4}
    numbers |= {"num_masked": 8} if model[1] else {"num_classes": 3}
    measured = with_gradients(*model, **numbers)
    total, found = GradientNorms(measured).measure()
    assert torch.equal(total, get_total_norm([one.grad for one in measured.parameters() if one.grad is not None]))
    assert sorted(found) == sorted(f"optim/grad_norm/{part}" for part in parts)
    for part in parts:
        assert float(found[f"optim/grad_norm/{part}"]) == pytest.approx(slow_norm(measured, part), rel=1e-5)
    assert float(total) == pytest.approx(math.hypot(*map(float, found.values())), rel=1e-5)


def test_what_is_frozen_or_has_no_gradient_has_no_part_in_it_and_tags_stay() -> None:
    model: Any = with_gradients("ast-tiny", num_classes=3, depth=2, **SMALL)
    model.embedding.requires_grad_(False)
    norms = GradientNorms(model)
    before = norms.measure()[1]
    assert "optim/grad_norm/input" not in before
    for parameter in model.head.parameters():
        parameter.grad = None
    total, after = norms.measure()
    assert list(after) == list(before)
    assert float(after["optim/grad_norm/head"]) == 0.0
    assert float(total) == pytest.approx(math.hypot(*map(float, after.values())), rel=1e-5)
    for parameter in model.parameters():
        parameter.grad = None
    assert float(norms.measure()[0]) == 0.0


def test_a_model_of_one_part_has_the_whole_alone() -> None:
    model = nn.Linear(3, 2)
    model.weight.grad, model.bias.grad = torch.full((2, 3), 2.0), torch.zeros(2)
    total, parts = GradientNorms(model).measure()
    assert (float(total), parts) == (pytest.approx(math.sqrt(24)), {})


@pytest.mark.parametrize(
    ("blocks", "expected"),
    [
        (1, ["early"]),
        (2, ["early", "late"]),
        (3, ["early", "middle", "late"]),
        (4, ["early", "early", "middle", "late"]),
        (12, ["early"] * 4 + ["middle"] * 4 + ["late"] * 4),
    ],
)
def test_blocks_are_in_thirds(blocks: int, expected: list[str]) -> None:
    found = [part_of(place_of(f"encoder.blocks.{block}.norm.weight"), blocks) for block in range(blocks)]
    assert found == [f"{third}_blocks" for third in expected]
    assert part_of(place_of("encoder.norm.weight"), blocks) == "late_blocks"
