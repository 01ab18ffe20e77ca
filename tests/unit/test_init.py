"""First values: the table of the docstring, line by line."""

import pytest
import torch
from torch import nn

from zoo.nn.encoder import Encoder
from zoo.nn.head import MLPHead
from zoo.nn.init import init_weights
from zoo.nn.patch import PatchEmbed, PatchGrid
from zoo.nn.position import FrequencyTimePosition, LearnedPosition, SinusoidalPosition
from zoo.nn.prefix import PrefixTokens


def assert_normal(values, std):
    """Mean 0 and this std, each within five of its standard errors; and not constant along any axis."""
    values = values.detach().flatten()
    n = values.numel()
    assert abs(values.mean()) < 5 * std / n**0.5
    assert abs(values.std() / std - 1) < 5 / (2 * n) ** 0.5
    assert values.unique().numel() > 0.9 * n


def test_linear_and_norm():
    encoder = Encoder(64, 2, 4)
    for parameter in encoder.parameters():
        nn.init.constant_(parameter, 7.0)
    init_weights(encoder)
    for block in encoder.blocks:
        for linear in (block.attn.qkv, block.attn.proj, block.mlp.fc1, block.mlp.fc2):
            assert_normal(linear.weight, 0.02)
            assert not linear.bias.any()
    for norm in [m for m in encoder.modules() if isinstance(m, nn.LayerNorm)]:
        assert (norm.weight == 1).all()
        assert not norm.bias.any()


def test_head():
    head = MLPHead(64, 500)
    init_weights(head)
    assert_normal(head.linear.weight, 0.02)
    assert not head.linear.bias.any()


def test_linear_without_bias():
    linear = nn.Linear(64, 64, bias=False)
    init_weights(linear)
    assert_normal(linear.weight, 0.02)


@pytest.mark.parametrize(
    "part",
    [LearnedPosition(PatchGrid(8, 16), 64), FrequencyTimePosition(40, 50, 64), PrefixTokens(2, 4096)],
    ids=lambda part: type(part).__name__,
)
def test_tokens_and_positions(part):
    init_weights(nn.Sequential(part))
    parameters = list(part.parameters())
    assert parameters
    for parameter in parameters:
        assert_normal(parameter, 0.02)


def test_mask_token_is_xavier_normal():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.mask_token = nn.Parameter(torch.zeros(1, 1, 4096))

    model = Model()
    init_weights(model)
    assert_normal(model.mask_token, 4096**-0.5)
    reference = torch.empty(1, 1, 4096)
    torch.manual_seed(3)
    nn.init.xavier_normal_(reference)
    torch.manual_seed(3)
    init_weights(model)
    torch.testing.assert_close(model.mask_token.data, reference)


def test_the_patch_convolution_and_the_sinusoids_stay_as_built():
    for part in (PatchEmbed(8, (16, 16), (10, 10)), SinusoidalPosition(PatchGrid(8, 16), 64)):
        before = {name: value.clone() for name, value in [*part.named_parameters(), *part.named_buffers()]}
        init_weights(part)
        for name, value in [*part.named_parameters(), *part.named_buffers()]:
            assert torch.equal(value, before[name])


def test_the_same_seed_gives_the_same_values():
    encoders = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        encoders.append(Encoder(32, 1, 4))
        init_weights(encoders[-1])
    values = [encoder.blocks[0].mlp.fc1.weight for encoder in encoders]
    assert torch.equal(values[0], values[1])
    assert not torch.equal(values[0], values[2])


def test_on_the_meta_device():
    with torch.device("meta"):
        init_weights(Encoder(32, 1, 4))
