"""From a clip's vector to its logits."""

from jaxtyping import Float
from torch import Tensor, nn


class MLPHead(nn.Module):
    """LayerNorm and one linear map. eps is torch's default here, unlike in the encoder.

    Source: `mlp_head` of the released AST and SSAST, `head` of the released PaSST.
    """

    def __init__(self, embed_dim: int, num_classes: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(embed_dim, eps=eps)
        self.linear = nn.Linear(embed_dim, num_classes)

    def forward(self, features: Float[Tensor, "batch embed"]) -> Float[Tensor, "batch cls"]:
        return self.linear(self.norm(features))
