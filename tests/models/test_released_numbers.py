"""The released AST and SSAST code, run on weights and inputs made from a formula: ours give the same numbers.

The expected values come from YuanGongND/ast at 31088be and YuanGongND/ssast at a1a3eec with timm 0.4.5, in float32 on
a CPU. Tensor i (0-based) of the released state dict in sorted order has, at place j, 0.08 sin(0.37 (i + 1)(j + 1) +
0.001 j^2), plus 1 for the gain of a LayerNorm. They are other weights, inputs and lengths than those of tests/golden.
"""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import zoo
from zoo.nn.aggregator import HeadTokensAggregator
from zoo.objectives.masked_patch import info_nce, reconstruction_error

D = 192
MASKED = [2, 3, 10, 11, 17, 25, 33, 40]
LINEAR = {"attn.qkv": (3 * D, D), "attn.proj": (D, D), "mlp.fc1": (4 * D, D), "mlp.fc2": (D, 4 * D)}
HEAD = {"mlp_head.0": (D,), "mlp_head.1": (5, D)}
PRETRAINING = {
    f"{head}.{layer}": (size, D) for head in ("cpredlayer", "gpredlayer") for layer, size in ((0, D), (2, 256))
}
PATCH_SIZE = {"patch": (16, 16), "frame": (128, 2)}

Shapes = dict[str, tuple[int, ...]]


def released_shapes(num_patches: int, patch_size: tuple[int, int]) -> Shapes:
    shapes: Shapes = {
        "v.cls_token": (1, 1, D),
        "v.dist_token": (1, 1, D),
        "v.pos_embed": (1, num_patches + 2, D),
        "v.patch_embed.proj.weight": (D, 1, *patch_size),
        "v.patch_embed.proj.bias": (D,),
    }
    linear: Shapes = {f"v.blocks.{i}.{name}": shape for i in range(12) for name, shape in LINEAR.items()}
    norms = [f"v.blocks.{i}.norm{j}" for i in range(12) for j in (1, 2)] + ["v.norm"]
    # The ImageNet heads are in the released files, and nothing reads them.
    linear |= {"v.head": (1000, D), "v.head_dist": (1000, D)}
    return shapes | with_bias(linear) | with_bias(dict.fromkeys(norms, (D,)))


def with_bias(shapes: Shapes) -> Shapes:
    biases = {f"{name}.bias": shape[:1] for name, shape in shapes.items()}
    return {f"{name}.weight": shape for name, shape in shapes.items()} | biases


def fill(shapes: Shapes) -> dict[str, Tensor]:
    state = {}
    for i, name in enumerate(sorted(shapes)):
        j = torch.arange(math.prod(shapes[name]), dtype=torch.float64)
        values = 0.08 * torch.sin(0.37 * (i + 1) * (j + 1) + 0.001 * j**2)
        is_gain = name.endswith(".weight") and len(shapes[name]) == 1
        state[name] = (values + is_gain).float().reshape(shapes[name])
    return state


def released_file(state: dict[str, Tensor], folder: Path) -> Path:
    """As the released training scripts write it: from nn.DataParallel."""
    path = folder / "released.pth"
    torch.save({f"module.{name}": tensor for name, tensor in state.items()}, path)
    return path


@pytest.fixture
def pretrained(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A pretraining checkpoint of 128 frames, by patch or by frame: `form` is the test's own parameter."""
    shapes = released_shapes(64, PATCH_SIZE[request.getfixturevalue("form")])
    state = fill(shapes | {"mask_embed": (1, 1, D)} | with_bias(PRETRAINING))
    return released_file(state | {f"p_input_{axis}dim": torch.tensor(128) for axis in "ft"}, tmp_path)


def log_mel(batch: int, frames: int) -> Tensor:
    n = torch.arange(batch * frames * 128, dtype=torch.float64)
    values = 0.5 * torch.sin(0.013 * n) + 0.3 * torch.cos(0.0071 * n)
    return values.float().reshape(batch, frames, 128).mT


def assert_close(found: Tensor, expected: Iterable[Any]) -> None:
    torch.testing.assert_close(found, torch.tensor(expected), atol=5e-6, rtol=0)


def test_ast(tmp_path: Path) -> None:
    state = fill(released_shapes(60, (16, 16)) | with_bias(HEAD))
    model = zoo.load(released_file(state, tmp_path), own={"stride": (10, 10), "n_frames": 64})
    expected = [
        [0.756938, 1.213443, 0.146542, -1.244628, -0.627419],
        [1.341910, 1.375982, 0.121200, -1.312528, -0.415978],
    ]
    assert_close(model(log_mel(2, 64)), expected)


@pytest.mark.parametrize(
    ("form", "accuracy", "nce", "mse"),
    [("patch", 0.25, 2.761514, 0.411907), ("frame", 0.125, 2.645183, 0.414435)],
)
def test_ssast_pretraining(pretrained: Path, form: str, accuracy: float, nce: float, mse: float) -> None:
    """Both tasks with the same eight patches masked."""
    model: Any = zoo.load(pretrained)
    model.requires_grad_(False)
    is_masked = torch.zeros(2, 64, dtype=torch.bool)
    is_masked[:, MASKED] = True
    reconstruct, classify = model(log_mel(2, 128), masks=(is_masked, is_masked))
    found_nce, found_accuracy, _ = info_nce(*classify, softmax_over="predictions")
    assert float(found_accuracy) == accuracy
    assert float(found_nce) == pytest.approx(nce, abs=5e-6)
    assert float(reconstruction_error(*reconstruct)) == pytest.approx(mse, abs=5e-6)


@pytest.mark.parametrize(
    ("form", "stride", "frames", "of_patches", "of_tokens"),
    [
        (
            "patch",
            (10, 10),
            128,
            [0.855906, -0.732911, -0.756156, 0.718688, -2.070529],
            [0.135726, -0.522209, -0.847957, 1.379373, -2.222718],
        ),
        (
            "patch",
            (10, 10),
            200,
            [0.650324, -0.609507, -0.657337, 0.829822, -1.903234],
            [0.148403, -0.700651, -0.808938, 1.521749, -2.235876],
        ),
        (
            "frame",
            (128, 1),
            128,
            [0.864195, 0.249114, -0.641749, 0.756070, -1.422157],
            [0.777791, 0.097490, -0.163735, 1.233162, -0.885554],
        ),
        (
            "frame",
            (128, 1),
            200,
            [0.861278, 0.244559, -0.656236, 0.734512, -1.394203],
            [0.772968, 0.093222, -0.197765, 1.223501, -0.853667],
        ),
    ],
)
def test_ssast_finetuning(
    pretrained: Path,
    form: str,
    stride: tuple[int, int],
    frames: int,
    of_patches: list[float],
    of_tokens: list[float],
) -> None:
    """Overlapping patches on positions that the released code brings to the other grid; the mean of the patch tokens is
    classified (`ft_avgtok`), then that of CLS and DIST (`ft_cls`)."""
    model: Any = zoo.load(pretrained, num_classes=5, n_frames=frames, stride=stride)
    head = fill(with_bias(HEAD))
    names = {"norm": "mlp_head.0", "linear": "mlp_head.1"}
    model.head.load_state_dict(
        {f"{ours}.{part}": head[f"{theirs}.{part}"] for ours, theirs in names.items() for part in ("weight", "bias")}
    )
    x = log_mel(2, frames)
    assert_close(model(x)[0], of_patches)
    model.aggregator = HeadTokensAggregator()
    assert_close(model(x)[0], of_tokens)
