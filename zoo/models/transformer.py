"""The one skeleton behind every transformer of the zoo: embedding -> encoder -> aggregator -> head."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Literal

from jaxtyping import Bool, Float, Int
from pydantic import Field
from torch import Tensor, nn

from zoo.config import Probability, SizePair
from zoo.models.layout import TokenLayout
from zoo.models.registry import ModelConfig
from zoo.models.spectrogram_model import SpectrogramModel, check_input
from zoo.nn.embedding import Embedding, Position
from zoo.nn.encoder import Encoder
from zoo.nn.head import MLPHead
from zoo.nn.init import InitialValues, init_weights
from zoo.nn.patch import PatchEmbed, PatchGrid, patch_grid
from zoo.nn.patchout import Patchout
from zoo.nn.prefix import PrefixTokens

Epsilon = Annotated[float, Field(gt=0, lt=1)]


class TransformerConfig(ModelConfig):
    """The numbers that every spectrogram transformer has. Pairs are (freq, time)."""

    embed_dim: Annotated[int, Field(ge=1, le=16_384)]
    """Width of a token; a multiple of `num_heads`."""
    depth: Annotated[int, Field(ge=1, le=1000)]
    """Encoder layers."""
    num_heads: Annotated[int, Field(ge=1, le=1024)]
    mlp_ratio: Annotated[float, Field(gt=0, le=64)] = 4.0
    """Hidden width of a layer's MLP, in multiples of `embed_dim`."""
    patch_size: SizePair = (16, 16)
    """Mel bands and frames of a patch."""
    stride: SizePair = (10, 10)
    """Step between neighbouring patches; smaller than `patch_size` means that they overlap."""
    dropout: Probability = 0.0
    """After the embedding and inside every layer; the published models have none."""
    drop_path: Probability = 0.0
    """Stochastic depth, growing linearly to this at the last layer."""
    norm_eps: Epsilon = 1e-6
    """LayerNorm's epsilon in the encoder; 1e-6 in the released AST, SSAST and PaSST, 1e-12 in Hugging Face's AST."""
    initial_values: InitialValues = "published"
    """Of fresh weights. `published`: as the released code draws them, for widths around 768. `scaled`: by the width,
    and positions that begin as sinusoids: for small models on little data, which learn far sooner so."""
    head_norm_eps: Epsilon = 1e-5
    """LayerNorm's epsilon in the head; 1e-5 (torch's default) in the released code, 1e-12 in Hugging Face's AST."""

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        if self.embed_dim % self.num_heads:
            yield (
                f"embed_dim: found {self.embed_dim} with num_heads {self.num_heads} - "
                "expected a multiple of num_heads - change one of the two"
            )
        if self.initial_values == "scaled" and self.embed_dim % 4:
            yield (
                f"embed_dim: found {self.embed_dim} with initial_values 'scaled' - expected a multiple of 4, for sines "
                "and cosines on both axes - change one of the two"
            )
        if not self.has_grid:
            yield (
                f"patch_size: found {self.patch_size[0]}x{self.patch_size[1]} (freq x time) for an input of "
                f"{self.n_mels}x{self.n_frames} - expected a patch no larger than the input - "
                "make patch_size smaller or n_mels and n_frames larger"
            )

    @property
    def has_grid(self) -> bool:
        """Whether the input holds one patch, without which there is no grid."""
        return self.patch_size[0] <= self.n_mels and self.patch_size[1] <= self.n_frames

    @property
    def grid(self) -> PatchGrid:
        """The grid of patches of the longest input."""
        return patch_grid(self.n_mels, self.n_frames, self.patch_size, self.stride)

    @property
    def min_frames(self) -> int:
        """One column of patches."""
        return self.patch_size[1]

    def assemble(
        self,
        position: Position,
        num_prefix_tokens: int,
        aggregator: nn.Module,
        *,
        patchout: Patchout | None = None,
        qkv_bias: bool = True,
        norm: Literal["pre", "post"] = "pre",
    ) -> "SpectrogramTransformer":
        """The model of this size, freshly initialised, from what a family chooses. The rest is common to all."""
        embedding = Embedding(
            PatchEmbed(self.embed_dim, self.patch_size, self.stride),
            position,
            PrefixTokens(num_prefix_tokens, self.embed_dim, with_position=True),
            patchout,
            self.dropout,
        )
        encoder = Encoder(
            self.embed_dim,
            self.depth,
            self.num_heads,
            self.mlp_ratio,
            qkv_bias,
            self.dropout,
            self.drop_path,
            norm,
            self.norm_eps,
        )
        head = MLPHead(self.embed_dim, self.num_classes, self.head_norm_eps) if self.num_classes else None
        model = SpectrogramTransformer(embedding, encoder, aggregator, head, config=self)
        init_weights(model, self.initial_values)
        return model


