"""The norm of the weights, and how far a step moves them, against what a step really did."""

import pytest
import torch
from torch import nn

from zoo.train.optim import AdamConfig, AdamWConfig, rates
from zoo.train.weight_health import weight_health


@pytest.mark.parametrize("config", [AdamWConfig(lr=0.01, weight_decay=0.0), AdamConfig(lr=0.02, eps=1e-3)])
def test_the_ratio_is_that_of_the_step_that_was_taken(config: AdamWConfig | AdamConfig) -> None:
    model = nn.Sequential(nn.Linear(7, 5), nn.Linear(5, 2))
    optimiser = config.build(model)
    first = weight_health(optimiser)
    assert set(first) == {"health/weight_norm"}
    for _ in range(4):
        before = torch.cat([one.detach().double().flatten() for one in model.parameters()])
        for parameter in model.parameters():
            parameter.grad = torch.randn_like(parameter)
        optimiser.step()
        after = torch.cat([one.detach().double().flatten() for one in model.parameters()])
        found = weight_health(optimiser)
        assert found["health/weight_norm"] == pytest.approx(float(after.norm()), rel=1e-5)
        assert found["health/update_ratio"] == pytest.approx(float((after - before).norm() / after.norm()), rel=1e-4)


def test_other_optimisers_and_what_is_frozen() -> None:
    model = nn.Linear(2, 2)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    assert set(weight_health(optimiser)) == {"health/weight_norm"}
    nn.init.constant_(model.weight, 2.0)
    nn.init.zeros_(model.bias)
    model.bias.requires_grad_(False)
    assert weight_health(AdamWConfig().build(model)) == {"health/weight_norm": 4.0}


def test_rates_by_group_only_where_they_differ() -> None:
    names = ("embedding.patch", "encoder.blocks.0.linear", "encoder.blocks.1.linear", "head")
    model = nn.Module()
    for name in names:
        parent: nn.Module = model
        *path, last = name.split(".")
        for step in path:
            if not hasattr(parent, step):
                parent.add_module(step, nn.Module())
            parent = getattr(parent, step)
        parent.add_module(last, nn.Linear(2, 2))
    assert rates(AdamWConfig(lr=0.1).build(model)) == {}
    assert rates(AdamWConfig(lr=0.1, head_lr_factor=10.0).build(model)) == {
        "optim/lr/body": pytest.approx(0.1),
        "optim/lr/head": pytest.approx(1.0),
    }
    optimiser = AdamWConfig(lr=0.1, layer_decay=0.5).build(model)
    for group in optimiser.param_groups:
        group["lr"] *= 0.5  # as a schedule does
    assert rates(optimiser) == {
        "optim/lr/input": pytest.approx(0.00625),
        "optim/lr/block_00": pytest.approx(0.0125),
        "optim/lr/block_01": pytest.approx(0.025),
        "optim/lr/head": pytest.approx(0.05),
    }
