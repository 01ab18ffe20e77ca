"""A checkpoint's tensors brought to another geometry: length, mel bands, stride, patch size, channels, prefix tokens.

One routine for every source. What it did is said in its notes, which the log and the run's summary repeat.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.config import Config
from zoo.errors import CheckpointError, ShapeError
from zoo.models.transformer import TransformerConfig
from zoo.nn.interpolation import stretched_places, take
from zoo.nn.patch import PatchGrid
from zoo.weights.positions import (
    RELEASED,
    Axis,
    Mode,
    Rule,
    released_passt_from_image,
    resample,
    split_axes,
    time_places,
)
from zoo.weights.tensor_names import CLS, DIST, FREQ, KERNEL, PREFIX_POSITION, TABLE, TIME


class AdaptConfig(Config):
    """How tensors are brought to another geometry. Where the geometry is the same, nothing is changed."""

    positions: Literal["auto", "official", "resample", "nearest", "reinit"] = "auto"
    """`official`: exactly what the released code of the checkpoint's family does. `resample`: linear, at true time and
    true frequency. `nearest`: as official, with the nearest neighbour (an ablation of the AST paper); at true time
    where there is no official way. `reinit`: fresh. `auto`: official for checkpoints of released code where that code
    works, else resample; a zoo run's own are resampled, so that a shorter model has the first columns."""
    channels: Literal["sum", "mean"] = "sum"
    """Of an image's patch kernel: `sum`, as the released code of AST and PaSST has it and every published model was
    made, or `mean`, as the AST paper says: a third of it."""
    cls: Literal["both", "averaged"] = "both"
    """`both`: CLS to CLS and DIST to DIST, as released, for each has learned its own part; of a source with CLS alone,
    to both. `averaged`: their mean to every one, for a model with CLS alone above all."""
    patches: Literal["resample", "reinit"] = "resample"
    """The patch kernel for another patch size: `resample` so that a resized patch gives the same token (Beyer et al.
    2023, FlexiViT, eq. 5), or `reinit`: fresh. A kernel of the same size is kept either way."""


@dataclass(frozen=True)
class Adapted:
    """Tensors of a backbone in the target's geometry, and the names of those that shall start afresh."""

    state: dict[str, Tensor]
    fresh: frozenset[str]
    notes: tuple[str, ...]


def adapt(
    state: Mapping[str, Tensor],
    *,
    source: Any,
    target: Any,
    shapes: Mapping[str, tuple[int, ...]],
    rule: Rule,
    is_released: bool,
    goes_on: bool,
    options: AdaptConfig,
) -> Adapted:
    """A backbone's tensors for the model of `target`.

    Args:
        state: by the zoo's names, without `backbone.`.
        source, target: model configs. Other kinds than transformers pass through untouched.
        shapes: of the target's tensors.
        rule: whose released code counts as official.
        is_released: whether the checkpoint is of released code, so that `auto` prefers the official way.
        goes_on: whether pretraining goes on. No released code does that: `auto` then keeps true time, so that on a
            shorter clip the model is what the checkpoint's was on it.

    Raises:
        CheckpointError: `positions: official` where the released code fails.
    """
    if not isinstance(source, TransformerConfig) or not isinstance(target, TransformerConfig):
        return Adapted(dict(state), frozenset(), ())
    work = _Work(dict(state), source, target, shapes, options)
    for field in ("norm_eps", "head_norm_eps"):
        there, here = getattr(source, field), getattr(target, field)
        if there != here:
            work.notes.append(f"{field}: {there:g} there, {here:g} here")
    work.bring_prefix()
    work.bring_kernel()
    work.bring_positions(rule, is_released, goes_on)
    return Adapted(work.state, frozenset(work.fresh), tuple(work.notes))


