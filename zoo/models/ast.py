"""AST, the Audio Spectrogram Transformer (Gong, Chung and Glass, Interspeech 2021).

A DeiT over overlapping 16x16 patches, with a CLS and a DIST token whose mean is classified. Numbers are those of the
released code: LayerNorm eps 1e-6 in the trunk and 1e-5 in the head, no dropout, exact GELU. The prefix tokens have
position rows of their own, as there; the tables are stored as a 2-D grid, so that another length is a slice.
"""

from typing import Literal

from zoo.models.registry import register
from zoo.models.transformer import SpectrogramTransformer, TransformerConfig
from zoo.nn.aggregator import HeadTokensAggregator
from zoo.nn.position import LearnedPosition

# DeiT's sizes (Touvron et al. 2021): every head is 64 wide.
SIZES = {
    "tiny": {"embed_dim": 192, "depth": 12, "num_heads": 3},
    "small": {"embed_dim": 384, "depth": 12, "num_heads": 6},
    "base": {"embed_dim": 768, "depth": 12, "num_heads": 12},
}


@register({f"ast-{size}": numbers for size, numbers in SIZES.items()})
class AstConfig(TransformerConfig):
    """AST: learned 2-D positions, CLS and DIST, the mean of both to the head."""

    kind: Literal["ast"] = "ast"

    def build(self) -> SpectrogramTransformer:
        return self.assemble(LearnedPosition(self.grid, self.embed_dim), 2, HeadTokensAggregator())
