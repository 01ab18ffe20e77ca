"""Where an evaluation shows what it found, beside the numbers that it returns: the log of a run."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np


@runtime_checkable
class Board(Protocol):
    """Takes what an evaluation has to show; `clips` is how many the run has trained on by then."""

    def image(self, tag: str, image: Any, clips: int) -> None:
        """A picture (3, H, W) in bytes."""

    def audio(self, tag: str, waveform: Any, clips: int, sample_rate: int) -> None:
        """A mono sound (S,), within -1..1."""

    def pr_curve(self, tag: str, is_positive: np.ndarray, probability: np.ndarray, clips: int) -> None:
        """Precision over recall at all thresholds."""

    def embedding(self, vectors: np.ndarray, columns: Mapping[str, Sequence[str]], pictures: np.ndarray) -> None:
        """Vectors (n, D), by title what is known of each, and a picture (H, W, 3) in bytes of each; the latest stay."""
