"""Parameter groups by hand, and AdamW against its textbook steps."""

import io
import math
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor, nn

from zoo.train.optim import AdamConfig, AdamWConfig, OptimConfig, base_rate
from zoo.train.parameter_groups import decays, parameter_groups


class Positions(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(2, 3, 4))


class Prefix(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.randn(1, 1, 4))
        self.dist_token = nn.Parameter(torch.randn(1, 1, 4))
        self.position = nn.Parameter(torch.randn(1, 2, 4))


class Embedding(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.proj = nn.Conv2d(1, 4, 2)
        self.position = Positions()
        self.prefix = Prefix()


class Tiny(nn.Module):
    """Every sort of parameter that a model of the zoo has, with its names."""

    def __init__(self) -> None:
        super().__init__()
        self.mask_token = nn.Parameter(torch.randn(1, 1, 4))
        self.embedding = Embedding()
        self.norm = nn.LayerNorm(4)
        self.tokenwise = nn.Linear(4, 4)
        self.head = nn.Linear(4, 1)
        self.frozen = nn.Parameter(torch.randn(3, 3), requires_grad=False)


DECAYED = {"embedding.proj.weight", "tokenwise.weight", "head.weight"}


def test_every_trainable_parameter_is_in_exactly_one_group() -> None:
    model = Tiny()
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    decayed, undecayed = parameter_groups(model, 0.1)
    assert (decayed["weight_decay"], undecayed["weight_decay"]) == (0.1, 0.0)
    grouped = [names[id(parameter)] for group in (decayed, undecayed) for parameter in group["params"]]
    assert sorted(grouped) == sorted(set(names.values()) - {"frozen"})
    assert {names[id(parameter)] for parameter in decayed["params"]} == DECAYED


@pytest.mark.parametrize(
    ("name", "ndim", "expected"),
    [
        ("encoder.blocks.0.attention.qkv.weight", 2, True),
        ("encoder.blocks.0.attention.qkv.bias", 1, False),
        ("encoder.norm.weight", 1, False),
        ("embedding.patch.proj.weight", 4, True),
        ("embedding.position.table", 3, False),
        ("backbone.embedding.position.freq", 2, False),
        ("embedding.prefix.cls_token", 3, False),
        ("embedding.prefix.position", 3, False),
        ("mask_token", 3, False),
        ("tokens", 2, False),
        ("frequency_position", 2, False),
        ("positional.weight", 2, True),
        ("temperature", 0, False),
    ],
)
def test_what_decays(name: str, ndim: int, expected: bool) -> None:
    assert decays(name, ndim) is expected


def test_tied_parameters_come_once_and_empty_groups_are_left_out() -> None:
    model = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False))
    model[1].weight = model[0].weight
    (group,) = parameter_groups(model, 0.1)
    assert len(group["params"]) == 1


def textbook_adamw(weight: Tensor, grads: list[Tensor], config: AdamWConfig, decay: float) -> Tensor:
    """Algorithm 2 of Loshchilov and Hutter 2019, in float64."""
    weight, first, second = (
        weight.double().clone(),
        torch.zeros_like(weight).double(),
        torch.zeros_like(weight).double(),
    )
    beta1, beta2 = config.betas
    for step, grad in enumerate(grads, start=1):
        first = beta1 * first + (1 - beta1) * grad.double()
        second = beta2 * second + (1 - beta2) * grad.double() ** 2
        weight -= config.lr * decay * weight
        corrected = (second / (1 - beta2**step)).sqrt() + config.eps
        weight -= config.lr * (first / (1 - beta1**step)) / corrected
    return weight


