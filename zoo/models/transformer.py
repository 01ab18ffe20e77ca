"""The one skeleton behind every transformer of the zoo: embedding -> encoder -> aggregator -> head."""

from collections.abc import Iterator
from typing import Annotated, Literal

from jaxtyping import Bool, Float, Int
from pydantic import Field
from torch import Tensor, nn

from zoo.config import Probability, SizePair
from zoo.errors import ShapeError
from zoo.models.registry import ModelConfig
from zoo.nn.embedding import Embedding, Position
from zoo.nn.encoder import Encoder
from zoo.nn.head import MLPHead
from zoo.nn.init import init_weights
from zoo.nn.patch import PatchEmbed, PatchGrid, patch_grid
from zoo.nn.patchout import Patchout
from zoo.nn.prefix import PrefixTokens

NO_AGGREGATOR = (
    "model.features: found no aggregator - expected one, also below a head - assign model.aggregator, or set "
    "model.head = None too and use the tokens"
)


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

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        if self.embed_dim % self.num_heads:
            yield (
                f"embed_dim: found {self.embed_dim} with num_heads {self.num_heads} - "
                "expected a multiple of num_heads - change one of the two"
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
        eps: float = 1e-6,
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
            eps,
        )
        head = MLPHead(self.embed_dim, self.num_classes) if self.num_classes else None
        model = SpectrogramTransformer(embedding, encoder, aggregator, head, config=self)
        init_weights(model)
        return model


class SpectrogramTransformer(nn.Module):
    """A vision transformer over a log-mel spectrogram.

    `head` and `aggregator` can be replaced by assignment. None is accepted: without a head `forward` returns the
    features, without both the tokens. A head without an aggregator is an error, for it would see every token.

    All three methods take
        log_mel (B, n_mels, T): normalised; T may be anything from `min_frames` to the width of the position table.
        num_frames (B,): how many frames of each clip are real; None when all are. Tokens of patches that are not
            wholly real are seen by nobody, so that padding a clip changes nothing.
        keys (B,): the clips' keys for patchout and position draws (`zoo.draws`); None draws new ones in training.
    and raise ShapeError for another rank, another number of mel bands, or an input that is too short or too long.
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
        super().__init__()
        self.config = config
        self.embedding = embedding
        self.encoder = encoder
        self.aggregator = aggregator
        self.head = head

    @property
    def embed_dim(self) -> int:
        """Width of tokens and features."""
        return self.config.embed_dim

    @property
    def min_frames(self) -> int:
        """Frames of the shortest possible input."""
        return self.config.min_frames

    @property
    def max_frames(self) -> int:
        """Frames of the longest input for which the position table has a column for every patch."""
        patch = self.embedding.patch
        return self.embedding.position.grid.time * patch.stride[1] + patch.patch_size[1] - 1

    def tokens(
        self,
        log_mel: Float[Tensor, "..."],
        num_frames: Int[Tensor, "..."] | None = None,
        keys: Int[Tensor, "batch"] | None = None,
    ) -> Float[Tensor, "batch token embed"]:
        """The encoder's output: the prefix tokens, then the patches, frequency-major (index f * T + t)."""
        return self._encode(log_mel, num_frames, keys)[0]

    def features(
        self,
        log_mel: Float[Tensor, "..."],
        num_frames: Int[Tensor, "..."] | None = None,
        keys: Int[Tensor, "batch"] | None = None,
    ) -> Float[Tensor, "batch embed"]:
        """One vector a clip: what the aggregator makes of the tokens."""
        if self.aggregator is None:
            raise ShapeError(NO_AGGREGATOR)
        return self.aggregator(*self._encode(log_mel, num_frames, keys))  # (B, D)

    def forward(
        self,
        log_mel: Float[Tensor, "..."],
        num_frames: Int[Tensor, "..."] | None = None,
        keys: Int[Tensor, "batch"] | None = None,
    ) -> Float[Tensor, "batch *output"]:
        """Logits (B, C); features (B, D) without a head; tokens (B, P + N, D) without head and aggregator."""
        if self.aggregator is None and self.head is None:
            return self.tokens(log_mel, num_frames, keys)  # (B, P + N, D)
        features = self.features(log_mel, num_frames, keys)  # (B, D)
        return features if self.head is None else self.head(features)  # (B, C)

    def _encode(
        self,
        log_mel: Float[Tensor, "..."],
        num_frames: Int[Tensor, "..."] | None,
        keys: Int[Tensor, "batch"] | None,
    ) -> tuple[Float[Tensor, "batch token embed"], Bool[Tensor, "batch token"] | None]:
        check_input(log_mel, num_frames, self.config, self.min_frames, self.max_frames)
        tokens, is_padded = self.embedding(log_mel, num_frames, keys)
        return self.encoder(tokens, is_padded), is_padded


def check_input(
    log_mel: Float[Tensor, "..."],
    num_frames: Int[Tensor, "..."] | None,
    config: ModelConfig,
    min_frames: int,
    max_frames: int | None = None,
) -> None:
    """Refuses what no model of this config can take. The annotation leaves the rank open for this message's sake.

    Raises:
        ShapeError: with what was found and what was expected.
    """
    if log_mel.ndim != 3:
        hint = " - add the batch axis: log_mel[None]" if log_mel.ndim == 2 else ""
        raise ShapeError(
            f"log_mel: found {log_mel.ndim} axes {tuple(log_mel.shape)} - expected 3 (batch, n_mels, n_frames){hint}"
        )
    if log_mel.shape[1] != config.n_mels:
        swapped = log_mel.shape[2] == config.n_mels
        hint = "transpose it: log_mel.mT" if swapped else f"use a front end with {config.n_mels}, or build with n_mels"
        raise ShapeError(f"log_mel: found {log_mel.shape[1]} mel bands - expected {config.n_mels} - {hint}")
    if log_mel.shape[2] < min_frames:
        raise ShapeError(f"log_mel: found {log_mel.shape[2]} frames - expected at least {min_frames} - pad the clip")
    if max_frames is not None and log_mel.shape[2] > max_frames:
        raise ShapeError(
            f"log_mel: found {log_mel.shape[2]} frames - expected at most {max_frames}, for which the position table "
            f"of a model with n_frames {config.n_frames} has columns - cut the clip, or build with a larger n_frames"
        )
    if num_frames is not None and num_frames.shape != log_mel.shape[:1]:
        raise ShapeError(
            f"num_frames: found shape {tuple(num_frames.shape)} - expected ({log_mel.shape[0]},), one number a clip"
        )
