"""Learned tokens in front of the patches, from which a clip can be read."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from zoo.errors import ShapeError


class PrefixTokens(nn.Module):
    """Puts 0, 1 (CLS) or 2 (CLS, DIST) learned tokens in front of the patches.

    with_position: the tokens have their own position vectors, as in the released weights; without, a token and its
        position are one vector.
    """

    def __init__(self, num_tokens: int, embed_dim: int, with_position: bool = True) -> None:
        super().__init__()
        if num_tokens not in (0, 1, 2):
            raise ShapeError(f"prefix: {num_tokens} tokens - expected 0, 1 or 2 - choose one of these")
        self.num_tokens = num_tokens
        self.cls_token = nn.Parameter(torch.zeros(1, 1, embed_dim)) if num_tokens >= 1 else None
        self.dist_token = nn.Parameter(torch.zeros(1, 1, embed_dim)) if num_tokens == 2 else None
        has_position = with_position and num_tokens > 0
        self.position = nn.Parameter(torch.zeros(1, num_tokens, embed_dim)) if has_position else None

    def forward(self, patches: Float[Tensor, "batch patch embed"]) -> Float[Tensor, "batch token embed"]:
        learned: list[Tensor] = [token for token in (self.cls_token, self.dist_token) if token is not None]
        if not learned:
            return patches
        prefix = torch.cat(learned, dim=1)
        if self.position is not None:
            prefix = prefix + self.position
        # Autocast may have made the patches narrower; concatenation does not promote on every device.
        prefix = prefix.to(patches.dtype).expand(patches.shape[0], -1, -1)
        return torch.cat([prefix, patches], dim=1)  # (B, P + N, D)
