"""What every model of the zoo promises. The list is the registry: a new preset is tested without an edit here."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import zoo
from zoo.draws import clip_keys
from zoo.models.registry import ModelConfig, presets

SMALL: dict[str, Any] = {
    "embed_dim": 24,
    "depth": 2,
    "num_heads": 3,
    "channels": (4, 8),
    "n_frames": 96,
    "num_classes": 5,
    "num_masked": 0.4,
    "patchout_freq": 2,
    "patchout_time": 3,
}
NAMES = list(presets())
PRETRAINED = [n for n, c in presets().items() if type(c).build_pretraining is not ModelConfig.build_pretraining]
FRAMES = 96


def shrunk(name: str, *, pretraining: bool = False, **overrides: Any) -> Any:
    """The preset with every size made small; a field that a family does not have is left out."""
    fields = type(presets()[name]).model_fields
    small = {key: value for key, value in SMALL.items() if key in fields}
    return zoo.build(name, pretraining=pretraining, **{**small, **overrides})


def clips(batch: int = 3, frames: int = FRAMES) -> Tensor:
    return torch.randn(batch, 128, frames)


def keys(batch: int = 3) -> Tensor:
    return clip_keys(0, 0, torch.arange(batch))


@pytest.mark.parametrize("name", NAMES)
def test_shapes(name: str) -> None:
    model = shrunk(name).eval()
    x = clips()
    tokens, features, logits = model.tokens(x), model.features(x), model(x)
    assert tokens.shape[0] == 3
    assert tokens.shape[2] == model.embed_dim
    assert features.shape == (3, model.embed_dim)
    assert logits.shape == (3, 5)
    assert isinstance(model.config, type(presets()[name]))


@pytest.mark.parametrize("name", NAMES)
def test_head_and_aggregator_come_off_and_go_on(name: str) -> None:
    model = shrunk(name).eval()
    x = clips()
    features, tokens = model.features(x), model.tokens(x)
    model.head = None
    assert torch.equal(model(x), features)
    aggregator, model.aggregator = model.aggregator, None
    assert torch.equal(model(x), tokens)
    with pytest.raises(zoo.ShapeError, match=r"found no aggregator - expected one"):
        model.features(x)
    model.head = zoo.MLPHead(model.embed_dim, 7)
    with pytest.raises(zoo.ShapeError, match=r"found no aggregator - expected one, also below a head"):
        model(x)
    model.aggregator = aggregator
    assert model(x).shape == (3, 7)
    assert any(key.startswith("head.") for key in model.state_dict())


@pytest.mark.parametrize("name", NAMES)
def test_no_classes_means_no_head(name: str) -> None:
    model = shrunk(name, num_classes=0).eval()
    x = clips()
    assert model.head is None
    assert torch.equal(model(x), model.features(x))


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_gets_a_gradient(name: str) -> None:
    model = shrunk(name).train()
    model(clips()).square().mean().backward()
    _assert_all_have_gradients(model)


@pytest.mark.parametrize("name", PRETRAINED)
def test_every_parameter_gets_a_gradient_in_pretraining(name: str) -> None:
    model = shrunk(name, pretraining=True).train()
    for task in model(clips()):
        (task.output - task.target).square().mean().backward(retain_graph=True)
    _assert_all_have_gradients(model)


def _assert_all_have_gradients(model: nn.Module) -> None:
    without = [
        n for n, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all() or not p.grad.any()
    ]
    assert not without


@pytest.mark.parametrize("name", NAMES)
def test_eval_is_deterministic(name: str) -> None:
    model = shrunk(name).eval()
    x = clips()
    assert torch.equal(model(x), model(x))
    assert torch.equal(model(x), model(x, keys=keys()))


@pytest.mark.parametrize("name", NAMES)
def test_training_is_decided_by_the_keys(name: str) -> None:
    """Alone and in a batch a clip meets the same patchout and the same window of positions."""
    fields = type(presets()[name]).model_fields
    model = shrunk(name, **({"dropout": 0.0} if "dropout" in fields else {})).train()
    x, k = clips(frames=76), keys()
    together = model(x, keys=k)
    assert torch.equal(together, model(x, keys=k))
    for i in range(3):
        torch.testing.assert_close(model(x[i : i + 1], keys=k[i : i + 1]), together[i : i + 1], atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", NAMES)
def test_batch_rows_are_independent(name: str) -> None:
    model = shrunk(name).eval()
    x = clips().requires_grad_()
    num_frames = torch.tensor([96, 60, 40])
    for given in (None, num_frames):
        (gradient,) = torch.autograd.grad(model(x, given)[0].sum(), x)
        assert gradient[0].any()
        assert not gradient[1:].any()
    for i in range(3):
        torch.testing.assert_close(model(x[i : i + 1])[0], model(x)[i], atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", NAMES)
def test_padding_changes_nothing(name: str) -> None:
    """A clip padded with anything in a batch of mixed lengths has the features that it has alone."""
    model = shrunk(name).eval()
    lengths = [96, 75, 50, 33, max(model.min_frames, 16)]
    alone = [clips(1, length) for length in lengths]
    batch = 5 * clips(len(lengths))
    for row, clip in zip(batch, alone, strict=True):
        row[:, : clip.shape[2]] = clip[0]
    padded = model.features(batch, torch.tensor(lengths))
    for row, clip in zip(padded, alone, strict=True):
        torch.testing.assert_close(row, model.features(clip)[0], atol=1e-5, rtol=0)
        torch.testing.assert_close(row, model.features(clip, torch.tensor([clip.shape[2]]))[0], atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", NAMES)
def test_padding_without_num_frames_is_seen(name: str) -> None:
    """`data.padding: as_source`: what the invariance above would miss if the mask were always on."""
    model = shrunk(name).eval()
    x = clips(1)
    assert not torch.allclose(model.features(x), model.features(x, torch.tensor([40])), atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_other_lengths(name: str) -> None:
    model = shrunk(name).eval()
    for frames in (model.min_frames, model.min_frames + 1, 47, 90):
        assert model(clips(2, frames)).shape == (2, 5)
    with pytest.raises(zoo.ShapeError, match=rf"found {model.min_frames - 1} frames - expected at least"):
        model(clips(1, model.min_frames - 1))


@pytest.mark.parametrize("name", [n for n in NAMES if hasattr(presets()[n], "patch_size")])
def test_input_longer_than_the_table(name: str) -> None:
    model = shrunk(name).eval()
    model(clips(1, model.max_frames))
    longer = model.max_frames + 1
    with pytest.raises(
        zoo.ShapeError, match=rf"found {longer} frames - expected at most {model.max_frames}.*n_frames 96"
    ):
        model(clips(1, longer))


@pytest.mark.parametrize("name", NAMES)
def test_wrong_inputs(name: str) -> None:
    model = shrunk(name).eval()
    with pytest.raises(zoo.ShapeError, match=r"found 2 axes \(128, 96\) - expected 3 .* - add the batch axis"):
        model(torch.zeros(128, FRAMES))
    with pytest.raises(zoo.ShapeError, match=r"found 4 axes \(1, 1, 128, 96\) - expected 3"):
        model.features(torch.zeros(1, 1, 128, FRAMES))
    with pytest.raises(zoo.ShapeError, match=r"found 130 mel bands - expected 128"):
        model.tokens(torch.zeros(1, 130, FRAMES))
    with pytest.raises(zoo.ShapeError, match=r"found 96 mel bands - expected 128 - this is \(batch, frames, mels\)"):
        model(torch.zeros(1, FRAMES, 128))
    with pytest.raises(zoo.ShapeError, match=r"num_frames: found shape \(1,\) - expected \(3,\)"):
        model(clips(), torch.tensor([5]))
    with pytest.raises(zoo.ShapeError, match=r"num_frames: found 960 for an input of 96 frames .* count frames"):
        model(clips(), torch.tensor([96, 960, 40]))


@pytest.mark.parametrize("name", NAMES)
def test_state_dict_round_trip(name: str) -> None:
    model, other = shrunk(name).eval(), shrunk(name).eval()
    x = clips()
    assert not torch.equal(model(x), other(x))
    other.load_state_dict(model.state_dict())
    assert torch.equal(model(x), other(x))


@pytest.mark.parametrize("name", NAMES)
def test_bf16_autocast(name: str) -> None:
    model = shrunk(name)
    x = clips()
    for mode in (True, False):
        with torch.autocast("cpu", torch.bfloat16):
            logits = model.train(mode)(x, torch.tensor([96, 60, 40]))
        assert logits.isfinite().all()
    torch.testing.assert_close(logits.float(), model(x, torch.tensor([96, 60, 40])), atol=0.05, rtol=0.1)


@pytest.mark.parametrize("name", PRETRAINED)
def test_backbone_keys_are_the_fine_tuning_keys(name: str) -> None:
    pretrained = shrunk(name, pretraining=True).state_dict()
    tuned = {k for k in shrunk(name).state_dict() if not k.startswith(("head.", "aggregator."))}
    assert {k.removeprefix("backbone.") for k in pretrained if k.startswith("backbone.")} == tuned
    others = {k.split(".")[0] for k in pretrained if not k.startswith("backbone.")}
    assert others == {"mask_token", "reconstruct", "classify"}


COMPILE = f"""
import sys, torch
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_sweep import NAMES, PRETRAINED, clips, keys, presets, shrunk

