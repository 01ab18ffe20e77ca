"""A comparison as values: a row for each contender, and what a reader needs to know before believing it."""

import math
import statistics
from dataclasses import dataclass, field
from typing import Any

from zoo.compare.costs import NOTHING_KNOWN, Costs


@dataclass(frozen=True)
class Versus:
    """A contender against the reference."""

    difference: float
    """Its metric minus the reference's."""
    interval: tuple[float, float] | None
    """At 95 %, of this comparison alone; None where it cannot be known."""
    p_value: float | None
    p_corrected: float | None
    """By Holm, for as many contenders as were tested."""
    clips_interval: tuple[float, float] | None
    """At 95 %, of these very models on other clips: the paired bootstrap over clips, without the noise of training."""
    method: str
    """How it was found, in words."""

    def as_json(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "difference": self.difference,
            "interval": list(self.interval) if self.interval else None,
            "p_value": self.p_value,
            "p_corrected": self.p_corrected,
            "clips_interval": list(self.clips_interval) if self.clips_interval else None,
            "method": self.method,
        }


@dataclass(frozen=True)
class Row:
    """One contender: the final metric of each of its runs (seeds times folds), and what they cost."""

    name: str
    kind: str
    values: tuple[float, ...]
    parameters: int
    flops_per_clip: int
    clips: int
    """Clips seen in the compared training, by each run."""
    seconds: float
    """Wall-clock of that training, mean over runs."""
    clips_per_second: float
    pretraining_clips: int = 0
    pretraining_seconds: float = 0.0
    runs: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()
    folds: tuple[str, ...] = ()
    costs: Costs = NOTHING_KNOWN
    versus: Versus | None = None
    """None for the reference, and where nothing was tested."""
    flags: tuple[str, ...] = ()
    """In what it differs from the reference besides what is compared."""
    failed: tuple[str, ...] = ()
    """What ended each of its runs that failed, a line each."""

    @property
    def mean(self) -> float:
        """NaN where every run failed."""
        return statistics.fmean(self.values) if self.values else math.nan

    @property
    def deviation(self) -> float | None:
        """Standard deviation over runs (n - 1); None for a single run, whose noise is unknown."""
        return statistics.stdev(self.values) if len(self.values) > 1 else None

    @property
    def is_of_unknown_cost(self) -> bool:
        """Whether it starts from weights of which nobody wrote down what they cost."""
        return self.costs.starts_from is not None and not self.pretraining_clips

    def as_json(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "name": self.name,
            "kind": self.kind,
            "mean": self.mean if self.values else None,
            "deviation": self.deviation,
            "values": list(self.values),
            "seeds": list(self.seeds),
            "folds": list(self.folds),
            "parameters": self.parameters,
            "flops_per_clip": self.flops_per_clip,
            "clips": self.clips,
            "seconds": round(self.seconds, 2),
            "clips_per_second": round(self.clips_per_second, 2),
            "pretraining_clips": self.pretraining_clips,
            "pretraining_seconds": round(self.pretraining_seconds, 2),
            **self.costs.as_json(),
            "versus_reference": self.versus.as_json() if self.versus else None,
            "flags": list(self.flags),
            "failed": list(self.failed),
            "runs": list(self.runs),
        }


@dataclass(frozen=True)
class Comparison:
    """The table, best first, and remarks a reader needs before believing it."""

    metric: str
    chance: float | None
    num_eval_clips: int
    """On which a contender is judged: of all folds together."""
    rows: tuple[Row, ...]
    reference: str | None = None
    """The row that the others are held against."""
    remarks: tuple[str, ...] = ()
    look: tuple[str, ...] = field(default=())
    """Where to look next: commands and folders."""

    @property
    def failures(self) -> tuple[str, ...]:
        """All runs that failed, a line each."""
        return tuple(line for row in self.rows for line in row.failed)

    def as_json(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "metric": self.metric,
            "chance": self.chance,
            "num_eval_clips": self.num_eval_clips,
            "reference": self.reference,
            "rows": [row.as_json() for row in self.rows],
            "remarks": list(self.remarks),
            "look": list(self.look),
        }