class _Work:
    """One adaptation: the tensors as they are brought over, one concern after the other."""

    def __init__(
        self,
        state: dict[str, Tensor],
        source: TransformerConfig,
        target: TransformerConfig,
        shapes: Mapping[str, tuple[int, ...]],
        options: AdaptConfig,
    ) -> None:
        self.state = state
        self.source = source
        self.target = target
        self.shapes = shapes
        self.options = options
        self.fresh: set[str] = set()
        self.notes: list[str] = []

    def bring_prefix(self) -> None:
        """CLS, DIST and their position rows."""
        tokens = [self.state.pop(name) for name in (CLS, DIST) if name in self.state]
        rows = self.state.pop(PREFIX_POSITION, None)  # (1, P, D)
        wanted = [name for name in (CLS, DIST) if name in self.shapes]
        if not wanted:
            return
        if not tokens:
            self.fresh |= {*wanted, PREFIX_POSITION} & self.shapes.keys()
            return
        if self.options.cls == "averaged":
            tokens = [torch.stack(tokens).mean(dim=0)] * len(wanted)
            rows = None if rows is None else rows.mean(dim=1, keepdim=True).expand(-1, len(wanted), -1)
            self.notes.append("prefix tokens: the mean of the checkpoint's")
        elif len(tokens) < len(wanted):
            tokens = tokens * len(wanted)
            rows = None if rows is None else rows.expand(-1, len(wanted), -1)
            self.notes.append("prefix tokens: the checkpoint's CLS to CLS and DIST")
        elif len(tokens) > len(wanted):
            self.notes.append("prefix tokens: CLS alone, for the model has no DIST")
        self.state |= dict(zip(wanted, tokens, strict=False))
        if rows is not None and PREFIX_POSITION in self.shapes:
            self.state[PREFIX_POSITION] = rows[:, : len(wanted)]

    def bring_kernel(self) -> None:
        """The patch kernel: one input channel, the target's patch size."""
        kernel = self.state.get(KERNEL)
        if kernel is None or kernel.ndim != 4:
            return
        if kernel.shape[1] != 1:
            self.notes.append(f"patch kernel: {self.options.channels} of {kernel.shape[1]} channels")
            total = kernel.sum(dim=1, keepdim=True)
            kernel = total / kernel.shape[1] if self.options.channels == "mean" else total
        size, wanted = tuple(kernel.shape[2:]), self.target.patch_size
        if size != wanted:
            text = f"patch kernel: {size[0]}x{size[1]} to {wanted[0]}x{wanted[1]}, {self.options.patches}"
            self.notes.append(text)
            if self.options.patches == "reinit":
                self.fresh |= {KERNEL, KERNEL.replace("weight", "bias")}
            else:
                kernel = resize_kernel(kernel, wanted)
        self.state[KERNEL] = kernel

    def bring_positions(self, rule: Rule, is_released: bool, goes_on: bool) -> None:
        """The position tables, from either form to either form."""
        wanted = {name for name in (TABLE, FREQ, TIME) if name in self.shapes}
        given = {name: self.state.pop(name) for name in (TABLE, FREQ, TIME) if name in self.state}
        if not wanted:
            return
        if self.options.positions == "reinit" or not given:
            self.fresh |= wanted
            self.notes.append("positions: fresh")
            return
        grid = _grid_of(self.shapes)
        before = _grid_of({name: tuple(tensor.shape) for name, tensor in given.items()})
        problem = self._official_problem(rule, given, grid)
        chosen = self.options.positions
        if chosen == "auto":
            chosen = "official" if is_released and problem is None and not goes_on else "resample"
        is_same = grid == before and wanted == given.keys() and self._is_same_geometry(rule)
        # Released SSAST blurs the rows even of an equal grid, on their way through 8; of 8 or 1 nothing changes.
        is_blurred = rule == "ssast" and chosen == "official" and not goes_on and grid.freq not in (1, 8)
        if is_same and not is_blurred:
            self.state |= given
            return
        how = f"{before.freq}x{before.time} to {grid.freq}x{grid.time}"
        if chosen == "official" and problem is not None:
            raise CheckpointError(f"positions: official of {how} - {problem} - set positions to resample")
        if chosen == "resample" or problem is not None:
            self.state |= self._resampled(given, grid, rule, nearest=chosen == "nearest")
        else:
            self.state |= self._official(rule, given, grid, nearest=chosen == "nearest")
        why = f" ({problem})" if problem is not None and is_released and self.options.positions == "auto" else ""
        self.notes.append(f"positions: {chosen}, {how}{why}")

    def _is_same_geometry(self, rule: Rule) -> bool:
        """Whether equal grids mean equal places. (An image's are wherever the released code puts them.)"""
        same_steps = self.source.stride == self.target.stride and self.source.patch_size == self.target.patch_size
        return rule == "image" or (same_steps and self.source.n_mels == self.target.n_mels)

    def _official_problem(self, rule: Rule, given: Mapping[str, Tensor], grid: PatchGrid) -> str | None:
        """Why the released code cannot do it; None when it can."""
        if rule == "passt" or TABLE not in given or (rule != "image" and TABLE not in self.shapes):
            return "no released code resizes these tables"
        if rule == "ast" and self.source.stride != self.target.stride:
            was = "x".join(map(str, self.source.stride))
            return f"the released code keeps the stride of {was}, and its forward fails"
        if rule != "image" and self.source.patch_size != self.target.patch_size:
            return "the released code refuses another patch size"
        if rule == "ssast":
            try:
                RELEASED[rule](given[TABLE], grid)
            except ShapeError as error:
                return str(error)
        return None

    def _official(self, rule: Rule, given: Mapping[str, Tensor], grid: PatchGrid, nearest: bool) -> dict[str, Tensor]:
        if TABLE in self.shapes:
            mode: Mode = "nearest" if nearest else "bilinear"
            return {TABLE: RELEASED[rule](given[TABLE], grid, mode)}
        freq, time = released_passt_from_image(given[TABLE], *grid, mode="nearest" if nearest else "bicubic")
        return {FREQ: freq, TIME: time}

    def _resampled(self, given: Mapping[str, Tensor], grid: PatchGrid, rule: Rule, nearest: bool) -> dict[str, Tensor]:
        before = _grid_of({name: tuple(tensor.shape) for name, tensor in given.items()})
        if rule == "image":  # it has neither time nor frequency
            rows, columns = stretched_places(grid.freq, before.freq), stretched_places(grid.time, before.time)
        else:
            rows = _axis(self.target, 0, grid).places_in(_axis(self.source, 0, before))
            columns = time_places(_axis(self.target, 1, grid), _axis(self.source, 1, before))
        if TABLE in given:
            table = resample(given[TABLE], rows, columns, nearest)
        else:
            freq, time = take(given[FREQ], 0, rows, nearest), take(given[TIME], 0, columns, nearest)
            if TABLE not in self.shapes:
                return {FREQ: freq, TIME: time}
            table = freq[:, None] + time[None]
        if TABLE in self.shapes:
            return {TABLE: table}
        freq, time = split_axes(table)
        return {FREQ: freq, TIME: time}