def compare(model, *inputs):
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(*inputs), model(*inputs))
    torch.compiler.reset()

x, num_frames, seen = clips(), torch.tensor([96, 60, 40]), set()
for name in NAMES:
    fields = type(presets()[name]).model_fields
    small = {{key: value for key, value in dict(depth=1, dropout=0.0).items() if key in fields}}
    model = shrunk(name, **small)
    if repr(model) in seen:  # shrunk, the three sizes of a family are the same network
        continue
    seen.add(repr(model))
    if sys.argv[1] == "eval":
        compare(model.eval(), x)
        compare(model.eval(), x, num_frames)
    else:
        compare(model.train(), x, num_frames, keys())
        if name in PRETRAINED:
            compare(shrunk(name, pretraining=True, **small), x, num_frames, keys())
            visible = dict(encode="visible", masks_per_clip=2)
            compare(shrunk(name, pretraining=True, **small, **visible), x, num_frames, keys())
    print(name)
"""


@pytest.mark.parametrize(
    "mode",
    [
        "eval",
        "training",
    ],
)
def test_all_models_compile_into_one_graph(mode: str) -> None:
    """In a process of its own: the run-time checks of annotations in these tests are no part of a user's program."""
    root = Path(zoo.__file__).parents[1]
    command = [sys.executable, "-c", COMPILE, mode]
    done = subprocess.run(command, capture_output=True, text=True, cwd=root, timeout=300)
    assert done.returncode == 0, done.stderr
    families = {config.kind for config in presets().values()}
    assert {presets()[name].kind for name in done.stdout.split()} == families
