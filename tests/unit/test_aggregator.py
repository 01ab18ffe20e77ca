"""From tokens to one vector: what is averaged, and what never is."""

import pytest
import torch

from zoo.errors import ShapeError
from zoo.nn.aggregator import ClsAggregator, HeadTokensAggregator, PatchMeanAggregator

TOKENS = torch.randn(3, 7, 4, generator=torch.Generator().manual_seed(0))
IS_PADDED = torch.tensor([[False] * 7, [False] * 4 + [True] * 3, [False] * 2 + [True] * 5])


def test_cls_is_the_first_token():
    assert torch.equal(ClsAggregator()(TOKENS, IS_PADDED), TOKENS[:, 0])


def test_head_tokens_are_averaged():
    assert torch.equal(HeadTokensAggregator()(TOKENS), (TOKENS[:, 0] + TOKENS[:, 1]) / 2)
    assert torch.equal(HeadTokensAggregator(1)(TOKENS), TOKENS[:, 0])


def test_patch_mean_leaves_out_the_prefix():
    torch.testing.assert_close(PatchMeanAggregator()(TOKENS), TOKENS[:, 2:].mean(1))
    torch.testing.assert_close(PatchMeanAggregator(0)(TOKENS), TOKENS.mean(1))


def test_patch_mean_leaves_out_padding_whatever_it_holds():
    tokens = TOKENS.masked_fill(IS_PADDED[:, :, None], float("nan")).requires_grad_()
    mean = PatchMeanAggregator()(tokens, IS_PADDED)
    torch.testing.assert_close(mean[0], TOKENS[0, 2:].mean(0))
    torch.testing.assert_close(mean[1], TOKENS[1, 2:4].mean(0))
    assert torch.equal(mean[2], torch.zeros(4))  # no real patch
    mean.sum().backward()
    assert torch.equal(tokens.grad[IS_PADDED], torch.zeros(8, 4))


def test_head_tokens_ignore_padding():
    assert torch.equal(HeadTokensAggregator()(TOKENS, IS_PADDED), HeadTokensAggregator()(TOKENS))


@pytest.mark.parametrize("aggregator", [ClsAggregator, HeadTokensAggregator])
def test_prefix_tokens_are_needed(aggregator):
    with pytest.raises(ShapeError, match="0 prefix tokens - expected at least 1"):
        aggregator(0)
