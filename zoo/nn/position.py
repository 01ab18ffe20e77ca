"""Where a patch lies, as a vector added to its token: three tables with one rule.

Column t of the input always takes column t of the table, whatever the width of the batch, so a clip padded in a wider
batch is the clip alone. Narrower input takes the first columns; wider input, or another number of rows, is an error:
tables are resized at build or load only. There are two stated exceptions: PaSST's random window in training, and
`is_open`, which whole clips of any length are evaluated with. Then a clip with more patch columns than the table takes
the table stretched over its own columns (sinusoids, which have no end, go on): what a model gets that is loaded at that
length with `positions="resample"`. How many columns a clip has is told by `num_columns`; what the batch is padded to
plays no part.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from zoo.draws import random_keys, uniform
from zoo.errors import ShapeError
from zoo.nn.interpolation import stretched_places, take
from zoo.nn.patch import PatchGrid


def _check_fits(grid: PatchGrid, num_freq: int, num_time: int, is_open: bool) -> None:
    if grid.freq != num_freq:
        raise ShapeError(
            f"position: input has {grid.freq} patch rows - expected the {num_freq} of the position table - resize the "
            "table to this n_mels when building or loading"
        )
    if grid.time > num_time and not is_open:
        raise ShapeError(
            f"position: input has {grid.time} patch columns - expected at most the {num_time} of the position table - "
            "resize the table to this n_frames when building or loading, or cut the clip"
        )


def _clip_lengths(grid: PatchGrid, num_columns: Int[Tensor, "batch"] | None, table: Tensor) -> Int[Tensor, "clip 1"]:
    """Patch columns of every clip; of all clips at once where none is padded."""
    if num_columns is None:
        return torch.full((1, 1), grid.time, device=table.device)
    return num_columns[:, None]


def _stretched(
    table: Float[Tensor, "..."], dim: int, grid: PatchGrid, num_columns: Int[Tensor, "batch"] | None
) -> Float[Tensor, "..."]:
    """The columns of each clip, as a new axis 0: those of the table, stretched where the clip has more."""
    num_time = table.shape[dim]
    lengths = _clip_lengths(grid, num_columns, table).clamp(min=num_time)
    places = stretched_places(lengths, num_time, grid.time)  # (B or 1, T)
    return take(table, dim, places.flatten()).unflatten(dim, places.shape).movedim(dim, 0)


class LearnedPosition(nn.Module):
    """One learned vector for every place of the grid (AST, SSAST).

    Source: `pos_embed` without its prefix rows in the released AST; here `table (freq, time, D)`, so that a resize
    never has to guess the grid.
    """

    def __init__(self, grid: PatchGrid, embed_dim: int) -> None:
        super().__init__()
        self.is_open = False
        self.table = nn.Parameter(torch.zeros(grid.freq, grid.time, embed_dim))

    @property
    def grid(self) -> PatchGrid:
        return PatchGrid(self.table.shape[0], self.table.shape[1])

    @torch.no_grad()
    def start_as_sinusoids(self) -> None:
        """Begins with the vectors of `SinusoidalPosition` in two dimensions. Raises: ShapeError - as there."""
        self.table.copy_(SinusoidalPosition(self.grid, self.table.shape[2]).table)

    def forward(
        self,
        grid: PatchGrid,
        keys: Int[Tensor, "batch"] | None = None,
        num_columns: Int[Tensor, "batch"] | None = None,
    ) -> Float[Tensor, "batch_or_1 patch embed"]:
        _check_fits(grid, *self.grid, self.is_open)
        if grid.time > self.grid.time:
            return _stretched(self.table, 1, grid, num_columns).flatten(1, 2)  # (B, N, D)
        return self.table[:, : grid.time].flatten(0, 1).unsqueeze(0)  # (1, N, D)


class SinusoidalPosition(nn.Module):
    """Fixed sines and cosines; no parameters, and nothing in the state dict.

    form="2d": the first half of the vector is the row's, the second half the column's; in each half sines, then
        cosines, of the place over 10000^(i / (D / 4)). `embed_dim` divisible by 4. Source: MAE (He et al. 2022) apart
        from the order of the axes, which is (freq, time) here as everywhere.
    form="1d": sine and cosine in turn of the place in the flattened table, f * table width + t, over 10000^(2i / D).
        The table's width, not the batch's, so that padding changes nothing. `embed_dim` even. Source: "Attention is
        all you need" (Vaswani et al. 2017), section 3.5.
    """

    table: Tensor

    def __init__(self, grid: PatchGrid, embed_dim: int, form: str = "2d") -> None:
        super().__init__()
        divisor = {"2d": 4, "1d": 2}.get(form)
        if divisor is None:
            raise ShapeError(f"position: form '{form}' - expected '2d' or '1d' - choose one of the two")
        if embed_dim % divisor:
            raise ShapeError(
                f"position: embed_dim {embed_dim} - expected a multiple of {divisor} for {form} sinusoids - change "
                "embed_dim"
            )
        self.is_open = False
        self.form = form
        table = _sinusoids(grid, torch.tensor([[grid.time]]), embed_dim, form)[0]
        self.register_buffer("table", table.float(), persistent=False)  # (F, T, D)

    @property
    def grid(self) -> PatchGrid:
        return PatchGrid(self.table.shape[0], self.table.shape[1])

    def forward(
        self,
        grid: PatchGrid,
        keys: Int[Tensor, "batch"] | None = None,
        num_columns: Int[Tensor, "batch"] | None = None,
    ) -> Float[Tensor, "batch_or_1 patch embed"]:
        _check_fits(grid, *self.grid, self.is_open)
        if grid.time > self.grid.time:
            widths = _clip_lengths(grid, num_columns, self.table).clamp(min=self.grid.time)
            table = _sinusoids(grid, widths, self.table.shape[2], self.form)
            return table.to(self.table.dtype).flatten(1, 2)  # (B, N, D)
        return self.table[:, : grid.time].flatten(0, 1).unsqueeze(0)  # (1, N, D)


def _sinusoids(
    grid: PatchGrid, widths: Int[Tensor, "clip 1"], embed_dim: int, form: str
) -> Float[Tensor, "clip_or_1 freq time embed"]:
    """The vectors of every place; `widths` are those of the tables that form 1d numbers its places by. float64."""
    freq = torch.arange(grid.freq, dtype=torch.float64, device=widths.device)
    time = torch.arange(grid.time, dtype=torch.float64, device=widths.device)
    if form == "2d":
        rows = torch.cat(_sin_cos(freq, embed_dim // 4), dim=-1)[:, None]  # (F, 1, D / 2)
        columns = torch.cat(_sin_cos(time, embed_dim // 4), dim=-1)[None]  # (1, T, D / 2)
        shape = (grid.freq, grid.time, embed_dim // 2)
        return torch.cat([rows.expand(shape), columns.expand(shape)], dim=-1)[None]
    place = freq[:, None] * widths[:, :, None] + time  # (clips, F, T)
    return torch.stack(_sin_cos(place, embed_dim // 2), dim=-1).flatten(-2)


def _sin_cos(place: Tensor, num_waves: int) -> tuple[Tensor, Tensor]:
    """Sines and cosines of every place at `num_waves` wavelengths, from 2 pi to 10000 * 2 pi; float64."""
    rate = 10000.0 ** (-torch.arange(num_waves, dtype=torch.float64, device=place.device) / num_waves)
    angle = place[..., None] * rate
    return angle.sin(), angle.cos()


class FrequencyTimePosition(nn.Module):
    """The sum of a vector for the row and a vector for the column (PaSST).

    random_time_offset: in training every clip takes a window of the time table that begins at a place drawn from
        0 .. table - input, both included, so that a table longer than the clips is trained throughout; in evaluation
        the window begins at 0.
    Source: PaSST (Koutini et al. 2022) and its released code, which draws one window for the whole batch; here every
        clip has its own, from its key.
    """

    def __init__(self, num_freq: int, num_time: int, embed_dim: int, random_time_offset: bool = False) -> None:
        super().__init__()
        self.is_open = False
        self.random_time_offset = random_time_offset
        self.freq = nn.Parameter(torch.zeros(num_freq, embed_dim))
        self.time = nn.Parameter(torch.zeros(num_time, embed_dim))

    @property
    def grid(self) -> PatchGrid:
        return PatchGrid(self.freq.shape[0], self.time.shape[0])

    @torch.no_grad()
    def start_as_sinusoids(self) -> None:
        """Begins so that row and column add up to two-dimensional sinusoids. Raises: ShapeError - as there."""
        width = self.freq.shape[1]
        table = SinusoidalPosition(self.grid, width).table  # (F, T, D): the row's half, then the column's
        self.freq.zero_()[:, : width // 2] = table[:, 0, : width // 2]
        self.time.zero_()[:, width // 2 :] = table[0, :, width // 2 :]

    def draw_time_offset(self, grid: PatchGrid, keys: Int[Tensor, "batch"]) -> Int[Tensor, "batch"]:
        """The first column of every clip's window."""
        num_windows = self.grid.time - grid.time + 1
        return (uniform(keys, "time-offset", 1)[:, 0] * num_windows).long()

    def forward(
        self,
        grid: PatchGrid,
        keys: Int[Tensor, "batch"] | None = None,
        time_offset: Int[Tensor, "batch"] | None = None,
        num_columns: Int[Tensor, "batch"] | None = None,
    ) -> Float[Tensor, "batch_or_1 patch embed"]:
        """`time_offset` states the windows instead of drawing them. Without keys one window is drawn for all."""
        _check_fits(grid, *self.grid, self.is_open)
        if time_offset is None and self.training and self.random_time_offset and grid.time < self.grid.time:
            time_offset = self.draw_time_offset(grid, random_keys(1, self.time.device) if keys is None else keys)
        if grid.time > self.grid.time:
            columns = _stretched(self.time, 0, grid, num_columns)  # (B, T, D)
        elif time_offset is None:
            columns = self.time[None, : grid.time]  # (1, T, D)
        else:
            columns = self.time[time_offset[:, None] + torch.arange(grid.time, device=self.time.device)]  # (B, T, D)
        return (self.freq[None, :, None] + columns[:, None]).flatten(1, 2)  # (B, N, D)
