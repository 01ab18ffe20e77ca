"""The light half of a masked autoencoder: puts mask tokens among the encoded visible patches, and mixes them once more.

Source: He et al. 2022 (masked autoencoders), section 3; for audio Huang et al. 2022. Both give the decoder fixed
two-dimensional sinusoids. So has this one: they belong to no length and no grid, and no checkpoint has to resize them.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from zoo.nn.encoder import Encoder
from zoo.nn.init import init_weights
from zoo.nn.patch import PatchGrid
from zoo.nn.position import SinusoidalPosition


class MaskDecoder(nn.Module):
    """A linear map to a width of its own, mask tokens, positions, then `depth` pre-norm blocks over the whole grid.

    The encoder's prefix tokens go through it too, without positions, as in the released code of He et al.

    Args:
        grid: of the longest clip that is expected; longer ones are taken, but with as many rows.
        embed_dim, width: of the encoder's tokens, and of the decoder's; `width` a multiple of `num_heads` and of 4.
    """

    def __init__(
        self,
        grid: PatchGrid,
        embed_dim: int,
        width: int,
        depth: int,
        num_heads: int,
        num_prefix_tokens: int,
        mlp_ratio: float | int = 4.0,
        dropout: float | int = 0.0,
        eps: float = 1e-6,
    ) -> None:
        super().__init__()
        self.width = width
        self.num_prefix_tokens = num_prefix_tokens
        self.embed = nn.Linear(embed_dim, width)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, width))
        self.position = SinusoidalPosition(grid, width, "2d")
        self.position.is_open = True  # sinusoids have no end
        self.trunk = Encoder(width, depth, num_heads, mlp_ratio, dropout=dropout, eps=eps)
        init_weights(self)

    def forward(
        self,
        tokens: Float[Tensor, "batch seen embed"],
        grid: PatchGrid,
        is_visible: Bool[Tensor, "batch patch"],
        is_padded: Bool[Tensor, "batch patch"] | None = None,
    ) -> Float[Tensor, "batch token width"]:
        """All tokens of the grid, the prefix first: (B, P + N, width).

        tokens: the encoded prefix and visible patches (B, P + V, D), these in the order of their places. A clip with
            fewer than V goes on with whatever it likes.
        is_visible: which patches those are. All others get the mask token; those that are padded are seen by none.
        """
        count = self.num_prefix_tokens
        tokens = self.embed(tokens)  # (B, P + V, width)
        slot = _slots(is_visible, tokens.shape[1] - count) + count  # (B, N)
        patches = tokens.gather(1, slot[:, :, None].expand(-1, -1, self.width))
        patches = torch.where(is_visible[:, :, None], patches, self.mask_token.to(patches.dtype))
        patches = patches + self.position(grid)  # (B, N, width)
        # Autocast may have made the tokens narrower; concatenation does not promote on every device.
        tokens = torch.cat([tokens[:, :count].to(patches.dtype), patches], dim=1)
        if is_padded is not None:
            is_padded = torch.cat([is_padded.new_zeros(is_padded.shape[0], count), is_padded], dim=1)
        return self.trunk(tokens, is_padded)


def _slots(is_visible: Bool[Tensor, "batch patch"], most: int) -> Int[Tensor, "batch patch"]:
    """How many visible patches come before each place: where its own token stands, if it is one of them."""
    return (is_visible.cumsum(dim=1) - 1).clamp(min=0, max=max(most - 1, 0))