def test_ten_steps_equal_the_textbook() -> None:
    config = AdamWConfig(lr=0.01, weight_decay=0.3, betas=(0.8, 0.95), eps=1e-6)
    model = nn.Linear(3, 2)
    weight, bias = model.weight.detach().clone(), model.bias.detach().clone()
    optimiser = config.build(model)
    grads = [(torch.randn(2, 3), torch.randn(2)) for _ in range(10)]
    for grad_weight, grad_bias in grads:
        model.weight.grad, model.bias.grad = grad_weight.clone(), grad_bias.clone()
        optimiser.step()
    expected = textbook_adamw(weight, [pair[0] for pair in grads], config, 0.3)
    torch.testing.assert_close(model.weight.detach().double(), expected, rtol=1e-5, atol=1e-6)
    expected = textbook_adamw(bias, [pair[1] for pair in grads], config, 0.0)
    torch.testing.assert_close(model.bias.detach().double(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("decay", ["all", "matrices"])
def test_adam_equals_torch_on_the_same_gradients(decay: Any) -> None:
    """The released AST: torch.optim.Adam(weight_decay=5e-7, betas=(0.95, 0.999)) on all parameters."""
    config = AdamConfig(lr=0.01, weight_decay=0.1, betas=(0.95, 0.999), decay=decay)
    torch.manual_seed(0)
    ours, theirs = Tiny(), Tiny()
    theirs.load_state_dict(ours.state_dict())
    trained = [(name, parameter) for name, parameter in theirs.named_parameters() if parameter.requires_grad]
    groups: Any = [parameter for _, parameter in trained]
    if decay == "matrices":
        groups = [
            {"params": [parameter for name, parameter in trained if (name in DECAYED) is decays], "weight_decay": value}
            for decays, value in ((True, 0.1), (False, 0.0))
        ]
    mine = config.build(ours)
    reference = torch.optim.Adam(groups, lr=0.01, weight_decay=0.1, betas=(0.95, 0.999), fused=False, foreach=False)
    for _ in range(10):
        for one, two in zip(ours.parameters(), theirs.parameters(), strict=True):
            if one.requires_grad:
                one.grad = torch.randn_like(one)
                two.grad = one.grad.clone()
        mine.step()
        reference.step()
    for (name, one), two in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-5, atol=1e-7, msg=name)


def test_decay_in_the_gradient_is_not_decay_beside_the_step() -> None:
    """With a gradient of 0, AdamW shrinks a weight by a share, and Adam takes a step of full length towards 0."""
    weights = []
    for config in (AdamWConfig(lr=0.01, weight_decay=0.1), AdamConfig(lr=0.01, weight_decay=0.1)):
        model = nn.Linear(1, 1, bias=False)
        nn.init.ones_(model.weight)
        model.weight.grad = torch.zeros(1, 1)
        config.build(model).step()
        weights.append(model.weight.item())
    assert weights == pytest.approx([1 - 0.01 * 0.1, 1 - 0.01])


@pytest.mark.parametrize("config", [AdamWConfig(), AdamConfig()])
def test_the_fused_kernel_is_used_on_the_cpu_and_can_leave_out_a_step(config: AdamWConfig | AdamConfig) -> None:
    model = nn.Linear(2, 2)
    before = model.weight.detach().clone()
    optimiser: Any = config.build(model)
    assert optimiser.defaults["fused"] is True
    model.weight.grad, model.bias.grad = torch.full((2, 2), math.nan), torch.zeros(2)
    optimiser.grad_scale, optimiser.found_inf = torch.ones(()), torch.ones(())
    optimiser.step()
    assert torch.equal(model.weight, before)


def test_the_state_keeps_names_and_factors() -> None:
    """Through a file that cannot run code."""
    config, buffer = AdamWConfig(lr=0.01, head_lr_factor=10.0), io.BytesIO()
    optimiser = config.build(Tiny())
    torch.save(optimiser.state_dict(), buffer)
    buffer.seek(0)
    again = config.build(Tiny())
    again.load_state_dict(torch.load(buffer, weights_only=True))
    keys = ("name", "lr", "lr_factor", "weight_decay")
    rows = [tuple(group[key] for key in keys) for group in again.param_groups]
    assert rows == [
        ("body", 0.01, 1.0, 0.05),
        ("body, no decay", 0.01, 1.0, 0.0),
        ("head", 0.1, 10.0, 0.05),
        ("head, no decay", 0.1, 10.0, 0.0),
    ]


def test_the_rate_to_log_is_that_of_a_factor_of_1() -> None:
    assert base_rate(AdamWConfig(lr=0.01).build(Tiny())) == 0.01
    model = Tiny()
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.startswith("head"))
    optimiser = AdamWConfig(lr=0.01, head_lr_factor=7.0).build(model)
    assert base_rate(optimiser) == pytest.approx(0.01)
    for group in optimiser.param_groups:
        group["lr"] *= 0.5
    assert base_rate(optimiser) == pytest.approx(0.005)


def test_config_reads_lists_and_refuses_nonsense() -> None:
    assert AdamWConfig.model_validate({"betas": [0.9, 0.98]}).betas == (0.9, 0.98)
    for bad in (
        *({"lr": 0.0}, {"lr": -1.0}, {"betas": [0.9, 1.0]}, {"grad_clip": 0.0}, {"lr": math.inf}, {"eps": 0.0}),
        *({"layer_decay": 0.0}, {"layer_decay": 1.1}, {"head_lr_factor": 0.0}, {"freeze": 0}, {"freeze": "head"}),
        *({"freeze": True}, {"decay": "none"}),
    ):
        for config in (AdamWConfig, AdamConfig):
            with pytest.raises(ValidationError):
                config.model_validate(bad)


def test_without_a_kind_it_is_adamw() -> None:
    adapter: TypeAdapter[AdamWConfig | AdamConfig] = TypeAdapter(OptimConfig)
    assert adapter.validate_python({"lr": 0.1}) == AdamWConfig(lr=0.1)
    assert adapter.validate_python({"kind": "adam"}) == AdamConfig()
    assert (AdamWConfig().weight_decay, AdamConfig().weight_decay) == (0.05, 0.0)
