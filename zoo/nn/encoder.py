"""The transformer: blocks of self-attention and a two-layer perceptron.

Names follow the released weights (`blocks.0.attn.qkv`, `mlp.fc1`, ...). Numerically an `nn.TransformerEncoder` with
exact GELU; own code because released weights fuse q, k and v in this layout, and for drop-path.
"""

from collections.abc import Iterator
from typing import Literal

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from zoo.errors import ShapeError


class Attention(nn.Module):
    """Multi-head self-attention; `is_attended` says which tokens can be looked at (None: all)."""

    def __init__(self, embed_dim: int, num_heads: int, qkv_bias: bool = True, dropout: float | int = 0.0) -> None:
        super().__init__()
        if embed_dim % num_heads:
            raise ShapeError(
                f"encoder: embed_dim {embed_dim} - expected a multiple of num_heads {num_heads} - change one of them"
            )
        self.num_heads = num_heads
        self.dropout = dropout
        self.qkv = nn.Linear(embed_dim, 3 * embed_dim, bias=qkv_bias)
        self.proj = nn.Linear(embed_dim, embed_dim)

    def forward(
        self, tokens: Float[Tensor, "batch token embed"], is_attended: Bool[Tensor, "batch 1 1 token"] | None = None
    ) -> Float[Tensor, "batch token embed"]:
        # Cut into three first: their gradients are then put together in one copy instead of two.
        parts = self.qkv(tokens).chunk(3, dim=-1)
        q, k, v = (rearrange(part, "b l (h d) -> b h l d", h=self.num_heads) for part in parts)
        mixed = F.scaled_dot_product_attention(
            q, k, v, attn_mask=is_attended, dropout_p=self.dropout if self.training else 0.0
        )
        return self.proj(rearrange(mixed, "b h l d -> b l (h d)"))


class Mlp(nn.Module):
    """Two linear maps with exact (erf) GELU between them."""

    def __init__(self, embed_dim: int, hidden_dim: int, dropout: float | int = 0.0) -> None:
        super().__init__()
        self.fc1 = nn.Linear(embed_dim, hidden_dim)
        self.fc2 = nn.Linear(hidden_dim, embed_dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Float[Tensor, "batch token embed"]) -> Float[Tensor, "batch token embed"]:
        return self.fc2(self.dropout(F.gelu(self.fc1(tokens))))


class DropPath(nn.Module):
    """Stochastic depth: in training a clip's whole branch is dropped with probability `rate`, others scaled up.

    Source: Huang et al. 2016, "Deep networks with stochastic depth".
    """

    def __init__(self, rate: float | int) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, branch: Float[Tensor, "batch token embed"]) -> Float[Tensor, "batch token embed"]:
        if not self.training or self.rate == 0.0:
            return branch
        if self.rate >= 1.0:  # 0 / 0 otherwise
            return torch.zeros_like(branch)
        is_kept = torch.rand(branch.shape[0], 1, 1, device=branch.device) >= self.rate
        return branch * (is_kept / (1.0 - self.rate)).to(branch.dtype)


