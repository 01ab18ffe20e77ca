"""What every model of the zoo offers: tokens, features and logits of a log-mel, of clips of any length."""

from abc import abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from zoo.config import differences
from zoo.errors import ShapeError
from zoo.models.layout import TokenLayout
from zoo.models.registry import ModelConfig

NO_AGGREGATOR = (
    "model.features: found no aggregator - expected one, also below a head - assign model.aggregator, or set "
    "model.head = None too and use the tokens"
)


class SpectrogramModel(nn.Module):
    """A family gives `encode`; the three methods follow from it.

    `head` and `aggregator` can be replaced by assignment. None is accepted: without a head `forward` returns the
    features, without both the tokens. A head without an aggregator is an error, for it would see every token.

    All three methods take
        log_mel (B, n_mels, T): normalised.
        num_frames (B,): how many frames of each clip are real; None when all are. Padding a clip changes nothing.
        keys (B,): the clips' keys for what is drawn in training (`zoo.draws`); None draws new ones.
    and raise ShapeError for another rank, another number of mel bands, or an input that is too short or too long.

    A loaded model also has the config of the front end that it was trained behind and names for its outputs (None for a
    new one), notes on how it was loaded, and in `carried` all that its checkpoint says besides (task, padding,
    windows). It refuses a log-mel that another front end made.
    """

    aggregator: nn.Module | None
    head: nn.Module | None
    front_end: Any
    labels: tuple[str, ...] | None
    load_notes: tuple[str, ...]
    carried: dict[str, Any]

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.front_end = None
        self.labels = None
        self.load_notes = ()
        self.carried = {}

    @property
    def min_frames(self) -> int:
        """Frames of the shortest possible input."""
        return self.config.min_frames

    def any_length(self) -> AbstractContextManager[None]:
        """A context in which clips longer than the position table are taken too, in evaluation.

        Each such clip gets the table stretched over its own columns, as if the model were loaded at its length with
        `positions="resample"`; others, also in the same batch, get it as it is. Models without a table take clips of
        any length anyway.
        """
        return nullcontext()

    @abstractmethod
    def encode(
        self,
        log_mel: Float[Tensor, "..."],
        num_frames: Int[Tensor, "..."] | None,
        keys: Int[Tensor, "batch"] | None,
    ) -> tuple[Float[Tensor, "batch token embed"], Bool[Tensor, "batch token"] | None]:
        """The tokens, and which of them are padding (None: none)."""

    @property
    def depth(self) -> int:
        """Layers below the last one whose tokens `layers` gives too; 0: none."""
        return 0

    @property
    def layout(self) -> TokenLayout | None:
        """How the tokens lie over the log-mel; None for a model whose tokens lie in no grid."""
        return None

    def encode_layers(
        self,
        log_mel: Float[Tensor, "..."],
        num_frames: Int[Tensor, "..."] | None,
        keys: Int[Tensor, "batch"] | None,
        wanted: Sequence[int],
    ) -> tuple[list[Float[Tensor, "batch token embed"]], Bool[Tensor, "batch token"] | None]:
        """The tokens after each of the `wanted` layers, and which of them are padding."""
        tokens, is_padded = self.encode(log_mel, num_frames, keys)
        return [tokens for _ in wanted], is_padded

    def layers(
        self,
        log_mel: Float[Tensor, "..."],
        num_frames: Int[Tensor, "..."] | None = None,
        keys: Int[Tensor, "batch"] | None = None,
        wanted: Sequence[int] | None = None,
    ) -> tuple[list[Float[Tensor, "batch token embed"]], Bool[Tensor, "batch token"] | None]:
        """The tokens after each layer, and which of them are padding (None: none).

        Layer 0 is what the encoder gets, `depth` is what `tokens` gives: normalised, where the encoder ends with a
        norm. Those between are as the blocks hand them on.

        Args:
            wanted: layers, each at most `depth`; None: all of them.

        Raises: ShapeError for a layer that is none, and as `tokens`.
        """
        chosen = range(self.depth + 1) if wanted is None else wanted
        none = [layer for layer in chosen if not 0 <= layer <= self.depth]
        if none:
            raise ShapeError(
                f"layers: found {', '.join(map(str, none))} - expected 0 to {self.depth}, the layers of a "
                f"{self.config.kind} of this depth - choose among them"
            )
        return self.encode_layers(accept(log_mel, self.front_end), num_frames, keys, chosen)

    def tokens(
        self,
        log_mel: Float[Tensor, "..."],
        num_frames: Int[Tensor, "..."] | None = None,
        keys: Int[Tensor, "batch"] | None = None,
    ) -> Float[Tensor, "batch token embed"]:
        """The encoder's output."""
        return self.encode(accept(log_mel, self.front_end), num_frames, keys)[0]

    def features(
        self,
        log_mel: Float[Tensor, "..."],
        num_frames: Int[Tensor, "..."] | None = None,
        keys: Int[Tensor, "batch"] | None = None,
    ) -> Float[Tensor, "batch embed"]:
        """One vector a clip: what the aggregator makes of the tokens."""
        if self.aggregator is None:
            raise ShapeError(NO_AGGREGATOR)
        return self.aggregator(*self.encode(accept(log_mel, self.front_end), num_frames, keys))  # (B, D)

    def forward(
        self,
        log_mel: Float[Tensor, "..."],
        num_frames: Int[Tensor, "..."] | None = None,
        keys: Int[Tensor, "batch"] | None = None,
    ) -> Float[Tensor, "batch *output"]:
        """Logits (B, C); features (B, D) without a head; tokens (B, N, D) without head and aggregator."""
        if self.aggregator is None and self.head is None:
            return self.tokens(log_mel, num_frames, keys)  # (B, N, D)
        features = self.features(log_mel, num_frames, keys)  # (B, D)
        return features if self.head is None else self.head(features)  # (B, C)


