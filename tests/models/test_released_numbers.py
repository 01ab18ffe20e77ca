"""The released AST and SSAST code, run on weights and inputs made from a formula: ours give the same numbers.

The expected values come from YuanGongND/ast at 31088be and YuanGongND/ssast at a1a3eec with timm 0.4.5, in float32 on
a CPU. Tensor i (0-based) of the released state dict in sorted order has, at place j, 0.08 sin(0.37 (i + 1)(j + 1) +
0.001 j^2), plus 1 for the gain of a LayerNorm.
"""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

import zoo
from zoo.models.masked_patch import MaskedPatchOutput
from zoo.nn.patch import PatchGrid

D = 192
MASKED = [2, 3, 10, 11, 17, 25, 33, 40]
LINEAR = {"attn.qkv": (3 * D, D), "attn.proj": (D, D), "mlp.fc1": (4 * D, D), "mlp.fc2": (D, 4 * D)}


def released_shapes(num_patches: int, patch_size: tuple[int, int]) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {
        "v.cls_token": (1, 1, D),
        "v.dist_token": (1, 1, D),
        "v.pos_embed": (1, num_patches + 2, D),
        "v.patch_embed.proj.weight": (D, 1, *patch_size),
        "v.patch_embed.proj.bias": (D,),
    }
    linear = {f"v.blocks.{i}.{name}": shape for i in range(12) for name, shape in LINEAR.items()}
    norms = [f"v.blocks.{i}.norm{j}" for i in range(12) for j in (1, 2)] + ["v.norm"]
    # The ImageNet heads are in the released files, and nothing reads them.
    linear |= {"v.head": (1000, D), "v.head_dist": (1000, D)}
    return shapes | with_bias(linear) | with_bias(dict.fromkeys(norms, (D,)))


def with_bias(shapes: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    biases = {f"{name}.bias": shape[:1] for name, shape in shapes.items()}
    return {f"{name}.weight": shape for name, shape in shapes.items()} | biases


def fill(shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    state = {}
    for i, name in enumerate(sorted(shapes)):
        j = torch.arange(math.prod(shapes[name]), dtype=torch.float64)
        values = 0.08 * torch.sin(0.37 * (i + 1) * (j + 1) + 0.001 * j**2)
        is_gain = name.endswith(".weight") and len(shapes[name]) == 1
        state[name] = (values + is_gain).float().reshape(shapes[name])
    return state


def trunk(released: dict[str, Tensor], grid: PatchGrid) -> dict[str, Tensor]:
    """In this zoo's names."""
    state = {}
    for name, tensor in released.items():
        if name == "v.pos_embed":
            state["embedding.prefix.position"] = tensor[:, :2]
            state["embedding.position.table"] = tensor[0, 2:].reshape(*grid, D)
        elif name.endswith("_token"):
            state[name.replace("v.", "embedding.prefix.")] = tensor
        elif name.startswith("v.patch_embed."):
            state[name.replace("v.patch_embed.", "embedding.patch.")] = tensor
        elif name.startswith(("v.blocks.", "v.norm.")):
            state[name.replace("v.", "encoder.", 1)] = tensor
    return state


def log_mel(batch: int, frames: int) -> Tensor:
    n = torch.arange(batch * frames * 128, dtype=torch.float64)
    values = 0.5 * torch.sin(0.013 * n) + 0.3 * torch.cos(0.0071 * n)
    return values.float().reshape(batch, frames, 128).mT


def test_ast() -> None:
    released = fill(released_shapes(60, (16, 16)) | with_bias({"mlp_head.0": (D,), "mlp_head.1": (5, D)}))
    model = zoo.build("ast-tiny", num_classes=5, n_frames=64).eval()
    names = {
        f"mlp_head.{old}.{part}": f"head.{new}.{part}"
        for old, new in enumerate(("norm", "linear"))
        for part in ("weight", "bias")
    }
    head = {new: released[old] for old, new in names.items()}
    model.load_state_dict(trunk(released, PatchGrid(12, 5)) | head)
    expected = [
        [0.756938, 1.213443, 0.146542, -1.244628, -0.627419],
        [1.341910, 1.375982, 0.121200, -1.312528, -0.415978],
    ]
    torch.testing.assert_close(model(log_mel(2, 64)), torch.tensor(expected), atol=5e-6, rtol=0)


@pytest.mark.parametrize(
    ("form", "patch_size", "grid", "accuracy", "nce", "mse"),
    [
        ("patch", (16, 16), PatchGrid(8, 8), 0.25, 2.761514, 0.411907),
        ("frame", (128, 2), PatchGrid(1, 64), 0.125, 2.645183, 0.414435),
    ],
)
def test_ssast_pretraining(
    monkeypatch: pytest.MonkeyPatch,
    form: str,
    patch_size: tuple[int, int],
    grid: PatchGrid,
    accuracy: float,
    nce: float,
    mse: float,
) -> None:
    """Both tasks with the same eight patches masked; the losses are written here as the released code has them."""
    heads = {
        f"{head}.{layer}": (size, D) for head in ("cpredlayer", "gpredlayer") for layer, size in ((0, D), (2, 256))
    }
    released = fill(released_shapes(64, patch_size) | {"mask_embed": (1, 1, D)} | with_bias(heads))
    model: Any = zoo.build(f"ssast-{form}-tiny", pretraining=True, n_frames=128, num_masked=8).eval()
    state = {f"backbone.{name}": tensor for name, tensor in trunk(released, grid).items()}
    state["mask_token"] = released["mask_embed"]
    for old, new in (("cpredlayer", "classify"), ("gpredlayer", "reconstruct")):
        for part in ("weight", "bias"):
            state[f"{new}.hidden.{part}"] = released[f"{old}.0.{part}"]
            state[f"{new}.output.{part}"] = released[f"{old}.2.{part}"]
    model.load_state_dict(state)
    model.requires_grad_(False)
    is_masked = torch.zeros(2, 64, dtype=torch.bool)
    is_masked[:, MASKED] = True
    monkeypatch.setattr(model, "draw", lambda *_: is_masked)

    output: MaskedPatchOutput = model(log_mel(2, 128))
    score = output.classify.target @ output.classify.output.mT  # (B, target, prediction)
    share = score.log_softmax(dim=-1)
    own = torch.eye(8, dtype=torch.bool).expand(2, 8, 8)
    assert float(-share[own].mean()) == pytest.approx(nce, abs=5e-6)
    assert float((share.argmax(dim=1) == torch.arange(8)).float().mean()) == accuracy
    assert float((output.reconstruct.output - output.reconstruct.target).square().mean()) == pytest.approx(
        mse, abs=5e-6
    )
