"""The published sizes and the costs that follow from them; on torch's meta device where the model is large."""

import pytest
import torch

import zoo
from zoo.models.cost import build_on_meta, flops_per_clip, num_parameters, num_tokens
from zoo.models.registry import preset_config, presets

SIZES = {"tiny": (192, 12, 3), "small": (384, 12, 6), "base": (768, 12, 12)}
NAMES = {
    *(f"{family}-{size}" for family in ("ast", "ssast-patch", "ssast-frame", "passt") for size in SIZES),
    "ast-minimal",
    "ast-sinusoidal",
    "cnn-baseline",
}


def test_the_presets_are_these() -> None:
    assert set(presets()) == NAMES


@pytest.mark.parametrize("name", [n for n in sorted(NAMES) if n.rsplit("-", 1)[1] in SIZES])
def test_sizes(name: str) -> None:
    config = preset_config(name)
    assert (config.embed_dim, config.depth, config.num_heads) == SIZES[name.rsplit("-", 1)[1]]
    assert (config.mlp_ratio, config.dropout, config.drop_path, config.num_classes) == (4.0, 0.0, 0.0, 527)
    assert config.n_frames == (998 if name.startswith("passt") else 1024)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("ast-tiny", 5_723_663),
        ("ast-small", 22_063_631),
        ("ast-base", 86_594_063),
        # The released PaSST has 86,153,758 with its second head, which it never evaluates: 768 * 527 + 527.
        ("passt-base", 86_153_758 - 405_263),
    ],
)
def test_parameters_are_those_of_the_released_models(name: str, parameters: int) -> None:
    assert num_parameters(build_on_meta(presets()[name])) == parameters


@pytest.mark.parametrize(("num_classes", "n_frames", "parameters"), [(50, 512, 87_295_234), (35, 128, 86_933_491)])
def test_parameters_of_the_released_fine_tuned_ast(num_classes: int, n_frames: int, parameters: int) -> None:
    """The released counts include two ImageNet heads of 1,000 classes, which nothing reads."""
    config = preset_config("ast-base", num_classes=num_classes, n_frames=n_frames)
    assert num_parameters(build_on_meta(config)) == parameters - 2 * (768 * 1000 + 1000)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("ssast-patch-base", 88_763_346),
        ("ssast-frame-base", 88_763_346),
        ("ssast-patch-small", 22_854_354),
        ("ssast-frame-tiny", 6_046_290),
    ],
)
def test_parameters_of_the_released_pretraining_models(name: str, parameters: int) -> None:
    """Less the two unused ImageNet heads, and two numbers that record the input's size."""
    model = build_on_meta(presets()[name], pretraining=True)
    embed_dim = presets()[name].embed_dim
    assert num_parameters(model) == parameters - 2 * (embed_dim * 1000 + 1000) - 2
    if name.endswith("base"):
        assert num_parameters(model) == 87_225_344


@pytest.mark.parametrize(
    ("name", "frames", "tokens"),
    [
        ("ast-base", 1024, 1214),
        ("ast-base", 512, 602),
        ("ssast-patch-base", 1024, 514),
        ("ssast-patch-base", 512, 258),
        ("ssast-frame-base", 512, 258),
        ("passt-base", 998, 1190),
        ("passt-base", 512, 602),
        ("ast-minimal", 1024, 513),
        ("ast-sinusoidal", 1024, 512),
        ("cnn-baseline", 1024, 256),
    ],
)
def test_tokens(name: str, frames: int, tokens: int) -> None:
    assert num_tokens(presets()[name], frames) == tokens


@pytest.mark.parametrize(("stride", "tokens"), [(10, 1214), (12, 852), (14, 659), (16, 514)])
def test_tokens_of_the_released_strides(stride: int, tokens: int) -> None:
    assert num_tokens(preset_config("ast-tiny", stride=(stride, stride))) == tokens


