"""How long a run is: what a schedule counts its epochs and steps by."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Length:
    """All in clips. A batch that is shorter than the others makes the count of steps and epochs by it a rounding."""

    total_clips: int
    """Of the whole run."""
    clips_per_step: int
    """Of one step of the optimiser."""
    clips_per_epoch: int
    """Of one pass over the data, or as many draws."""

    @property
    def steps(self) -> float:
        """Of the run, with a fraction."""
        return self.total_clips / self.clips_per_step

    @property
    def epochs(self) -> float:
        """Of the run, with a fraction."""
        return self.total_clips / self.clips_per_epoch
