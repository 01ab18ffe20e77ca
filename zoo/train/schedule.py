"""The learning rate over a run, as a pure function of clips seen: there is no state to save."""

import math
from collections.abc import Callable
from typing import Literal

from zoo.config import Config, CountOrShare, Probability
from zoo.errors import RecipeError

Schedule = Callable[[int], float]
"""Clips seen before a step -> the factor of the learning rate in that step."""


class ScheduleConfig(Config):
    """A linear warm-up, then half a cosine (Loshchilov and Hutter 2017, without restarts)."""

    kind: Literal["cosine"] = "cosine"
    warmup_clips: CountOrShare = 0.1
    """Clips seen while the rate rises; a share of the run when below 1."""
    final_share: Probability = 0.0
    """What is left of the rate at the end; 1 keeps it constant after the warm-up."""

    def build(self, total_clips: int) -> Schedule:
        """The schedule of a run of this length. Raises RecipeError when the warm-up is longer than the run."""
        warmup = self.warmup_clips * total_clips if self.warmup_clips < 1 else self.warmup_clips
        if warmup > total_clips:
            raise RecipeError(
                f"schedule.warmup_clips: found {self.warmup_clips:g} for a run of {total_clips} clips - "
                "expected at most its length - shorten the warm-up, or give it as a share below 1"
            )
        final_share = self.final_share

        def factor(clips: int) -> float:
            if clips < warmup:
                # The clip about to be seen counts, so that the first step is not wasted on a rate of 0.
                return (clips + 1) / (warmup + 1)
            done = min((clips - warmup) / max(total_clips - warmup, 1), 1.0)
            return final_share + (1 - final_share) * (1 + math.cos(math.pi * done)) / 2

        return factor
