"""A small convolutional network: what a transformer has to beat.

Two 5x5 convolutions, each with ReLU and a 2x2 maximum, then the mean over time and one linear map: the first network
that tutorials on environmental sound build, but for the mean, which they leave out by fixing the length. Frequency is
kept: averaged too, two notes of one instrument would look alike. 16 and 32 channels are chosen here: 13,248 parameters
without the classifier. No normalisation over the batch, so that clips do not depend on each other.

A clip padded in a longer batch gives what it gives alone: frames beyond its end are set to zero before each
convolution, as the convolution's own padding is at the end of a clip that is alone.
"""

from collections.abc import Iterator
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from pydantic import BeforeValidator, Field
from torch import Tensor, nn

from zoo.models.layout import TokenLayout
from zoo.models.registry import ModelConfig, register
from zoo.models.spectrogram_model import SpectrogramModel, check_input
from zoo.nn.aggregator import PatchMeanAggregator

KERNEL_SIZE = 5
POOL_SIZE = 2

Channels = Annotated[
    tuple[Annotated[int, Field(ge=1, le=4096)], ...],
    Field(min_length=1, max_length=8),
    BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value),
]


@register({"cnn-baseline": {}})
class CnnConfig(ModelConfig):
    """5x5 convolutions with ReLU and 2x2 maxima, then the mean over time."""

    kind: Literal["cnn"] = "cnn"
    channels: Channels = (16, 32)
    """Output channels of each convolution."""

    @property
    def min_frames(self) -> int:
        """Frames that leave one column after all the pools."""
        return POOL_SIZE ** len(self.channels)

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        if min(self.n_mels, self.n_frames) < self.min_frames:
            yield (
                f"channels: found {len(self.channels)} convolutions for an input of {self.n_mels}x{self.n_frames} - "
                f"expected n_mels and n_frames of at least {self.min_frames}, one halving a convolution - "
                "use fewer convolutions or a larger input"
            )

    def build(self) -> "Cnn":
        return Cnn(self)


class Cnn(SpectrogramModel):
    """Convolutions over a log-mel.

    There is no position table, so an input may be of any length from `min_frames` on. A token is a column of the last
    map, all its channels and frequencies, channel-major; the features are the mean of the real ones. Nothing is drawn.
    """

    def __init__(self, config: CnnConfig) -> None:
        super().__init__(config)
        inputs = (1, *config.channels[:-1])
        self.embed_dim = config.channels[-1] * (config.n_mels // config.min_frames)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(i, o, KERNEL_SIZE, padding=KERNEL_SIZE // 2) for i, o in zip(inputs, config.channels, strict=True)
        )
        self.aggregator = PatchMeanAggregator(num_prefix_tokens=0)
        self.head = nn.Linear(self.embed_dim, config.num_classes) if config.num_classes else None

    @property
    def layout(self) -> TokenLayout:
        """A token stands for all bands of as many frames as the pools make one column of."""
        column = (self.config.n_mels, self.config.min_frames)
        return TokenLayout(0, column, column)

    def encode(
        self,
        log_mel: Float[Tensor, "..."],
        num_frames: Int[Tensor, "..."] | None,
        keys: Int[Tensor, "batch"] | None,
    ) -> tuple[Float[Tensor, "batch column embed"], Bool[Tensor, "batch column"] | None]:
        check_input(log_mel, num_frames, self.config, self.min_frames)
        x, length = log_mel[:, None], num_frames  # (B, 1, M, T)
        for convolution in self.convolutions:
            if length is not None:
                x = torch.where(_is_beyond(length, x.shape[3])[:, None, None], 0.0, x)
            x = F.max_pool2d(convolution(x).relu(), POOL_SIZE)  # (B, C, M / 2, T / 2)
            length = None if length is None else length // POOL_SIZE
        is_padded = None if length is None else _is_beyond(length, x.shape[3])  # (B, T / 4)
        return x.flatten(1, 2).mT, is_padded  # (B, T / 4, C * M / 4)


def _is_beyond(length: Int[Tensor, "batch"], width: int) -> Bool[Tensor, "batch frame"]:
    return torch.arange(width, device=length.device) >= length[:, None]