def accept(log_mel: Float[Tensor, "..."], front_end: Any) -> Float[Tensor, "..."]:
    """The log-mel as a plain tensor. One that knows its maker (`zoo.audio.log_mel`) must have the model's own.

    Raises:
        ShapeError: naming every field in which the two front ends differ.
    """
    if type(log_mel) is Tensor:
        return log_mel
    maker = getattr(log_mel, "front_end", None)
    if maker is not None and front_end is not None and maker != front_end:
        fields = [
            f"{field} is {theirs!r}, the model's {ours!r}"
            for field, (ours, theirs) in differences(front_end, maker).items()
        ]
        raise ShapeError(
            f"log_mel: found one of another front end ({'; '.join(fields)}) - expected that of the model's training - "
            "use model.front_end.build(), or zoo.front_end of the same checkpoint"
        )
    return log_mel.as_subclass(Tensor)


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
        hint = f"use a front end with {config.n_mels}, or build with n_mels={log_mel.shape[1]}"
        if swapped:
            hint = f"this is (batch, frames, mels): found {tuple(log_mel.shape)}, so transpose it: log_mel.mT"
        raise ShapeError(f"log_mel: found {log_mel.shape[1]} mel bands - expected {config.n_mels} - {hint}")
    if log_mel.shape[2] < min_frames:
        raise ShapeError(f"log_mel: found {log_mel.shape[2]} frames - expected at least {min_frames} - pad the clip")
    if max_frames is not None and log_mel.shape[2] > max_frames:
        raise ShapeError(
            f"log_mel: found {log_mel.shape[2]} frames - expected at most {max_frames}, for which the position table "
            f"of a model with n_frames {config.n_frames} has columns - cut the clip, or build with a larger n_frames"
        )
    # Neither where it would mean to wait for a GPU, nor where there are only shapes.
    is_known = type(num_frames) is Tensor and num_frames.device.type == "cpu" and not torch.compiler.is_compiling()
    if num_frames is not None and is_known and num_frames.numel() and int(num_frames.max()) > log_mel.shape[2]:
        raise ShapeError(
            f"num_frames: found {int(num_frames.max())} for an input of {log_mel.shape[2]} frames - expected no more - "
            "count frames, not samples: front_end.num_frames(num_samples)"
        )
    if num_frames is not None and num_frames.shape != log_mel.shape[:1]:
        raise ShapeError(
            f"num_frames: found shape {tuple(num_frames.shape)} - expected ({log_mel.shape[0]},), one number a clip"
        )
