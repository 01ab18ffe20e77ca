"""PaSST, the Patchout faSt Spectrogram Transformer (Koutini et al., Interspeech 2022).

What differs from AST: a vector per row plus a vector per column instead of one per patch, and patchout: in training
whole rows and columns of patches are left out, which shortens the sequence and regularises. As in the released code
one head sees the mean of CLS and DIST. Its second, never evaluated head is not built.
"""

from collections.abc import Iterator
from typing import Literal

from zoo.config import CountOrShare, Size
from zoo.errors import ShapeError
from zoo.models.ast import SIZES
from zoo.models.registry import register
from zoo.models.transformer import SpectrogramTransformer, TransformerConfig
from zoo.nn.aggregator import HeadTokensAggregator
from zoo.nn.patchout import Patchout
from zoo.nn.position import FrequencyTimePosition


@register(
    {
        f"passt-{size}": {**numbers, "n_frames": 998, "patchout_freq": 4, "patchout_time": 40}
        for size, numbers in SIZES.items()
    }
)
class PasstConfig(TransformerConfig):
    """PaSST: positions for frequency and time apart, patchout in training, the mean of CLS and DIST to the head."""

    kind: Literal["passt"] = "passt"
    patchout_freq: CountOrShare = 0.0
    """Rows of patches left out in training; a count, or a share when below 1."""
    patchout_time: CountOrShare = 0.0
    """Columns of patches left out in training; a count, or a share when below 1."""
    patchout_random: CountOrShare = 0.0
    """Single patches left out in training, of those that rows and columns leave; a count, or a share when below 1."""
    table_frames: Size | None = None
    """Frames that the table of positions in time is for; null: `n_frames`. A table longer than the clips is trained
    throughout, since a clip gets another window of it every time, and takes clips of up to its length in evaluation:
    the released models for 20 and 30 s saw 10 s in training, and that for ESC-50 has the table of 10 s (998)."""

    @property
    def table_columns(self) -> int:
        """Entries of the table of positions in time.

        As in the released code n // stride, which can be one more than the patches that fit: 1,000 frames at stride 12
        have 83 columns and 998 have 82, with one table of 83 for both. No spare entry is made: where the released rule
        gives one, the released model cannot run.
        """
        return max((self.table_frames or self.n_frames) // self.stride[1], self.grid.time)

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        if self.has_grid:
            try:
                self._build_patchout().check(self.grid)
            except ShapeError as error:
                yield str(error)

    def _build_patchout(self) -> Patchout:
        return Patchout(self.patchout_freq, self.patchout_time, self.patchout_random)

    def build(self) -> SpectrogramTransformer:
        position = FrequencyTimePosition(self.grid.freq, self.table_columns, self.embed_dim, random_time_offset=True)
        return self.assemble(position, 2, HeadTokensAggregator(), patchout=self._build_patchout())
