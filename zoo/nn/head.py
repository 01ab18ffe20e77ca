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


class PredictionHead(nn.Module):
    """Linear, ReLU, linear: from a token to the values of its patch, as in the released SSAST."""

    def __init__(self, embed_dim: int, patch_dim: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(embed_dim, embed_dim)
        self.output = nn.Linear(embed_dim, patch_dim)

    def forward(self, tokens: Float[Tensor, "batch token embed"]) -> Float[Tensor, "batch token patch_dim"]:
        return self.output(self.hidden(tokens).relu())
