"""Position tables brought to another grid: as each released code does it, slips included, and at true time.

Tables are (freq, time, D); "cut" keeps the middle, from place n // 2 - m // 2 on; "stretch" is `F.interpolate` with
align_corners=False. Every function returns new tables and leaves its input alone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from zoo.errors import ShapeError
from zoo.nn.interpolation import stretched_places, take
from zoo.nn.patch import PatchGrid

Rule = Literal["image", "ast", "ssast", "passt"]
"""Whose released code says how positions are brought to another grid."""

Mode = Literal["bilinear", "bicubic", "nearest"]
Table = Float[Tensor, "freq time embed"]
NewTable = Float[Tensor, "new_freq new_time embed"]


def released_ast_from_image(table: Table, grid: PatchGrid, mode: Mode = "bilinear") -> NewTable:
    """DeiT to AST: time first, then frequency; cut where the new axis is no longer, else stretched.

    Source: YuanGongND/ast, ast_models.py, `imagenet_pretrain` (golden kind ast_from_deit).
    """
    table = (
        _cut(table, 1, grid.time) if grid.time <= table.shape[1] else stretch(table, table.shape[0], grid.time, mode)
    )
    return _cut(table, 0, grid.freq) if grid.freq <= table.shape[0] else stretch(table, grid.freq, grid.time, mode)


def released_ast(table: Table, grid: PatchGrid, mode: Mode = "bilinear") -> NewTable:
    """AST to AST: time first, then frequency; cut where the new axis is shorter, stretched where it is longer.

    Source: YuanGongND/ast, ast_models.py, `audioset_pretrain` (golden kind ast_from_audioset).
    """
    table = _cut(table, 1, grid.time) if grid.time < table.shape[1] else stretch(table, table.shape[0], grid.time, mode)
    if grid.freq == table.shape[0]:
        return table
    return _cut(table, 0, grid.freq) if grid.freq < table.shape[0] else stretch(table, grid.freq, grid.time, mode)


def released_ssast(table: Table, grid: PatchGrid, mode: Mode = "bilinear") -> NewTable:
    """SSAST pretraining to fine-tuning, with its slips: stretching time goes through 8 rows, and the cut in frequency
    takes as many rows as there are columns.

    Source: YuanGongND/ssast, ast_models.py (golden kind ssast_finetune).

    Raises:
        ShapeError: the released code fails on this grid.
    """
    num_rows = table.shape[0]
    table = _cut(table, 1, grid.time) if grid.time < table.shape[1] else stretch(table, 8, grid.time, mode)
    if grid.freq >= num_rows:
        return stretch(table, grid.freq, grid.time, mode)
    start = num_rows // 2 - grid.freq // 2
    table = table[start : start + grid.time]
    if table.shape[0] != grid.freq:
        raise ShapeError(f"the released code cuts {num_rows} rows to {table.shape[0]} where {grid.freq} are needed")
    return table


def released_passt_from_image(
    table: Table, num_freq: int, num_time: int, mode: Mode = "bicubic"
) -> tuple[Float[Tensor, "row embed"], Float[Tensor, "column embed"]]:
    """DeiT to PaSST: both axes stretched at once, then each averaged away. The mean of all is in both tables.

    Source: kkoutini/PaSST, models/passt.py, `adapt_image_pos_embed_to_passt` (golden kind passt_from_deit).
    """
    table = stretch(table, num_freq, num_time, mode)
    return table.mean(dim=1), table.mean(dim=0)


def stretch(table: Table, num_freq: int, num_time: int, mode: Mode = "bilinear") -> NewTable:
    """`F.interpolate` of a table, without antialiasing."""
    align_corners = None if mode == "nearest" else False
    picture = table.permute(2, 0, 1)[None]  # (1, D, F, T)
    return F.interpolate(picture, (num_freq, num_time), mode=mode, align_corners=align_corners)[0].permute(1, 2, 0)


def _cut(table: Table, dim: int, size: int) -> NewTable:
    return table.narrow(dim, table.shape[dim] // 2 - size // 2, size)


@dataclass(frozen=True)
class Axis:
    """Where the patches of one axis lie: the centre of patch j is at `(j * stride + patch / 2) / scale`."""

    num_patches: int
    patch: int
    stride: int
    scale: float | int = 1
    """Frames for time (1); the number of mel bands for frequency, so that places are shares of the mel range."""

    def places_in(self, other: "Axis") -> Float[Tensor, "patch"]:
        """The place of each of these patches among those of another axis, as a fractional index; float64."""
        centre = (torch.arange(self.num_patches, dtype=torch.float64) * self.stride + self.patch / 2) / self.scale
        return (centre * other.scale - other.patch / 2) / other.stride


def time_places(target: Axis, source: Axis) -> Float[Tensor, "patch"]:
    """True time where the source covers it. The end of a longer target has no positions: the whole is stretched."""
    places = target.places_in(source)
    if places[-1] > source.num_patches - 0.5:
        return stretched_places(target.num_patches, source.num_patches)
    return places


def resample(
    table: Table,
    freq_places: Float[Tensor, "row"],
    time_places: Float[Tensor, "column"],
    nearest: bool = False,
) -> NewTable:
    """A table at other places, axis by axis."""
    return take(take(table, 1, time_places, nearest), 0, freq_places, nearest)


def split_axes(table: Table) -> tuple[Float[Tensor, "row embed"], Float[Tensor, "column embed"]]:
    """The row and column tables whose sum is nearest to a whole table (least squares)."""
    return table.mean(dim=1), table.mean(dim=0) - table.mean(dim=(0, 1))


RELEASED: dict[str, Callable[..., NewTable]] = {
    "image": released_ast_from_image,
    "ast": released_ast,
    "ssast": released_ssast,
}
"""By the rule's name: to a whole table. PaSST's tables are taken as they are, or refused."""
