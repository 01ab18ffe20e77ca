"""Which grid a number of positions is: released files do not say their stride, mel bands or length."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from zoo.errors import CheckpointError
from zoo.nn.patch import patch_grid

KNOWN_LENGTHS = (1024, 512, 128, 998, 100, 600, 1000)
"""Frames in the released recipes: AudioSet, ESC-50, Speech Commands, PaSST's, and SUPERB's three."""

_RELEASED_STRIDES = (10, 12, 14, 16)


@dataclass(frozen=True)
class Geometry:
    """What a table of positions belongs to. Pairs are (freq, time)."""

    n_mels: int
    n_frames: int
    stride: tuple[int, int]
    is_assumed: bool
    """Whether something had to be chosen."""

    def fields(self) -> dict[str, Any]:
        """As fields of a model's config."""
        return {"n_mels": self.n_mels, "n_frames": self.n_frames, "stride": self.stride}


def find_geometry(
    num_patches: int, patch_size: tuple[int, int], own: Mapping[str, Any], given: Mapping[str, Any]
) -> Geometry:
    """The geometry of a grid of `num_patches`.

    What `own` states holds. What is `given` for the model holds if it leads to this very number. Otherwise 128 mel
    bands, a released stride and the released length that go with the number: 1,212 patches are 12 x 101 at stride 10.

    Raises:
        CheckpointError: nothing fits, or several things do; says what to state.
    """
    wanted = {**{key: given[key] for key in ("n_mels", "n_frames", "stride") if given.get(key) is not None}, **own}
    found = _solve(num_patches, patch_size, wanted, only_known=True) if given else []
    if not found:
        found = _solve(num_patches, patch_size, own, only_known=False)
    if len(found) == 1 or (found and found[0].n_frames in (*KNOWN_LENGTHS, own.get("n_frames"), given.get("n_frames"))):
        return found[0]
    what = (
        "which fit no released stride at 128 mel bands"
        if not found
        else "which fit " + " and ".join(f"stride {g.stride[0]} with {g.n_frames} frames" for g in found[:4])
    )
    raise CheckpointError(
        f"found {num_patches} patch positions, {what} - expected to know the grid - state it: "
        "own={'stride': (10, 10), 'n_mels': 128, 'n_frames': 1024}, or own.stride=[10,10] and so on on the command line"
    )


def _solve(
    num_patches: int, patch_size: tuple[int, int], wanted: Mapping[str, Any], only_known: bool
) -> list[Geometry]:
    """Every geometry that has this many patches, the likeliest first."""
    n_mels = int(wanted.get("n_mels", 128))
    stated = wanted.get("stride")
    strides = [(int(stated[0]), int(stated[1]))] if stated is not None else _strides(patch_size, n_mels)
    found: list[tuple[int, Geometry]] = []
    for stride in strides:
        if n_mels < patch_size[0]:
            continue
        num_rows = (n_mels - patch_size[0]) // stride[0] + 1
        if num_patches % num_rows:
            continue
        shortest = (num_patches // num_rows - 1) * stride[1] + patch_size[1]
        lengths = range(shortest, shortest + stride[1])
        if "n_frames" in wanted:
            n_frames = int(wanted["n_frames"])
            if n_frames not in lengths:
                continue
            rank = -1
        else:
            known = [length for length in KNOWN_LENGTHS if length in lengths]
            n_frames = known[0] if known else shortest
            rank = KNOWN_LENGTHS.index(known[0]) if known else len(KNOWN_LENGTHS)
            if only_known and not known:
                continue
        assert patch_grid(n_mels, n_frames, patch_size, stride).num_patches == num_patches
        found.append((rank, Geometry(n_mels, n_frames, stride, stated is None or "n_frames" not in wanted)))
    return [geometry for _, geometry in sorted(found, key=lambda one: one[0])]


def _strides(patch_size: tuple[int, int], n_mels: int) -> Sequence[tuple[int, int]]:
    """The released ones: 10 to 16 for square patches; one frame, or a whole patch, for patches of all mel bands."""
    if patch_size[0] == n_mels:
        return [(patch_size[0], step) for step in dict.fromkeys((1, patch_size[1]))]
    steps = [step for step in _RELEASED_STRIDES if step <= min(patch_size)]
    return list(dict.fromkeys([*((step, step) for step in steps), patch_size]))
