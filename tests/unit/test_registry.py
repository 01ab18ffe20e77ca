"""Presets by name, overrides, and the texts that a user sees when one does not fit."""

from typing import Any, Literal

import pytest
from pydantic import TypeAdapter, ValidationError
from torch import nn

import zoo.models
from zoo.errors import RecipeError
from zoo.models import registry
from zoo.models.ast import AstConfig
from zoo.models.registry import (
    ModelConfig,
    build,
    build_model,
    model_config_union,
    parse_model_config,
    preset_config,
    presets,
    register,
)


@pytest.fixture
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_kinds", dict(registry._kinds))
    monkeypatch.setattr(registry, "_presets", dict(registry._presets))


def _toy() -> type[ModelConfig]:
    class ToyConfig(ModelConfig):
        kind: Literal["toy"] = "toy"
        width: int = 3

        @property
        def min_frames(self) -> int:
            return 1

        def build(self) -> nn.Module:
            return nn.Linear(self.n_frames, self.width)

    return ToyConfig


@pytest.mark.usefixtures("own_registry")
def test_a_new_family_is_one_class() -> None:
    config_class = register({"toy-small": {}, "toy-large": {"width": 30}})(_toy())
    assert list(presets())[-2:] == ["toy-small", "toy-large"]
    assert zoo.models()[-1] == "toy-large"
    model = build("toy-large", n_frames=7)
    assert model.weight.shape == (30, 7)
    assert parse_model_config({"kind": "toy", "width": 4}) == config_class(width=4)
    with pytest.raises(RecipeError, match=r"model\.kind: found 'toy', which has no pretraining of its own"):
        build("toy-small", pretraining=True)


@pytest.mark.usefixtures("own_registry")
def test_a_name_twice_says_both_files() -> None:
    register({"toy-small": {}})(_toy())
    with pytest.raises(ValueError, match=r"'toy' is registered twice: in .*test_registry.* and in .*test_registry"):
        register({})(_toy())
    monkey = type("OtherConfig", (AstConfig,), {"__annotations__": {"kind": Literal["other"]}, "kind": "other"})
    with pytest.raises(ValueError, match=r"'ast-tiny' is registered twice: in zoo\.models\.ast and in"):
        register({"ast-tiny": {"embed_dim": 8, "depth": 1, "num_heads": 1}})(monkey)


def test_overrides_are_fields_of_the_config() -> None:
    config = preset_config("ast-tiny", num_classes=50, stride=[16, 8], n_frames=512)
    assert isinstance(config, AstConfig)
    assert (config.num_classes, config.stride, config.n_frames, config.embed_dim) == (50, (16, 8), 512, 192)
    assert presets()["ast-tiny"].num_classes == 527


def test_presets_cannot_be_changed_from_outside() -> None:
    presets().clear()
    assert presets()
    with pytest.raises(ValidationError, match="frozen"):
        presets()["ast-tiny"].n_mels = 64  # type: ignore[misc]