@pytest.mark.parametrize(
    ("stride", "n_frames", "table"),
    [(10, 998, 99), (12, 998, 83), (14, 998, 71), (16, 998, 62), (10, 2000, 200), (10, 3000, 300), (10, 3200, 320)],
)
def test_passt_tables_are_those_of_the_released_models(stride: int, n_frames: int, table: int) -> None:
    """n // stride, which can be one column more than the patches that fit."""
    model = build_on_meta(preset_config("passt-tiny", stride=(stride, stride), n_frames=n_frames))
    rows = 1 + (128 - 16) // stride
    assert model.embedding.position.freq.shape == (rows, 192)
    assert rows == 128 // stride
    assert model.embedding.position.time.shape == (table, 192)


def test_passt_patchout_in_training_only() -> None:
    model = zoo.build("passt-tiny", depth=1, n_frames=512)
    x = torch.randn(2, 128, 512)
    assert model.tokens(x).shape == (2, (12 - 4) * (50 - 40) + 2, 192)
    assert model.eval().tokens(x).shape == (2, 602, 192)


def test_eps_of_the_released_models() -> None:
    for name, trunk in {"ast-tiny": 1e-6, "ssast-patch-tiny": 1e-6, "passt-tiny": 1e-6, "ast-minimal": 1e-5}.items():
        model = build_on_meta(presets()[name])
        assert {block.norm1.eps for block in model.encoder.blocks} == {trunk}
        assert model.encoder.norm.eps == trunk
        assert model.head.norm.eps == 1e-5


def test_ast_minimal_is_as_described() -> None:
    model = build_on_meta(presets()["ast-minimal"])
    assert (model.embed_dim, len(model.encoder.blocks), model.encoder.blocks[0].attn.num_heads) == (768, 3, 6)
    assert model.encoder.blocks[0].attn.qkv.bias is None
    assert model.encoder.blocks[0].attn.proj.bias is not None
    assert model.embedding.dropout.p == 0.1
    assert model.embedding.num_prefix_tokens == 1
    assert isinstance(model.aggregator, zoo.ClsAggregator)


def test_ast_sinusoidal_is_as_described() -> None:
    model = build_on_meta(presets()["ast-sinusoidal"])
    assert not list(model.embedding.position.parameters())
    assert not [key for key in model.state_dict() if "position" in key or "token" in key]
    assert model.encoder.norm is None
    assert isinstance(model.aggregator, zoo.PatchMeanAggregator)
    assert model.embedding.patch.patch_size == model.embedding.patch.stride == (16, 16)


@pytest.mark.parametrize(
    ("name", "gigaflops"), [("ast-base", 260), ("ssast-patch-base", 97), ("ssast-frame-base", 97), ("passt-base", 255)]
)
def test_flops(name: str, gigaflops: float) -> None:
    assert flops_per_clip(presets()[name]) / 1e9 == pytest.approx(gigaflops, rel=0.01)


def test_flops_are_the_sum_of_the_parts() -> None:
    """By hand, so that a kernel which the counter does not know, such as attention, cannot go missing."""
    config = preset_config("ast-base")
    tokens, patches, width, layers = 1214, 1212, 768, 12
    linear = layers * 12 * tokens * width**2 + 527 * width + patches * 256 * width
    attention = layers * 2 * tokens**2 * width
    assert flops_per_clip(config) == 2 * (linear + attention)


def test_flops_follow_the_length_and_the_task() -> None:
    config = preset_config("ssast-patch-tiny")
    assert flops_per_clip(config, 512) < 0.5 * flops_per_clip(config)
    once = flops_per_clip(config, pretraining=True)
    assert once == pytest.approx(flops_per_clip(config), rel=0.05)
    assert flops_per_clip(config.model_copy(update={"separate_masks": True}), pretraining=True) == pytest.approx(
        2 * flops_per_clip(config), rel=0.05
    )
    with pytest.raises(zoo.ShapeError, match="found 2048 frames - expected at most"):
        flops_per_clip(config, 2048)


def test_a_huge_model_answers_at_once() -> None:
    assert num_parameters(build_on_meta(preset_config("ast-base", embed_dim=16_368, depth=2))) > 6e9
