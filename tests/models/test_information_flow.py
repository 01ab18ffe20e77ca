"""What reaches what in pretraining, seen by gradients: masked pixels reach nothing, padded frames neither.

A target is a value of the input too; it is detached, so that a gradient of the loss shows the way through the model.
"""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

import zoo
from zoo.data.batch import Inputs
from zoo.draws import clip_keys
from zoo.models.masked_patch import MaskedPatchModel
from zoo.nn.patch import unfold_patches
from zoo.objectives.masked_patch import MaskedPatchConfig

SMALL: dict[str, Any] = {"embed_dim": 24, "depth": 2, "num_heads": 3, "n_frames": 96, "num_masked": 0.5}
LENGTHS = [96, 70, 37]  # the last two end inside of a patch
WAYS: dict[str, dict[str, Any]] = {
    "all": {},
    "all, several masks": {"masks_per_clip": 3},
    "all, separate masks": {"separate_masks": True},
    "visible": {"encode": "visible"},
    "visible, several separate masks": {"encode": "visible", "masks_per_clip": 2, "separate_masks": True},
}
every_form = pytest.mark.parametrize("form", ["patch", "frame"])
every_way = pytest.mark.parametrize("way", WAYS)
every_length = pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["full", "padded"])


def build(form: str, way: str) -> MaskedPatchModel:
    torch.manual_seed(0)
    model: Any = zoo.build(f"ssast-{form}-tiny", pretraining=True, **SMALL, **WAYS[way])
    return model.train()  # in which there are several masks; nothing is dropped


def inputs(lengths: list[int] | None) -> Inputs:
    x = torch.randn(3, 128, 96, requires_grad=True)
    num_frames = None if lengths is None else torch.tensor(lengths)
    return Inputs(x, num_frames, None, clip_keys(7, 0, torch.arange(3)), ("a", "b", "c"))


def reached(model: MaskedPatchModel, gradient: Tensor) -> Tensor:
    """(B, N): whether any pixel of a patch has a gradient."""
    size = model.backbone.embedding.patch.patch_size
    return unfold_patches(gradient, size, size).abs().sum(dim=2) > 0


def masks_of(model: MaskedPatchModel, given: Inputs) -> list[Tensor]:
    """Of each task, (masks * B, N), found from what the targets are, not from what drew them."""
    size = model.backbone.embedding.patch.patch_size
    values = unfold_patches(given.log_mel.detach(), size, size)
    found = []
    for task in model(given.log_mel, given.num_frames, given.keys):
        rows = torch.arange(task.target.shape[0]) % values.shape[0]
        is_same = (task.target[:, :, None] == values[rows][:, None]).all(dim=3)  # (masks * B, L, N)
        is_real = torch.arange(task.target.shape[1]) < task.length[:, None]
        assert (is_same.sum(dim=2)[is_real] == 1).all()
        found.append((is_same & is_real[:, :, None]).any(dim=1))
    return found


@every_length
@every_way
@every_form
def test_every_output_sees_the_visible_patches_of_its_own_clip_alone(
    form: str, way: str, lengths: list[int] | None
) -> None:
    model, given = build(form, way), inputs(lengths)
    masks = masks_of(model, given)
    for task, is_masked in zip(model(given.log_mel, given.num_frames, given.keys), masks, strict=True):
        rows, places = (torch.arange(task.output.shape[1]) < task.length[:, None]).nonzero().T
        assert len(rows) == int(task.length.sum()) > 20
        chosen = range(0, len(rows), 1 if form == "patch" and way in ("all", "visible") else 7)
        for one in chosen:  # a prediction: what of the input moves it
            weights = torch.zeros_like(task.output)
            weights[rows[one], places[one]] = torch.randn(task.output.shape[2])
            (gradient,) = torch.autograd.grad(task.output, given.log_mel, weights, retain_graph=True)
            clip, mask = int(rows[one]) % 3, is_masked[rows[one]]
            expected = torch.zeros(3, mask.shape[0], dtype=torch.bool)
            expected[clip] = ~mask & ~padding(model, lengths)[clip]
            assert torch.equal(reached(model, gradient), expected)
            if lengths is not None:  # and not a pixel of the patch that ends beyond the clip
                width = model.backbone.embedding.patch.patch_size[1]
                assert not gradient[clip, :, lengths[clip] // width * width :].any()


def padding(model: MaskedPatchModel, lengths: list[int] | None) -> Tensor:
    patch = model.backbone.embedding.patch
    columns = torch.arange(96 // patch.patch_size[1])
    ends = (columns + 1) * patch.patch_size[1]
    is_padded = ends > torch.tensor(lengths or [96] * 3)[:, None]  # (B, T)
    return is_padded[:, None].expand(-1, 128 // patch.patch_size[0], -1).flatten(1)


@pytest.mark.parametrize(
    "objective",
    [
        {},
        {"normalise_targets": True, "softmax_over": "predictions"},
        {"reconstruct_weight": 0},
        {"classify_weight": 0},
    ],
)
@every_length
@every_way
@every_form
def test_no_loss_reaches_what_is_masked_or_padded(
    form: str, way: str, lengths: list[int] | None, objective: dict[str, Any]
) -> None:
    """Of all clips and masks together: a patch is reached if one of its masks left it visible."""
    model, given = build(form, way), inputs(lengths)
    masks = [mask.unflatten(0, (-1, 3)) for mask in masks_of(model, given)]
    tasks = zip(masks, ("reconstruct_weight", "classify_weight"), strict=True)
    weighing = [mask for mask, weight in tasks if objective.get(weight, 1)]
    loss, count, _ = MaskedPatchConfig(**objective).build()(model, given)
    assert float(count) == int(masks[0].sum())
    (gradient,) = torch.autograd.grad(loss, given.log_mel)
    is_visible = (~torch.stack(weighing)).any(dim=0).any(dim=0)  # under one mask of a task that weighs at least
    assert torch.equal(reached(model, gradient), is_visible & ~padding(model, lengths))
    if lengths is not None:
        for clip, length in enumerate(lengths):
            assert not gradient[clip, :, length:].any()


@every_way
@every_form
def test_padded_frames_change_no_loss_and_no_gradient(form: str, way: str) -> None:
    """Not by a bit, whatever stands in them."""
    model, given = build(form, way), inputs(LENGTHS)
    found = []
    for filling in (0.0, 1e3):
        x = given.log_mel.detach().clone()
        for clip, length in enumerate(LENGTHS):
            x[clip, :, length:] = filling
        model.zero_grad()
        loss, *_ = MaskedPatchConfig().build()(model, replace(given, log_mel=x))
        loss.backward()
        found.append([loss.detach(), *(p.grad for p in model.parameters() if p.grad is not None)])
    assert len(found[0]) > 30
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))
