"""Which geometry a position table belongs to: released files do not say their stride, mel bands or length."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from zoo.errors import CheckpointError

KNOWN_LENGTHS = (1024, 512, 128, 998, 100, 600, 1000)
"""Frames in the released recipes: AudioSet, ESC-50, Speech Commands, PaSST's, and SUPERB's three."""

RELEASED_STRIDES = (10, 12, 14, 16)
"""Of AST and PaSST, on both axes."""

_MELS = 128
_FIELDS = ("n_mels", "n_frames", "stride")


@dataclass(frozen=True)
class Geometry:
    """What a table of positions belongs to. Pairs are (freq, time)."""

    n_mels: int
    n_frames: int
    stride: tuple[int, int]
    is_stated: bool
    """Whether nothing had to be chosen."""
    is_known: bool
    """Whether the length is one of a released recipe, or stated."""

    def fields(self) -> dict[str, Any]:
        """As fields of a model's config."""
        return {"n_mels": self.n_mels, "n_frames": self.n_frames, "stride": self.stride}

    def note(self, what: str) -> str | None:
        """What was assumed about `what`; None when all was stated."""
        if self.is_stated:
            return None
        text = f"{what}: taken as {self}"
        if self.is_known:
            return text
        return f"{text}, a guess, for no released model is so long: state own.stride, own.n_mels and own.n_frames"

    def __str__(self) -> str:
        return f"stride {self.stride[0]}x{self.stride[1]} of {self.n_mels} mel bands and {self.n_frames} frames"


@dataclass(frozen=True)
class Table:
    """A position table of which the size is known: the number of places, or of rows and columns.

    is_floor: rows and columns are those of PaSST's tables, n_mels // stride and n_frames // stride, not the patches
        that fit.
    """

    patch_size: tuple[int, int]
    num_patches: int | None = None
    grid: tuple[int, int] | None = None
    is_floor: bool = False

    def __str__(self) -> str:
        return (
            f"{self.num_patches} patch positions" if self.grid is None else f"a table of {self.grid[0]}x{self.grid[1]}"
        )

    def columns(self, n_mels: int, step: int) -> int | None:
        """How many columns there are at this step of the rows; None when the rows do not fit."""
        if n_mels < self.patch_size[0]:
            return None
        rows = (n_mels - self.patch_size[0]) // step + 1
        if self.is_floor and rows != n_mels // step:
            return None  # the released model cannot run
        if self.grid is not None:
            return self.grid[1] if rows == self.grid[0] else None
        assert self.num_patches is not None
        return None if rows == 0 or self.num_patches % rows else self.num_patches // rows

    def lengths(self, columns: int, step: int) -> range:
        """The numbers of frames that have so many columns at this step."""
        shortest = columns * step if self.is_floor else (columns - 1) * step + self.patch_size[1]
        return range(max(shortest, 1), max(shortest + step, 1))


def find_geometry(
    table: Table, own: Mapping[str, Any], given: Mapping[str, Any], likely: tuple[int, ...] = KNOWN_LENGTHS
) -> Geometry:
    """The geometry of a table.

    What `own` states holds. What is `given` for the model holds if it leads to a table of this very size. Otherwise 128
    mel bands, a released stride and the `likely` length that goes with the size: 1,212 patches are 12 x 101 at stride
    10. Where only unlikely lengths go with it, one stride alike on both axes is taken, and said to be a guess; a likely
    length at mixed strides then makes it ambiguous.

    Raises:
        CheckpointError: nothing fits, or several things do; says what to state.
    """
    asked = {key: given[key] for key in _FIELDS if given.get(key) is not None}
    found = [one for one in _solve(table, {**asked, **own}, likely) if one.is_known] if asked else []
    found = found or list(_solve(table, own, likely))
    if not found and "n_mels" not in own and asked.get("n_mels", _MELS) != _MELS:
        found = list(_solve(table, {"n_mels": asked["n_mels"], **own}, likely))
    even = [one for one in found if one.stride[0] == one.stride[1] or table.patch_size[0] == one.n_mels]
    found = sorted(found, key=lambda one: (not one.is_known, one not in even))
    if found and found[0].is_known and (found[0] in even or not even):
        return found[0]
    if len(even) == 1 and not found[0].is_known:
        return even[0]
    shown = found[:4]
    fits = " and ".join(map(str, shown)) if shown else f"no released stride at {own.get('n_mels', _MELS)} mel bands"
    example = shown[0] if shown else Geometry(_MELS, 1024, (10, 10), False, False)
    raise CheckpointError(
        f"found {table}, which fits {fits} - expected to know the geometry - state it: "
        f"own={{'stride': {example.stride}, 'n_mels': {example.n_mels}, 'n_frames': {example.n_frames}}}, or "
        f"own.stride=[{example.stride[0]},{example.stride[1]}] and so on on the command line"
    )


def _solve(table: Table, wanted: Mapping[str, Any], likely: tuple[int, ...]) -> Iterator[Geometry]:
    """Every geometry that has this table; of those alike but for the length the likeliest. The likeliest come first."""
    n_mels, stated = int(wanted.get("n_mels", _MELS)), wanted.get("stride")
    strides = [(int(stated[0]), int(stated[1]))] if stated is not None else _strides(table.patch_size, n_mels)
    found: list[tuple[int, Geometry]] = []
    for stride in strides:
        columns = table.columns(n_mels, stride[0])
        if columns is None or columns < 1:
            continue
        lengths = table.lengths(columns, stride[1])
        if "n_frames" in wanted:
            if int(wanted["n_frames"]) in lengths:
                is_stated = stated is not None
                found.append((-1, Geometry(n_mels, int(wanted["n_frames"]), stride, is_stated, True)))
            continue
        rank, n_frames = next(
            ((rank, length) for rank, length in enumerate(likely) if length in lengths), (len(likely), lengths[0])
        )
        found.append((rank, Geometry(n_mels, n_frames, stride, False, rank < len(likely))))
    yield from (geometry for _, geometry in sorted(found, key=lambda one: one[0]))


def _strides(patch_size: tuple[int, int], n_mels: int) -> list[tuple[int, int]]:
    """The released ones, alike on both axes and mixed; for patches of all mel bands one frame, or a whole patch."""
    if patch_size[0] == n_mels:
        return [(patch_size[0], step) for step in dict.fromkeys((1, patch_size[1]))]
    steps = [step for step in RELEASED_STRIDES if step <= min(patch_size)]
    even, mixed = [(step, step) for step in steps], [(one, other) for one in steps for other in steps]
    return list(dict.fromkeys([*even, patch_size, *mixed]))
