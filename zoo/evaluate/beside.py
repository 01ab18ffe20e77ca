"""What is measured beside the pretext task at an evaluation of a model that pretrains."""

from collections.abc import Mapping
from typing import Protocol, runtime_checkable


@runtime_checkable
class Beside(Protocol):
    """Takes the clips seen, and gives numbers by tag; none where it is not due. All processes call it alike."""

    chance: Mapping[str, float]
    """Metric -> the level of a model that knows nothing, of the latest call."""

    def __call__(self, clips: int) -> Mapping[str, float]:
        """`eval/*` and `health/*`."""
