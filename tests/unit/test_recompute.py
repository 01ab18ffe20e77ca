"""Activation checkpointing: the same numbers, bit for bit, from less memory."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import zoo
from zoo.draws import clip_keys
from zoo.models.recompute import recompute_activations

SMALL: dict[str, Any] = {"embed_dim": 24, "depth": 3, "num_heads": 3, "n_frames": 96, "num_classes": 5}
FAMILIES: dict[str, dict[str, Any]] = {
    "ast-tiny": {},
    "ssast-patch-tiny": {"pretraining": True, "num_masked": 0.4},
    "passt-tiny": {"patchout_freq": 2, "patchout_time": 3},
}


def step(model: nn.Module, precision: torch.dtype | None) -> tuple[Tensor, list[Tensor]]:
    """The loss, and all gradients; dropout drawn from seed 0."""
    torch.manual_seed(0)
    x, num_frames = torch.randn(4, 128, 96), torch.tensor([96, 60, 96, 40])
    torch.manual_seed(1)
    with torch.autocast("cpu", precision, enabled=precision is not None):
        answer = model(x, num_frames, clip_keys(0, 0, torch.arange(4)))
        answer = answer if isinstance(answer, Tensor) else answer.reconstruct.output + answer.classify.output
    loss = answer.float().square().mean()
    model.zero_grad()
    loss.backward()
    return loss.detach(), [p.grad for p in model.parameters() if p.grad is not None]


@pytest.mark.parametrize("precision", [None, torch.bfloat16])
@pytest.mark.parametrize("drops", [{}, {"dropout": 0.2, "drop_path": 0.3}])
@pytest.mark.parametrize("name", FAMILIES)
def test_losses_and_gradients_are_the_same(name: str, drops: dict[str, float], precision: torch.dtype | None) -> None:
    model = zoo.build(name, **SMALL, **FAMILIES[name], **drops)
    loss, gradients = step(model, precision)
    recompute_activations(model)
    again, found = step(model, precision)
    assert torch.equal(loss, again)
    assert len(found) == len(gradients) > 30
    assert all(torch.equal(one, other) for one, other in zip(found, gradients, strict=True))


def saved_bytes(model: nn.Module) -> int:
    """What the forward pass keeps, parameters left out."""
    own = {p.untyped_storage().data_ptr() for p in model.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    x = torch.randn(4, 128, 96)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        out = model(x)
    del out
    return sum(kept.values())


def test_less_is_kept() -> None:
    model = zoo.build("ast-tiny", **SMALL).train()
    before = saved_bytes(model)
    recompute_activations(model)
    assert saved_bytes(model) < before / 5


def test_only_in_training_with_gradients() -> None:
    """Elsewhere nothing is kept anyway, and no block runs twice."""
    model: Any = zoo.build("ast-tiny", **SMALL)
    recompute_activations(model)
    runs: list[int] = []
    model.encoder.blocks[0].register_forward_pre_hook(lambda *_: runs.append(1))
    model.eval()(torch.randn(2, 128, 96)).sum().backward()
    assert len(runs) == 1
    with torch.no_grad():
        model.train()(torch.randn(2, 128, 96))
    assert len(runs) == 2
    model.train()(torch.randn(2, 128, 96)).sum().backward()
    assert len(runs) == 4


def test_a_model_without_blocks_is_refused() -> None:
    with pytest.raises(zoo.RecipeError, match=r"found true for model\.kind 'cnn', which has no encoder blocks"):
        recompute_activations(zoo.build("cnn-baseline"))
