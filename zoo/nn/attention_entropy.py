"""How widely the heads of an encoder look around: the entropy of their attention."""

import math

import torch
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor

from zoo.nn.encoder import Attention, Block, Encoder
from zoo.precision import exactly


@torch.no_grad()
def attention_entropy(
    encoder: Encoder, tokens: Float[Tensor, "batch token embed"], is_padded: Bool[Tensor, "batch token"] | None = None
) -> Float[Tensor, "batch layer head"]:
    """The entropy of every head's attention, mean over the queries, divided by log(number of keys): 1 where all tokens
    are looked at alike, 0 where it is one alone. Padding is neither query nor key. NaN for a clip of one token.

    The weights are computed beside the encoder's own path, which never forms them: a clip at a time, for they are heads
    × tokens × tokens.

    Args:
        tokens: what the encoder gets, the prefix first. It runs as it is: put it in eval mode before.
    """
    layers = []
    for block, inputs in zip(encoder.blocks, encoder.layers(tokens, is_padded), strict=False):  # the last is no input
        assert isinstance(block, Block)
        seen = block.norm1(inputs) if block.is_pre_norm else inputs
        layers.append(torch.stack([_of_clip(block.attn, one, _real(is_padded, row)) for row, one in enumerate(seen)]))
    return torch.stack(layers, dim=1)


def _real(is_padded: Bool[Tensor, "batch token"] | None, row: int) -> Bool[Tensor, "token"] | None:
    return None if is_padded is None else ~is_padded[row]


def _of_clip(
    attention: Attention, tokens: Float[Tensor, "token embed"], is_real: Bool[Tensor, "token"] | None
) -> Float[Tensor, "head"]:
    """Of one clip; only its real tokens are looked at."""
    real = tokens if is_real is None else tokens[is_real]
    q, k, _ = (rearrange(part, "l (h d) -> h l d", h=attention.num_heads) for part in attention.qkv(real).chunk(3, -1))
    with exactly(tokens.device):
        log_weights = (q.float() @ k.float().mT * q.shape[-1] ** -0.5).log_softmax(dim=-1)  # (H, L, L)
        entropy = -(log_weights.exp() * log_weights).sum(dim=-1)  # (H, L)
        most = math.log(len(real)) if len(real) > 1 else math.nan
        return entropy.mean(dim=1) / most
