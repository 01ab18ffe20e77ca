"""Prefix tokens: how many, in which order, with or without positions."""

import pytest
import torch

from zoo.errors import ShapeError
from zoo.nn.prefix import PrefixTokens


def filled(prefix):
    for parameter in prefix.parameters():
        torch.nn.init.normal_(parameter)
    return prefix


@pytest.mark.parametrize(
    ("num_tokens", "with_position", "names"),
    [
        (0, True, set()),
        (0, False, set()),
        (1, True, {"cls_token", "position"}),
        (1, False, {"cls_token"}),
        (2, True, {"cls_token", "dist_token", "position"}),
        (2, False, {"cls_token", "dist_token"}),
    ],
)
def test_parameters_and_shapes(num_tokens, with_position, names):
    prefix = filled(PrefixTokens(num_tokens, 8, with_position))
    assert {name for name, _ in prefix.named_parameters()} == names
    assert prefix.num_tokens == num_tokens
    patches = torch.randn(3, 5, 8)
    tokens = prefix(patches)
    assert tokens.shape == (3, num_tokens + 5, 8)
    assert torch.equal(tokens[:, num_tokens:], patches)


def test_cls_then_dist_each_with_its_position():
    prefix = filled(PrefixTokens(2, 8))
    tokens = prefix(torch.zeros(3, 5, 8))
    for clip in range(3):
        assert torch.equal(tokens[clip, 0], prefix.cls_token[0, 0] + prefix.position[0, 0])
        assert torch.equal(tokens[clip, 1], prefix.dist_token[0, 0] + prefix.position[0, 1])


def test_the_type_of_the_patches_is_kept():
    assert filled(PrefixTokens(2, 8))(torch.zeros(3, 5, 8, dtype=torch.bfloat16)).dtype == torch.bfloat16


@pytest.mark.parametrize("num_tokens", [-1, 3])
def test_other_counts_are_refused(num_tokens):
    with pytest.raises(ShapeError, match=f"{num_tokens} tokens - expected 0, 1 or 2"):
        PrefixTokens(num_tokens, 8)