class Block(nn.Module):
    """norm="pre": x + attn(norm1(x)), then x + mlp(norm2(x)) (AST, SSAST, PaSST).

    norm="post": norm1(x + attn(x)), then norm2(x + mlp(x)) (Vaswani et al. 2017). Dropout acts on the attention
    weights, inside the perceptron and on both branches, as in `nn.TransformerEncoderLayer`.
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        mlp_ratio: float | int = 4.0,
        qkv_bias: bool = True,
        dropout: float | int = 0.0,
        drop_path: float | int = 0.0,
        norm: Literal["pre", "post"] = "pre",
        eps: float = 1e-6,
    ) -> None:
        super().__init__()
        self.is_pre_norm = norm == "pre"
        self.norm1 = nn.LayerNorm(embed_dim, eps=eps)
        self.attn = Attention(embed_dim, num_heads, qkv_bias, dropout)
        self.norm2 = nn.LayerNorm(embed_dim, eps=eps)
        self.mlp = Mlp(embed_dim, round(embed_dim * mlp_ratio), dropout)
        self.dropout = nn.Dropout(dropout)
        self.drop_path = DropPath(drop_path)

    def forward(
        self, tokens: Float[Tensor, "batch token embed"], is_attended: Bool[Tensor, "batch 1 1 token"] | None = None
    ) -> Float[Tensor, "batch token embed"]:
        if self.is_pre_norm:
            tokens = tokens + self._branch(self.attn(self.norm1(tokens), is_attended))
            return tokens + self._branch(self.mlp(self.norm2(tokens)))
        tokens = self.norm1(tokens + self._branch(self.attn(tokens, is_attended)))
        return self.norm2(tokens + self._branch(self.mlp(tokens)))

    def _branch(self, branch: Tensor) -> Tensor:
        return self.drop_path(self.dropout(branch))


class Encoder(nn.Module):
    """`depth` blocks; with pre-norm a last LayerNorm `norm`, with post-norm none (`norm` is None).

    drop_path rises linearly from 0 at the first block to its full value at the last. eps: 1e-6 in the released AST,
    SSAST and PaSST. A padded token is looked at by none; what stands in its own place of the output means nothing.

    recompute: set it to True to keep only the input of every block for the backward pass, which then computes the block
        again, with the same draws of dropout: less memory, the same gradients, about a third more time.
    """

    recompute: bool

    def __init__(
        self,
        embed_dim: int,
        depth: int,
        num_heads: int,
        mlp_ratio: float | int = 4.0,
        qkv_bias: bool = True,
        dropout: float | int = 0.0,
        drop_path: float | int = 0.0,
        norm: Literal["pre", "post"] = "pre",
        eps: float = 1e-6,
    ) -> None:
        super().__init__()
        self.embed_dim = embed_dim
        self.recompute = False
        self._draws = dropout > 0 or drop_path > 0
        rates = [drop_path * index / max(depth - 1, 1) for index in range(depth)]
        self.blocks = nn.ModuleList(
            Block(embed_dim, num_heads, mlp_ratio, qkv_bias, dropout, rate, norm, eps) for rate in rates
        )
        self.norm = nn.LayerNorm(embed_dim, eps=eps) if norm == "pre" else None

    def forward(
        self, tokens: Float[Tensor, "batch token embed"], is_padded: Bool[Tensor, "batch token"] | None = None
    ) -> Float[Tensor, "batch token embed"]:
        is_attended = _attended(is_padded)
        recompute = self.recompute and self.training and torch.is_grad_enabled()
        for block in self.blocks:
            if recompute:
                tokens = checkpoint(block, tokens, is_attended, use_reentrant=False, preserve_rng_state=self._draws)
            else:
                tokens = block(tokens, is_attended)
        return tokens if self.norm is None else self.norm(tokens)

    def layers(
        self, tokens: Float[Tensor, "batch token embed"], is_padded: Bool[Tensor, "batch token"] | None = None
    ) -> Iterator[Float[Tensor, "batch token embed"]]:
        """The input, then the output of every block, one after the other; the last one is what `forward` gives.

        So only that one has gone through `norm`: what lies between two pre-norm blocks is never normalised in training.
        """
        is_attended = _attended(is_padded)
        yield tokens
        for number, block in enumerate(self.blocks, start=1):
            tokens = block(tokens, is_attended)
            yield tokens if self.norm is None or number < len(self.blocks) else self.norm(tokens)


def _attended(is_padded: Bool[Tensor, "batch token"] | None) -> Bool[Tensor, "batch 1 1 token"] | None:
    """Which tokens can be looked at; None: all."""
    if is_padded is None:
        return None
    # A clip that is all padding looks at itself: softmax over nothing would be NaN, and NaN spreads.
    return (~is_padded | is_padded.all(dim=1, keepdim=True))[:, None, None]  # (B, 1, 1, L)
