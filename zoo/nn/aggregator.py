"""How the tokens of a clip become one vector. `is_padded` covers all tokens, the prefix included."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from zoo.errors import ShapeError


def _check_has_prefix(name: str, num_prefix_tokens: int) -> None:
    if num_prefix_tokens < 1:
        raise ShapeError(
            f"{name}: {num_prefix_tokens} prefix tokens - expected at least 1 - add prefix tokens to the model, or use "
            "PatchMeanAggregator"
        )


class ClsAggregator(nn.Module):
    """The CLS token, the first one."""

    def __init__(self, num_prefix_tokens: int = 1) -> None:
        super().__init__()
        _check_has_prefix("ClsAggregator", num_prefix_tokens)
        self.num_prefix_tokens = num_prefix_tokens

    def forward(
        self, tokens: Float[Tensor, "batch token embed"], is_padded: Bool[Tensor, "batch token"] | None = None
    ) -> Float[Tensor, "batch embed"]:
        return tokens[:, 0]  # (B, D)


class HeadTokensAggregator(nn.Module):
    """The mean of the prefix tokens: (CLS + DIST) / 2 in the released AST and PaSST."""

    def __init__(self, num_prefix_tokens: int = 2) -> None:
        super().__init__()
        _check_has_prefix("HeadTokensAggregator", num_prefix_tokens)
        self.num_prefix_tokens = num_prefix_tokens

    def forward(
        self, tokens: Float[Tensor, "batch token embed"], is_padded: Bool[Tensor, "batch token"] | None = None
    ) -> Float[Tensor, "batch embed"]:
        return tokens[:, : self.num_prefix_tokens].mean(dim=1)  # (B, D)


class PatchMeanAggregator(nn.Module):
    """The mean of the real patch tokens, the prefix left out (SSAST's `ft_avgtok`). All padding gives zeros."""

    def __init__(self, num_prefix_tokens: int = 2) -> None:
        super().__init__()
        self.num_prefix_tokens = num_prefix_tokens

    def forward(
        self, tokens: Float[Tensor, "batch token embed"], is_padded: Bool[Tensor, "batch token"] | None = None
    ) -> Float[Tensor, "batch embed"]:
        patches = tokens[:, self.num_prefix_tokens :]
        if is_padded is None:
            return patches.mean(dim=1)  # (B, D)
        is_real = ~is_padded[:, self.num_prefix_tokens :, None]
        total = torch.where(is_real, patches, 0.0).sum(dim=1)
        return total / is_real.sum(dim=1).clamp(min=1)  # (B, D)