def _grid_of(shapes: Mapping[str, tuple[int, ...]]) -> PatchGrid:
    """The grid of the position tables, in either form."""
    if TABLE in shapes:
        return PatchGrid(*shapes[TABLE][:2])
    return PatchGrid(shapes[FREQ][0], shapes[TIME][0])


def _axis(config: TransformerConfig, axis: int, grid: PatchGrid) -> Axis:
    scale = config.n_mels if axis == 0 else 1
    return Axis(grid[axis], config.patch_size[axis], config.stride[axis], scale)


def resize_kernel(kernel: Tensor, size: tuple[int, int]) -> Tensor:
    """A kernel (D, C, f, t) for patches of another size: on patches that were resized so, the tokens stay the same.

    Source: Beyer et al. 2023 (FlexiViT), eq. 5: the pseudo-inverse of the bilinear resize. Exact when patches get
    larger; the nearest possible when they get smaller.
    """
    old = (kernel.shape[2], kernel.shape[3])
    num_values = old[0] * old[1]
    units = torch.eye(num_values, dtype=torch.float64).reshape(num_values, 1, *old)
    resize = F.interpolate(units, size, mode="bilinear", align_corners=False).flatten(1)  # (old values, new values)
    weights = torch.linalg.pinv(resize) @ kernel.double().flatten(2).transpose(1, 2)  # (D, new values, C)
    return weights.transpose(1, 2).reshape(*kernel.shape[:2], *size).to(kernel.dtype)
