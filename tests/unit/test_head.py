"""The head is LayerNorm, with torch's eps, and a linear map."""

import torch
from torch import nn

from zoo.nn.head import MLPHead


def test_it_is_layer_norm_and_linear():
    head = MLPHead(8, 5)
    assert head.norm.eps == 1e-5
    assert set(head.state_dict()) == {"norm.weight", "norm.bias", "linear.weight", "linear.bias"}
    plain = nn.Sequential(nn.LayerNorm(8), nn.Linear(8, 5))
    plain[0].load_state_dict(head.norm.state_dict())
    plain[1].load_state_dict(head.linear.state_dict())
    features = torch.randn(3, 8)
    assert torch.equal(head(features), plain(features))


def test_eps_can_be_another():
    assert MLPHead(8, 5, eps=1e-12).norm.eps == 1e-12
