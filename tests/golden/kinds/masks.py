"""How the released SSAST spreads its masks."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from golden import Golden
from scipy import ndimage

import zoo
from kinds.kind import Kind
from zoo.draws import clip_keys
from zoo.nn.masking import masked_index

# The golden is one sample of a distribution; ours is the mean of several of its size, to be nearer to the truth.
_SAMPLES = 3

_FORMS: dict[str, dict[str, Any]] = {
    "patch": {"patch_size": (16, 16), "cluster_size": (3, 5)},
    "frame": {"patch_size": (128, 2), "cluster_size": (1, 1)},
}


def _build(golden: Golden, folder: Path) -> Any:
    """A narrow pretraining model on the golden's grid, whose masks are the released ones."""
    official = golden.meta["constructor"]
    form = _FORMS[official["kind"]]
    freq, time = form["patch_size"]
    return zoo.build(
        f"ssast-{official['kind']}-tiny",
        pretraining=True,
        **{"embed_dim": 8, "depth": 1, "num_heads": 1, "n_mels": official["grid"][0] * freq},
        **{"n_frames": official["grid"][1] * time, "stride": (freq, time), **form},
        num_masked=float(official["mask_patch"]),
        mask_sampler="released",
    )


def _compute(golden: Golden, model: Any) -> dict[str, Any]:
    official = golden.meta["constructor"]
    num_rows, num_columns = official["grid"]
    count, draws = official["mask_patch"], official["draws"]
    keys = clip_keys(official.get("seed", 0), 0, torch.arange(_SAMPLES * draws))
    is_masked = model.draw(model.config.grid, keys)
    index, length = masked_index(is_masked, is_masked.shape[1])
    places = [row[:many].tolist() for row, many in zip(index, length.tolist(), strict=True)]
    grids = is_masked.unflatten(1, (num_rows, num_columns)).numpy()
    frequency = is_masked.double().mean(dim=0).numpy()
    return {
        "index_frequency": frequency,
        "index0_fraction": frequency[0],
        "row_frequency": frequency.reshape(num_rows, num_columns).mean(axis=1),
        "column_frequency": frequency.reshape(num_rows, num_columns).mean(axis=0),
        "all_unique_fraction": np.mean([len(set(row)) == len(row) == count for row in places]),
        "length_min_max": np.array([int(length.min()), int(length.max())]),
        **_mean_spread(grids, official.get("comp_draws", draws)),
    }


def _mean_spread(grids: np.ndarray, size: int) -> dict[str, np.ndarray]:
    spreads = [_spread(grids[start : start + size]) for start in range(0, _SAMPLES * size, size)]
    return {name: np.mean([spread[name] for spread in spreads], axis=0) for name in spreads[0]}


def _spread(grids: np.ndarray) -> dict[str, np.ndarray]:
    """Connected regions of every mask, and how many neighbours of a masked patch are masked; as distributions."""
    neighbours, counts, largest, mean = [], [], [], []
    for grid in grids:
        padded = np.pad(grid, 1).astype(int)
        around = padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:]
        neighbours.append(around[grid].mean())
        labels, number = ndimage.label(grid)
        sizes = np.bincount(labels.ravel())[1:]
        counts.append(number)
        largest.append(sizes.max())
        mean.append(sizes.mean())
    columns = {
        "masked_neighbours_per_patch": neighbours,
        "components_count": counts,
        "largest_component": largest,
        "mean_component": mean,
    }
    return {name: _distribution(np.array(values, dtype=np.float64)) for name, values in columns.items()}


def _distribution(values: np.ndarray) -> np.ndarray:
    """[mean, std, min, 5 %, 25 %, 50 %, 75 %, 95 %, max]."""
    middle = np.percentile(values, [5, 25, 50, 75, 95])
    return np.array([values.mean(), values.std(), values.min(), *middle, values.max()])


SSAST_MASK_STATS = Kind(_build, _compute)
