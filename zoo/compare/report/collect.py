"""Run folders as a report needs them: finished, cut short or failed, each with what there is of it."""

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from zoo.errors import ZooError
from zoo.evaluate.predictions import PREDICTIONS, Predictions
from zoo.recipe import Recipe, parse_recipe
from zoo.run.folder import RECIPE
from zoo.train.logbook import METRICS

Series = tuple[Float[np.ndarray, "_"], Float[np.ndarray, "_"]]
"""(clips seen, values), in the order of clips."""
_NO_METRICS = ("clips", "step", "epoch", "seconds")


@dataclass(frozen=True)
class Run:
    """One training, of one seed or fold."""

    folder: Path
    lines: tuple[dict[str, Any], ...]
    """Of `metrics.jsonl`."""
    summary: dict[str, Any] | None = None
    """None: the run has not finished."""
    recipe: Recipe | None = None
    recipe_text: str = ""
    problems: tuple[str, ...] = ()
    """What of the folder could not be read."""
    bad_steps: tuple[str, ...] = ()
    """Names of the black boxes of steps that were not finite."""

    @property
    def clips(self) -> int:
        """Seen in training, as far as is known."""
        if self.summary is not None:
            return int(self.summary.get("clips") or 0)
        return max((int(line["clips"]) for line in self.lines), default=0)

    @property
    def seconds(self) -> float:
        """Of training, evaluation included, as far as is known."""
        if self.summary is not None:
            return float(self.summary.get("seconds") or 0.0)
        return max((float(line.get("seconds") or 0.0) for line in self.lines), default=0.0)

    @property
    def tags(self) -> tuple[str, ...]:
        """Of all numbers that it logged, in the order in which they came."""
        return tuple(dict.fromkeys(tag for line in self.lines for tag in line if tag not in _NO_METRICS))

    def series(self, tag: str) -> Series:
        """One number over clips seen; values that were not finite are left out."""
        points = {line["clips"]: line[tag] for line in self.lines if isinstance(line.get(tag), int | float)}
        places = sorted(points)
        return np.array(places, dtype=float), np.array([points[place] for place in places], dtype=float)

    @cached_property
    def predictions(self) -> Predictions | None:
        """What it said of every judged clip; None where it kept nothing."""
        if not (self.folder / PREDICTIONS).is_file():
            return None
        try:
            return Predictions.read(self.folder / PREDICTIONS)
        except ZooError:
            return None

    @property
    def has_damaged_predictions(self) -> bool:
        """Whether it kept what cannot be read."""
        return (self.folder / PREDICTIONS).is_file() and self.predictions is None

    @property
    def state(self) -> str:
        """In words, for the list of runs that are not as they should be."""
        if self.summary is not None:
            return f"finished, but its {PREDICTIONS} cannot be read" if self.has_damaged_predictions else "finished"
        if self.bad_steps:
            return f"stopped after {self.clips:,} clips: a step was not finite ({', '.join(self.bad_steps)})"
        return f"not finished: {self.clips:,} clips seen" if self.lines else "not finished: nothing logged"


@dataclass(frozen=True)
class Contender:
    """A model of the comparison: its runs, and its place among the others, which is its colour."""

    name: str
    place: int
    runs: tuple[Run, ...] = field(default=())

    @property
    def finished(self) -> tuple[Run, ...]:
        """The runs with a summary."""
        return tuple(run for run in self.runs if run.summary is not None)

    @property
    def first(self) -> Run | None:
        """A run that speaks for all in what they have in common: a finished one where there is one."""
        return next(iter(self.finished or self.runs), None)

    @property
    def predictions(self) -> tuple[Predictions, ...]:
        """Of every run that kept them."""
        return tuple(run.predictions for run in self.runs if run.predictions is not None)


def read_run(folder: Path) -> Run:
    """What there is of a run. Nothing is raised for what is missing or damaged: it is told in `problems`."""
    problems: list[str] = []
    summary = None
    path = folder / "summary.json"
    if path.is_file():
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            summary = found if isinstance(found, dict) else None
        except (OSError, ValueError) as error:
            problems.append(f"summary.json cannot be read ({error})")
    recipe, text, problem = read_recipe_file(folder)
    problems += [problem] if problem else []
    boxes = tuple(sorted(box.name for box in (folder / "black_box").glob("step-*")))
    return Run(folder, _lines(folder / METRICS), summary, recipe, text, tuple(problems), boxes)


def read_recipe_file(folder: Path) -> tuple[Recipe | None, str, str]:
    """(recipe, its text, what is wrong with it) of a run folder; None and empty where there is none."""
    text = ""
    try:
        text = (folder / RECIPE).read_text(encoding="utf-8")
        return parse_recipe(text, str(folder / RECIPE)), text, ""
    except OSError as error:
        return None, text, f"{RECIPE} cannot be read ({error.strerror})"
    except (ValueError, ZooError) as error:
        return None, text, f"{RECIPE} is not one of this version ({str(error).splitlines()[0]})"


def _lines(path: Path) -> tuple[dict[str, Any], ...]:
    """The lines of a log that can be read; the last one of a run that was killed may be cut."""
    lines = []
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            for text in file:
                try:
                    line = json.loads(text)
                except ValueError:
                    continue
                if isinstance(line, dict) and isinstance(line.get("clips"), int):
                    lines.append(line)
    except OSError:
        return ()
    return tuple(lines)


def collect(groups: Mapping[str, Sequence[Path]], order: Sequence[str] = ()) -> tuple[Contender, ...]:
    """The contenders: in this order, then what it does not name; best first where it is empty."""
    names = [name for name in order if name in groups] + [name for name in groups if name not in order]
    contenders = [Contender(name, i, tuple(map(read_run, groups[name]))) for i, name in enumerate(names)]
    metric = None if order else metric_of(contenders)
    if metric is not None:
        contenders.sort(key=lambda one: _rank(values_of(one, metric), metric))
    return tuple(replace(one, place=i) for i, one in enumerate(contenders))


def _rank(values: Sequence[float], metric: str) -> float:
    """Lower is better; without a value last."""
    if not values:
        return math.inf
    return statistics.fmean(values) * (1 if metric == "loss" else -1)


def metric_of(contenders: Sequence[Contender], comparison: Mapping[str, Any] | None = None) -> str | None:
    """The metric that the runs are judged by: the comparison's, else that of most of the runs."""
    if comparison and isinstance(comparison.get("metric"), str):
        return str(comparison["metric"])
    named = [str(run.summary["metric"]) for one in contenders for run in one.finished if run.summary.get("metric")]  # type: ignore[union-attr,index]
    return max(named, key=named.count) if named else None


def values_of(contender: Contender, metric: str) -> list[float]:
    """The final metric of every finished run that has it."""
    found = [(run.summary or {}).get("metrics", {}).get(metric) for run in contender.finished]
    return [float(value) for value in found if isinstance(value, int | float)]


def chance_of(contenders: Sequence[Contender], metric: str | None) -> float | None:
    """The level of a model that knows nothing, as the first run that states it has it."""
    for contender in contenders:
        for run in contender.finished:
            value = ((run.summary or {}).get("chance") or {}).get(metric)
            if isinstance(value, int | float):
                return float(value)
    return None
