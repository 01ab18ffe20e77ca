"""A spectrogram transformer in the form of the original Transformer (Vaswani et al. 2017).

What differs from AST: patches side by side, fixed sinusoidal positions (half of the width for frequency, half for
time) instead of learned ones, post-norm layers, no prefix tokens, and the mean over the real patches to a LayerNorm +
linear head. Width 192, depth 4 and 3 heads are chosen here to train from nothing on a small data set; dropout 0.1 and
LayerNorm eps 1e-5 are those of the original Transformer and of PyTorch.
"""

from collections.abc import Iterator
from typing import Literal

from zoo.config import Probability, SizePair
from zoo.models.registry import register
from zoo.models.transformer import Epsilon, SpectrogramTransformer, TransformerConfig
from zoo.nn.aggregator import PatchMeanAggregator
from zoo.nn.position import SinusoidalPosition


@register({"ast-sinusoidal": {"embed_dim": 192, "depth": 4, "num_heads": 3}})
class AstSinusoidalConfig(TransformerConfig):
    """Fixed sinusoidal positions, post-norm layers, mean over the patches."""

    kind: Literal["ast-sinusoidal"] = "ast-sinusoidal"
    stride: SizePair = (16, 16)
    """Step between neighbouring patches."""
    dropout: Probability = 0.1
    """After the embedding and inside every layer."""
    norm_eps: Epsilon = 1e-5
    """LayerNorm's epsilon in the encoder: the original Transformer's, and PyTorch's."""

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        if self.embed_dim % 4:
            yield (
                f"embed_dim: found {self.embed_dim} - expected a multiple of 4, for sines and cosines on both axes - "
                "change embed_dim"
            )

    def build(self) -> SpectrogramTransformer:
        position = SinusoidalPosition(self.grid, self.embed_dim)
        return self.assemble(position, 0, PatchMeanAggregator(num_prefix_tokens=0), norm="post")
