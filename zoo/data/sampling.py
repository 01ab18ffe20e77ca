"""How often each clip is drawn in an epoch: once, by the rarity of its labels, or by weights from a file."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from jaxtyping import Float
from pydantic import BeforeValidator, Field

from zoo.config import Config
from zoo.data.problems import Problems
from zoo.errors import DataError

Weights = Float[np.ndarray, "clip"]
_SCALE = 1000.0  # as in released code; it changes no share


class ShuffleConfig(Config):
    """Every clip once an epoch."""

    kind: Literal["shuffle"] = "shuffle"

    def clips_in_epoch(self, num_clips: int) -> int:
        """Clips drawn in an epoch over so many clips, before whole batches are made of them."""
        return num_clips


class _DrawnConfig(Config):
    """Clips drawn by weight."""

    clips_per_epoch: Annotated[int, Field(ge=1, le=10**9)] | None = None
    """Clips drawn in an epoch; null is as many as there are."""
    replacement: bool = True
    """Whether a clip can come again within an epoch; each time it is cropped anew."""

    def clips_in_epoch(self, num_clips: int) -> int:
        """Clips drawn in an epoch over so many clips, before whole batches are made of them."""
        return self.clips_per_epoch or num_clips


class BalancedConfig(_DrawnConfig):
    """Clips of rare labels come more often: a clip weighs the sum over its labels c of 1000 / (count of c + offset).

    As it stands this is the sampling of AST (egs/audioset/gen_weight_file.py). PaSST's is `offset: 100,
    clips_per_epoch: 100000, replacement: false`.
    """

    kind: Literal["balanced"] = "balanced"
    offset: Annotated[float, Field(ge=0, le=1e9)] = 0.01
    """Added to every count: a large one holds very rare labels back."""


class WeightedConfig(_DrawnConfig):
    """Clips drawn by weights of your own."""

    kind: Literal["weighted"] = "weighted"
    file: Annotated[str, Field(min_length=1)]
    """A number a line, one for each clip of data.train in its order: the `_weight.csv` of released code is one."""


def _as_kind(value: Any) -> Any:
    return {"kind": value} if isinstance(value, str) else value


_Kinds = ShuffleConfig | BalancedConfig | WeightedConfig
SamplingConfig = Annotated[
    Annotated[_Kinds, Field(discriminator="kind")],
    BeforeValidator(_as_kind, json_schema_input_type=Literal["shuffle", "balanced"] | _Kinds),
]
"""A kind alone, or its keys."""


def balanced_weights(places: Sequence[tuple[int, ...]], num_classes: int, offset: float = 0.01) -> Weights:
    """The weight of every clip, by the places of its labels; 0 for a clip without labels.

    Sums run in the order of the places, so that the numbers are the same on every machine.
    """
    lengths = np.fromiter((len(one) for one in places), dtype=np.int64, count=len(places))
    flat = np.fromiter((place for one in places for place in one), dtype=np.int64, count=int(lengths.sum()))
    label_weights = _SCALE / (np.maximum(np.bincount(flat, minlength=num_classes), 1) + offset)
    clips = np.repeat(np.arange(len(places)), lengths)
    # Without a single label, bincount gives integers.
    return np.bincount(clips, weights=label_weights[flat], minlength=len(places)).astype(np.float64)


def read_weights(path: str, num_clips: int) -> Weights:
    """The weights in a file, one a line. Raises `DataError` for a line that is no weight, or another number of them."""
    problems = Problems(path)
    weights: list[float] = []
    try:
        with Path(path).expanduser().open(encoding="utf-8-sig") as file:
            for line, text in enumerate(file, start=1):
                if text.strip():
                    try:
                        weights.append(float(text))
                    except ValueError:
                        weights.append(math.nan)
                    if not 0 <= weights[-1] < math.inf:
                        problems.add(f"{path}:{line}", f"{text.strip()[:40]!r} - expected a number, 0 or more")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise DataError(f"{path}: {reason} - expected a weight a line - check data.sampling.file") from None
    problems.raise_if_any()
    if len(weights) != num_clips:
        raise DataError(
            f"{path}: {len(weights):,} weights - expected {num_clips:,}, one for each clip of data.train in its order "
            "(after fold and split are chosen, and without clips that unknown labels leave out) - write the file anew"
        )
    return np.array(weights, dtype=np.float64)


def check_weights(weights: Weights, num_draws: int, replacement: bool, source: str) -> None:
    """Raises `DataError` where so many clips cannot be drawn by these weights."""
    drawable = int(np.count_nonzero(weights))
    if not drawable:
        raise DataError(
            f"{source}: every clip weighs 0 - expected some to draw - give labels or weights, "
            "or leave data.sampling out"
        )
    if not replacement and num_draws > drawable:
        raise DataError(
            f"data.sampling.clips_per_epoch: {num_draws:,} of {drawable:,} clips that can be drawn, without "
            "replacement - expected at most as many - lower it, or set replacement: true"
        )
