"""Groups of the zoo's own models: everything once, at the rate that an obvious formula gives."""

import re
from typing import Any

import pytest
from torch import nn

import zoo
from zoo.errors import RecipeError
from zoo.models.registry import presets
from zoo.train.optim import AdamConfig, AdamWConfig
from zoo.train.parameter_groups import parameter_groups
from zoo.train.parameter_places import Place, num_blocks, place_of, unplaced

TINY = {"embed_dim": 24, "depth": 3, "num_heads": 3}
CONFIGS = [
    AdamWConfig(),
    AdamConfig(decay="all"),
    AdamWConfig(layer_decay=0.5, head_lr_factor=3.0),
    AdamWConfig(head_lr_factor=0.1, freeze="backbone"),
    AdamConfig(layer_decay=0.9, freeze=2, decay="all"),
]


def tiny(name: str, pretraining: bool = False) -> nn.Module:
    return zoo.build(name, pretraining=pretraining, **({} if name == "cnn-baseline" else TINY))


MODELS = [(name, False) for name in presets()] + [("ssast-patch-tiny", True), ("ssast-frame-base", True)]


def counts_layers(config: AdamWConfig | AdamConfig) -> bool:
    return config.layer_decay != 1.0 or isinstance(config.freeze, int)


@pytest.mark.parametrize("config", CONFIGS, ids=range(len(CONFIGS)))
@pytest.mark.parametrize(("name", "pretraining"), MODELS)
def test_every_trainable_parameter_of_every_preset_once(
    name: str, pretraining: bool, config: AdamWConfig | AdamConfig
) -> None:
    model = tiny(name, pretraining)
    if name == "cnn-baseline" and counts_layers(config):
        with pytest.raises(RecipeError, match=r"^optim\.(freeze|layer_decay): found .* - expected a transformer, "):
            config.build(model)
        return
    groups = config.build(model).param_groups
    grouped = [id(parameter) for group in groups for parameter in group["params"]]
    trained = [id(parameter) for parameter in model.parameters() if parameter.requires_grad]
    assert len(grouped) == len(set(grouped))
    assert set(grouped) == set(trained)
    assert trained
    names = [group["name"] for group in groups]
    assert len(names) == len(set(names))
    assert all(group["params"] for group in groups)
    assert all(group["lr"] == config.lr * group["lr_factor"] for group in groups)


@pytest.mark.parametrize(("name", "pretraining"), MODELS)
def test_every_parameter_of_the_zoo_has_its_place(name: str, pretraining: bool) -> None:
    model = tiny(name, pretraining)
    assert (unplaced(model) is not None) == (name == "cnn-baseline")
    assert num_blocks(model) == (0 if name == "cnn-baseline" else 3)
    assert any(place_of(name).part == "head" for name, _ in model.named_parameters())


@pytest.mark.parametrize(
    ("name", "part", "block"),
    [
        ("embedding.patch.proj.weight", "input", None),
        ("embedding.position.table", "input", None),
        ("embedding.prefix.cls_token", "input", None),
        ("mask_token", "input", None),
        ("backbone.embedding.prefix.position", "input", None),
        ("encoder.blocks.0.norm1.weight", "block", 0),
        ("backbone.encoder.blocks.11.mlp.fc1.bias", "block", 11),
        ("encoder.norm.weight", "norm", None),
        ("head.norm.weight", "head", None),
        ("head.weight", "head", None),
        ("aggregator.query", "head", None),
        ("reconstruct.hidden.weight", "head", None),
        ("classify.output.bias", "head", None),
        ("decoder.trunk.blocks.1.mlp.fc1.weight", "head", None),
        ("decoder.mask_token", "head", None),
        ("convolutions.0.weight", "other", None),
        ("headless.weight", "other", None),
        ("encoder.normal.weight", "other", None),
    ],
)
def test_places(name: str, part: Any, block: int | None) -> None:
    assert place_of(name) == Place(part, block)


def rate_by_name(model: nn.Module, groups: list[dict[str, Any]]) -> dict[str, float]:
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {names[id(parameter)]: group["lr"] for group in groups for parameter in group["params"]}


@pytest.mark.parametrize("head_lr_factor", [1.0, 10.0])
@pytest.mark.parametrize(("name", "pretraining"), [("ast-tiny", False), ("ssast-patch-tiny", True)])
def test_layer_decay_by_an_obvious_formula(name: str, pretraining: bool, head_lr_factor: float) -> None:
    """Three blocks, lr 1: the input has four layers above it, the lowest block three, the norm and the head none."""
    model = tiny(name, pretraining)
    groups = parameter_groups(model, 0.1, lr=1.0, layer_decay=0.5, head_lr_factor=head_lr_factor)
    rates = rate_by_name(model, groups)
    for parameter, rate in rates.items():
        block = re.search(r"blocks\.(\d)", parameter)
        if "embedding" in parameter or parameter == "mask_token":
            expected = 0.5 * 0.5 * 0.5 * 0.5
        elif block:
            expected = {"0": 0.5 * 0.5 * 0.5, "1": 0.5 * 0.5, "2": 0.5}[block[1]]
        elif "encoder.norm" in parameter:
            expected = 1.0
        else:
            expected = head_lr_factor
        assert rate == pytest.approx(expected), parameter
    if not pretraining:
        assert [group["name"] for group in groups] == [
            *("input", "input, no decay", "block 0", "block 0, no decay", "block 1", "block 1, no decay"),
            *("block 2", "block 2, no decay", "norm, no decay", "head", "head, no decay"),
        ]


def test_decay_applies_to_all_or_to_matrices() -> None:
    model = tiny("passt-tiny")
    (everything,) = parameter_groups(model, 1e-4, decay="all")
    assert (everything["weight_decay"], everything["name"]) == (1e-4, "all")
    assert len(everything["params"]) == len(list(model.parameters()))
    decayed, undecayed = parameter_groups(model, 1e-4)
    assert (decayed["name"], undecayed["name"]) == ("all", "all, no decay")
    assert all(parameter.ndim > 1 for parameter in decayed["params"])
    kept = {id(parameter) for parameter in undecayed["params"]}
    for name, parameter in model.named_parameters():
        is_input = "position" in name or "token" in name
        assert (id(parameter) in kept) == (is_input or name.endswith("bias") or "norm" in name), name


@pytest.mark.parametrize(
    ("config", "name", "overrides", "message"),
    [
        (
            AdamWConfig(layer_decay=0.75),
            "cnn-baseline",
            {},
            "optim.layer_decay: found 0.75 for a model with parameter 'convolutions.0.weight' - expected a "
            "transformer, whose layers can be counted - set it to 1.0",
        ),
        (
            AdamWConfig(head_lr_factor=2.0),
            "ast-tiny",
            {"num_classes": 0},
            "optim.head_lr_factor: found 2 for a model without a head - expected one - set it to 1.0",
        ),
    ],
)
def test_what_does_not_apply_is_one_line(
    config: AdamWConfig, name: str, overrides: dict[str, Any], message: str
) -> None:
    model = zoo.build(name, **overrides, **({} if name == "cnn-baseline" else TINY))
    with pytest.raises(RecipeError) as error:
        config.build(model)
    assert str(error.value) == message


def test_a_model_of_other_names_has_neither_layers_nor_blocks() -> None:
    with pytest.raises(RecipeError, match=r"^optim\.layer_decay: found 0\.5 for a model with parameter 'weight' - "):
        AdamWConfig(layer_decay=0.5).build(nn.Linear(2, 2))
    with pytest.raises(RecipeError, match=r"^optim: found no trainable parameter"):
        AdamWConfig().build(nn.Identity())