class SpectrogramTransformer(SpectrogramModel):
    """A vision transformer over a log-mel spectrogram.

    T may be anything from `min_frames` to the width of the position table. Tokens are the prefix tokens, then the
    patches, frequency-major (index f * T + t); patches that are not wholly real are seen by nobody.
    """

    def __init__(
        self,
        embedding: Embedding,
        encoder: Encoder,
        aggregator: nn.Module | None,
        head: nn.Module | None,
        *,
        config: TransformerConfig,
    ) -> None:
        super().__init__(config)
        self.embedding = embedding
        self.encoder = encoder
        self.aggregator = aggregator
        self.head = head

    @property
    def embed_dim(self) -> int:
        """Width of tokens and features."""
        return self.embedding.embed_dim

    @property
    def max_frames(self) -> int:
        """Frames of the longest input for which the position table has a column for every patch."""
        patch = self.embedding.patch
        return self.embedding.position.grid.time * patch.stride[1] + patch.patch_size[1] - 1

    @property
    def depth(self) -> int:
        """Encoder layers."""
        return len(self.encoder.blocks)

    @property
    def layout(self) -> TokenLayout:
        patch = self.embedding.patch
        return TokenLayout(self.embedding.num_prefix_tokens, patch.patch_size, patch.stride)

    @contextmanager
    def any_length(self) -> Iterator[None]:
        position = self.embedding.position
        was_open, position.is_open = position.is_open, True
        try:
            yield
        finally:
            position.is_open = was_open

    @property
    def is_open(self) -> bool:
        """Whether clips longer than `max_frames` are taken: within `any_length`."""
        return self.embedding.position.is_open

    def encode(
        self,
        log_mel: Float[Tensor, "..."],
        num_frames: Int[Tensor, "..."] | None,
        keys: Int[Tensor, "batch"] | None,
    ) -> tuple[Float[Tensor, "batch token embed"], Bool[Tensor, "batch token"] | None]:
        tokens, is_padded = self._embed(log_mel, num_frames, keys)
        return self.encoder(tokens, is_padded), is_padded

    def encode_layers(
        self,
        log_mel: Float[Tensor, "..."],
        num_frames: Int[Tensor, "..."] | None,
        keys: Int[Tensor, "batch"] | None,
        wanted: Sequence[int],
    ) -> tuple[list[Float[Tensor, "batch token embed"]], Bool[Tensor, "batch token"] | None]:
        tokens, is_padded = self._embed(log_mel, num_frames, keys)
        needed = set(wanted)
        found = {
            layer: tokens for layer, tokens in enumerate(self.encoder.layers(tokens, is_padded)) if layer in needed
        }
        return [found[layer] for layer in wanted], is_padded

    def _embed(
        self, log_mel: Tensor, num_frames: Tensor | None, keys: Tensor | None
    ) -> tuple[Float[Tensor, "batch token embed"], Bool[Tensor, "batch token"] | None]:
        check_input(log_mel, num_frames, self.config, self.min_frames, None if self.is_open else self.max_frames)
        return self.embedding(log_mel, num_frames, keys)
