"""When and at which frequencies the tokens of a model are."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from zoo.audio.front_end import FrontEnd
from zoo.audio.mel_bank import hertz_at_band
from zoo.data.open_reader import Measure
from zoo.data.stretches import SideBySide
from zoo.errors import ShapeError
from zoo.models.layout import TokenLayout
from zoo.use.ready import ReadyModel


@dataclass(frozen=True)
class Places:
    """Where the columns and rows of a grid of tokens lie, behind a front end."""

    layout: TokenLayout
    front_end: FrontEnd
    n_mels: int

    @classmethod
    def of(cls, ready: ReadyModel, level: str) -> "Places":
        """Raises ShapeError for a model whose tokens lie in no grid."""
        layout = ready.model.layout
        if layout is None:
            raise ShapeError(
                f"level: found {level!r} with a {ready.model.config.kind}, whose tokens lie in no grid of time and "
                "frequency - expected a model with patches - use level 'clip'"
            )
        return cls(layout, ready.front_end, ready.model.config.n_mels)

    def num_columns(self, num_frames: int) -> int:
        """Columns that lie wholly in so many frames."""
        width, step = self.layout.patch_size[1], self.layout.stride[1]
        return max(0, (num_frames - width) // step + 1)

    def times(self, first_frame: float, count: int) -> Float64[Tensor, "{count}"]:
        """Seconds from the beginning of the clip to the middle of each of `count` columns of a stretch that begins at
        frame `first_frame`: half way between the centres of the first and the last frame of a patch."""
        width, step = self.layout.patch_size[1], self.layout.stride[1]
        frames = first_frame + torch.arange(count, dtype=torch.float64) * step + (width - 1) / 2
        return (frames * self.front_end.config.hop_length + self.front_end.first_centre) / self.front_end.sample_rate

    def frequencies(self) -> Float64[Tensor, "row"]:
        """Hz in the middle of each row: half way, in mel, between the centres of its lowest and highest band."""
        height, step = self.layout.patch_size[0], self.layout.stride[0]
        rows = (self.n_mels - height) // step + 1
        bands = torch.arange(rows, dtype=torch.float64) * step + (height - 1) / 2
        low, high = self.front_end.config.band_limits
        return hertz_at_band(bands, low, high, self.front_end.config.n_mels)

    def side_by_side(self, lengths: np.ndarray, measure: Measure, n_frames: int) -> SideBySide:
        """Windows of the model's length, one behind the other, so that the columns of all windows of a clip follow each
        other at one distance and every column is there once."""
        window = measure.num_samples(n_frames)
        hop = measure.num_samples(1 + self.num_columns(n_frames) * self.layout.stride[1]) - measure.num_samples(1)
        return SideBySide(lengths, window, hop, measure.num_samples(self.layout.patch_size[1]))