@pytest.mark.parametrize(
    ("name", "overrides", "text"),
    [
        ("ast-basee", {}, r"preset: found 'ast-basee' - expected one of .*; did you mean 'ast-base'\?"),
        ("", {}, r"preset: found '' - expected one of ast-tiny, "),
        ("ast-tiny", {"embed_dims": 5}, r"ast-tiny: unknown field 'embed_dims' - .*; did you mean 'embed_dim'\?"),
        ("ast-tiny", {"patchout_freq": 1}, r"ast-tiny: unknown field 'patchout_freq' - expected one of kind, "),
        ("ast-tiny", {"depth": 10**30}, r"ast-tiny: depth: found 1000000000000000000000000000000 - expected: "),
        ("ast-tiny", {"depth": 0}, r"ast-tiny: depth: found 0 - expected: .*greater than or equal to 1"),
        ("ast-tiny", {"depth": True}, r"ast-tiny: depth: found True"),
        ("ast-tiny", {"depth": 2.0}, r"ast-tiny: depth: found 2\.0"),
        ("ast-tiny", {"num_classes": -1}, r"ast-tiny: num_classes: found -1"),
        ("ast-tiny", {"n_frames": "512"}, r"ast-tiny: n_frames: found '512'"),
        ("ast-tiny", {"dropout": float("nan")}, r"ast-tiny: dropout: found nan"),
        ("ast-tiny", {"stride": (10, 10, 10)}, r"ast-tiny: stride: found \(10, 10, 10\)"),
        ("ast-tiny", {"stride": (0, 10)}, r"ast-tiny: stride\.0: found 0"),
        ("ast-tiny", {"kind": "passt"}, r"ast-tiny: kind: found 'passt'"),
        ("ast-tiny", {"embed_dim": 100}, r"ast-tiny: embed_dim: found 100 with num_heads 3 - expected a multiple"),
        ("ast-tiny", {"n_frames": 15}, r"patch_size: found 16x16 \(freq x time\) for an input of 128x15"),
        ("ssast-frame-tiny", {"n_mels": 64}, r"patch_size: found 128x2 \(freq x time\) for an input of 64x1024"),
        ("ast-sinusoidal", {"embed_dim": 42}, r"embed_dim: found 42 - expected a multiple of 4"),
        ("passt-tiny", {"n_frames": 400}, r"patchout_time: 40 of the 39 columns of the grid 12 x 39 .* at most 38"),
        ("passt-tiny", {"patchout_freq": 12}, r"patchout_freq: 12 of the 12 rows of the grid 12 x 99"),
        ("passt-tiny", {"patchout_random": 472}, r"patchout_random: 472 of the 472 patches left"),
        ("passt-tiny", {"patchout_random": 1.5}, r"patchout_random: 1\.5 - expected a whole number, or a share"),
    ],
)
def test_what_does_not_fit(name: str, overrides: dict[str, Any], text: str) -> None:
    with pytest.raises(RecipeError, match=text) as caught:
        build(name, **overrides)
    assert "\n" not in str(caught.value)


def test_all_problems_at_once() -> None:
    with pytest.raises(RecipeError) as caught:
        build("passt-tiny", embed_dim=0, widht=3, num_classes=-5)
    lines = str(caught.value).splitlines()
    assert len(lines) == 3
    assert all(line.startswith("passt-tiny: ") for line in lines)
    with pytest.raises(RecipeError, match=r"embed_dim: found 100 .*; patchout_freq: 12 of the 12 rows"):
        build("passt-tiny", embed_dim=100, patchout_freq=12)


@pytest.mark.parametrize("name", list(presets()))
def test_configs_survive_json(name: str) -> None:
    config = presets()[name]
    assert parse_model_config(config.model_dump(mode="json")) == config


def test_the_union_is_told_apart_by_kind() -> None:
    adapter: TypeAdapter[ModelConfig] = TypeAdapter(model_config_union())
    assert adapter.validate_python({"kind": "cnn"}) == presets()["cnn-baseline"]
    with pytest.raises(ValidationError, match=r"does not match any of the expected tags: 'ast', "):
        parse_model_config({"kind": "asd"})
    with pytest.raises(ValidationError, match="Unable to extract tag"):
        parse_model_config({"embed_dim": 192})


def test_every_field_is_documented() -> None:
    """The text under a field lands in the JSON Schema that editors read."""
    for config in presets().values():
        undocumented = [
            name
            for name, field in type(config).model_fields.items()
            if field.description is None and name not in {"kind", "num_heads"}
        ]
        assert not undocumented, type(config)
        assert type(config).__doc__


def test_a_model_knows_its_config() -> None:
    config = preset_config("ssast-patch-tiny", depth=1, n_frames=64, num_masked=3)
    assert build_model(config).config == config  # type: ignore[comparison-overlap]
    assert build_model(config, pretraining=True).config == config  # type: ignore[comparison-overlap]
