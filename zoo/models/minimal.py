"""A small AST for training from nothing: three layers, patches side by side, one CLS token.

The baseline that people write first: a plain vision transformer on the spectrogram, without anything pretrained. Its
given numbers are width 768, depth 3, 6 heads, 16x16 patches without overlap, attention without biases in q, k and v,
dropout 0.1 and LayerNorm eps 1e-5. Chosen here, where that leaves it open: MLP ratio 4, learned 2-D positions, a CLS
token with a position row of its own, pre-norm layers with a final norm, and the zoo's LayerNorm + linear head on CLS.
"""

from typing import Literal

from zoo.config import Probability, SizePair
from zoo.models.registry import register
from zoo.models.transformer import Epsilon, SpectrogramTransformer, TransformerConfig
from zoo.nn.aggregator import ClsAggregator
from zoo.nn.position import LearnedPosition


@register({"ast-minimal": {"embed_dim": 768, "depth": 3, "num_heads": 6}})
class AstMinimalConfig(TransformerConfig):
    """A three-layer vision transformer with a CLS token, for training from nothing."""

    kind: Literal["ast-minimal"] = "ast-minimal"
    stride: SizePair = (16, 16)
    """Step between neighbouring patches."""
    dropout: Probability = 0.1
    """After the embedding and inside every layer."""
    norm_eps: Epsilon = 1e-5
    """LayerNorm's epsilon in the encoder: PyTorch's."""

    def build(self) -> SpectrogramTransformer:
        position = LearnedPosition(self.grid, self.embed_dim)
        return self.assemble(position, 1, ClsAggregator(), qkv_bias=False)
