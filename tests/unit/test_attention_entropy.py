"""The entropy of attention against a softmax written out token by token."""

import math

import pytest
import torch
from torch import Tensor, nn

from zoo.nn.attention_entropy import attention_entropy
from zoo.nn.encoder import Attention, Encoder

HEADS, WIDTH = 2, 8


@pytest.fixture(params=["pre", "post"])
def encoder(request: pytest.FixtureRequest) -> Encoder:
    torch.manual_seed(0)
    made = Encoder(WIDTH, depth=3, num_heads=HEADS, norm=request.param).double().eval()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.5 * torch.randn_like(parameter))
    return made


def slowly(attention: Attention, tokens: Tensor, real: list[int]) -> list[float]:
    """The normalised entropy of every head, by loops in Python's own numbers."""
    qkv = attention.qkv(tokens).detach()
    size = WIDTH // HEADS
    entropies = []
    for head in range(HEADS):
        place = slice(head * size, (head + 1) * size)
        query, key = qkv[:, :WIDTH][:, place], qkv[:, WIDTH : 2 * WIDTH][:, place]
        total = 0.0
        for i in real:
            scores = [float(query[i] @ key[j]) / math.sqrt(size) for j in real]
            largest = max(scores)
            weights = [math.exp(score - largest) for score in scores]
            shares = [weight / sum(weights) for weight in weights]
            total -= sum(share * math.log(share) for share in shares)
        entropies.append(total / len(real) / math.log(len(real)))
    return entropies


def test_against_loops(encoder: Encoder) -> None:
    tokens = torch.randn(3, 6, WIDTH, dtype=torch.float64)
    is_padded = torch.zeros(3, 6, dtype=torch.bool)
    is_padded[1, 4:] = True
    is_padded[2, 2:] = True
    found = attention_entropy(encoder, tokens, is_padded)
    assert found.shape == (3, 3, HEADS)
    inputs = list(encoder.layers(tokens, is_padded))
    for layer, block in enumerate(encoder.blocks):
        seen = block.norm1(inputs[layer]) if block.is_pre_norm else inputs[layer]
        for clip in range(3):
            real = (~is_padded[clip]).nonzero()[:, 0].tolist()
            assert found[clip, layer].tolist() == pytest.approx(slowly(block.attn, seen[clip], real), abs=1e-5)


def test_padding_says_nothing(encoder: Encoder) -> None:
    tokens = torch.randn(2, 9, WIDTH, dtype=torch.float64)
    is_padded = (torch.arange(9) >= 5).expand(2, -1)
    short = attention_entropy(encoder, tokens[:, :5])
    torch.testing.assert_close(attention_entropy(encoder, tokens, is_padded), short)
    other = tokens.masked_fill(is_padded[:, :, None], 1e3)
    torch.testing.assert_close(attention_entropy(encoder, other, is_padded), short)


def test_one_everywhere_and_none_at_one_token() -> None:
    encoder = Encoder(WIDTH, depth=2, num_heads=HEADS).eval()
    for block in encoder.blocks:
        nn.init.zeros_(block.attn.qkv.weight)
        nn.init.zeros_(block.attn.qkv.bias)
    tokens = torch.randn(2, 7, WIDTH)
    torch.testing.assert_close(attention_entropy(encoder, tokens), torch.ones(2, 2, HEADS))
    torch.manual_seed(0)
    for block in encoder.blocks:
        nn.init.normal_(block.attn.qkv.weight, std=1e3)
    assert float(attention_entropy(encoder, tokens).max()) < 0.01


def test_a_clip_of_one_token_has_none(encoder: Encoder) -> None:
    tokens = torch.randn(2, 3, WIDTH, dtype=torch.float64)
    is_padded = torch.tensor([[False, True, True], [False, False, False]])
    found = attention_entropy(encoder, tokens, is_padded)
    assert found[0].isnan().all()
    assert found[1].isfinite().all()


def test_it_leaves_the_encoder_as_it_is(encoder: Encoder) -> None:
    tokens = torch.randn(2, 5, WIDTH, dtype=torch.float64)
    before = encoder(tokens)
    attention_entropy(encoder, tokens)
    assert torch.equal(encoder(tokens), before)
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in encoder.modules())
