"""Curves of several runs as one: their mean, and the band between the lowest and the highest."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from zoo.compare.report.collect import Series

MOST_POINTS = 160


@dataclass(frozen=True)
class Band:
    """Over the runs that got as far as each place."""

    places: Float[np.ndarray, "n"]
    mean: Float[np.ndarray, "n"]
    low: Float[np.ndarray, "n"]
    high: Float[np.ndarray, "n"]
    num_runs: Int[np.ndarray, "n"]


def band_of(several: Sequence[Series], most: int = MOST_POINTS) -> Band | None:
    """The band of some series; None where none has a point.

    Between its points a series is a straight line; before its first and after its last it is not there. Of more than
    `most` places, so many are kept, evenly spread and each the mean of what lies around it.
    """
    several = [one for one in several if len(one[0])]
    if not several:
        return None
    places = np.unique(np.concatenate([one[0] for one in several]))
    rows = np.stack([np.interp(places, x, y, left=np.nan, right=np.nan) for x, y in several])
    if len(places) > most:
        parts = np.array_split(np.arange(len(places)), most)
        places = np.array([places[part].mean() for part in parts])
        rows = np.stack([_mean(rows[:, part], axis=1) for part in parts], axis=1)
    num_runs = np.isfinite(rows).sum(axis=0)
    low, high = np.where(np.isfinite(rows), rows, np.inf), np.where(np.isfinite(rows), rows, -np.inf)
    return Band(places, _mean(rows, axis=0), low.min(axis=0), high.max(axis=0), num_runs)


def _mean(rows: Float[np.ndarray, "run n"], axis: int) -> Float[np.ndarray, "m"]:
    """Of the numbers that are there; NaN where there is none."""
    there = np.isfinite(rows)
    count = there.sum(axis=axis)
    return np.where(count > 0, np.where(there, rows, 0.0).sum(axis=axis) / np.maximum(count, 1), np.nan)
