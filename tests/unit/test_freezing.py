"""What is frozen stays bit for bit; the rest learns; and what cannot be frozen is told."""

from typing import Any

import pytest
import torch
from torch import nn

import zoo
from zoo.data.batch import Inputs
from zoo.errors import RecipeError
from zoo.objectives.masked_patch import MaskedPatchConfig
from zoo.train.optim import AdamConfig, AdamWConfig

TINY = {"embed_dim": 24, "depth": 3, "num_heads": 3, "n_frames": 64, "n_mels": 32}


def tiny(name: str, **overrides: Any) -> nn.Module:
    torch.manual_seed(0)
    if name == "cnn-baseline":
        return zoo.build(name, num_classes=3, n_mels=32, n_frames=64)
    return zoo.build(name, **{"num_classes": 3, **TINY, **overrides})


def changed_by_training(model: nn.Module, config: AdamWConfig | AdamConfig) -> set[str]:
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimiser = config.build(model)
    model.train()
    for _ in range(3):
        optimiser.zero_grad()
        model(torch.randn(4, 32, 64)).square().sum().backward()
        optimiser.step()
    return {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}


def starting(model: nn.Module, *prefixes: str) -> set[str]:
    return {name for name, _ in model.named_parameters() if name.startswith(prefixes)}


@pytest.mark.parametrize("config_class", [AdamWConfig, AdamConfig])
@pytest.mark.parametrize("name", ["ast-tiny", "passt-tiny", "ssast-patch-tiny", "ast-minimal", "cnn-baseline"])
def test_all_but_the_head(name: str, config_class: type[AdamWConfig] | type[AdamConfig]) -> None:
    overrides = {"patchout_freq": 0, "patchout_time": 1} if name == "passt-tiny" else {}
    model = tiny(name, **overrides)
    assert changed_by_training(model, config_class(weight_decay=0.1, freeze="backbone")) == starting(model, "head.")
    assert all(parameter.grad is None for name, parameter in model.named_parameters() if not name.startswith("head."))


@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_input_and_the_first_blocks(count: int) -> None:
    model = tiny("ast-tiny")
    trained = starting(model, *(f"encoder.blocks.{i}." for i in range(count, 3)), "encoder.norm.", "head.")
    assert changed_by_training(model, AdamWConfig(freeze=count)) == trained


def test_nothing() -> None:
    model = tiny("ast-tiny")
    assert changed_by_training(model, AdamWConfig()) == starting(model, "")


@pytest.mark.parametrize(
    ("freeze", "trained"),
    [
        ("backbone", ("reconstruct.", "classify.")),
        (2, ("backbone.encoder.blocks.2.", "backbone.encoder.norm.", "reconstruct.", "classify.")),
    ],
)
def test_the_heads_of_pretraining_go_on(freeze: Any, trained: tuple[str, ...]) -> None:
    model = zoo.build("ssast-patch-tiny", pretraining=True, num_masked=3, cluster_size=(1, 1), **TINY)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimiser = AdamWConfig(freeze=freeze).build(model)
    inputs = Inputs(torch.randn(4, 32, 64), None, None, torch.arange(4), ("a", "b", "c", "d"))
    MaskedPatchConfig().build(None)(model, inputs)[0].backward()
    optimiser.step()
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == starting(model, *trained)


def test_what_is_drawn_goes_on_in_frozen_parts() -> None:
    model = tiny("ast-tiny", drop_path=0.5, dropout=0.5)
    AdamWConfig(freeze="backbone").build(model)
    model.train()
    log_mel = torch.randn(4, 32, 64)
    assert not torch.equal(model.features(log_mel), model.features(log_mel))


@pytest.mark.parametrize(
    ("name", "freeze", "message"),
    [
        (
            "cnn-baseline",
            3,
            "optim.freeze: found 3 for a model with no encoder blocks - expected a transformer, whose "
            "blocks can be counted - set it to backbone or none",
        ),
        ("ast-tiny", 4, "optim.freeze: found 4 for a model of 3 blocks - expected at most 3 - lower it"),
        (
            "headless",
            "backbone",
            "optim.freeze: found 'backbone' for a model without a head - expected something that is still trained - "
            "build it with classes, or set it to none",
        ),
    ],
)
def test_what_cannot_be_frozen_is_one_line_and_changes_nothing(name: str, freeze: Any, message: str) -> None:
    model = tiny("ast-tiny", num_classes=0) if name == "headless" else tiny(name)
    with pytest.raises(RecipeError) as error:
        AdamWConfig(freeze=freeze).build(model)
    assert str(error.value) == message
    assert all(parameter.requires_grad for parameter in model.parameters())
