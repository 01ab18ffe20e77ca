"""Pretrainings of a proof: rates for equal time, and what each run came to."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from zoo import disk
from zoo.compare.budget import measured_rate
from zoo.compare.runs import Outcome
from zoo.compare.workers import Tell, Work
from zoo.proof.config import PretrainingConfig
from zoo.proof.equal import equal_time
from zoo.proof.planned import Planner
from zoo.proof.results import Pretraining
from zoo.recipe import Recipe
from zoo.train.logbook import METRICS

RATES = "rates.json"
_ROUNDS = 2


def known_rates(out: Path) -> dict[str, dict[str, Any]]:
    """Pretraining -> `clips` and the rates that they follow from, as measured once in this folder."""
    path = out / RATES
    if not path.is_file():
        return {}
    found: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    return found


def rate_work(one: PretrainingConfig, planner: Planner) -> Work:
    """The measurement of its rate, and of the one whose time it gets."""
    assert one.equal_time_to is not None
    other = planner.pretraining(planner.config.pretraining(one.equal_time_to))
    ours = planner.pretraining(one)
    seconds = planner.config.rate_seconds / (2 * _ROUNDS)
    return Work(f"rate of {one.name}", measure_rates, (ours.recipe, other.recipe, seconds), 1)


def measure_rates(ours: Recipe, theirs: Recipe, seconds: float, tell: Tell) -> tuple[float, float]:
    """Clips a second of two trainings, by turns, the faster time of each: what else the machine does only slows."""
    rates: tuple[list[float], list[float]] = ([], [])
    for number in range(_ROUNDS):
        for recipe, some in zip((ours, theirs), rates, strict=True):
            some.append(measured_rate(recipe, seconds))
        tell((number + 1) / _ROUNDS)
    return max(rates[0]), max(rates[1])


def keep_rates(
    measured: Mapping[str, tuple[float, float]], planner: Planner, out: Path, say: Callable[[str], None]
) -> dict[str, dict[str, Any]]:
    """Writes down what was measured, beside what was there."""
    found = known_rates(out)
    for name, (ours, theirs) in measured.items():
        other = planner.config.pretraining(name).equal_time_to
        assert other is not None
        clips = equal_time(planner.clips_of_pretraining(other), theirs, ours)
        found[name] = {"equal_time_to": other, "clips": clips, "clips_per_second": ours, f"of {other}": theirs}
        say(f"{name}: trains {ours:,.1f} clips/s, {other} {theirs:,.1f}: {clips:,} clips in the same time")
    with disk.written_whole(out / RATES) as beside:
        disk.write_json(beside, found)
    return found


def result_of(one: PretrainingConfig, outcome: Outcome, planner: Planner) -> Pretraining:
    """What a pretraining came to, with its curve."""
    folder = planner.pretraining_folder(one.name)
    known = {
        "name": one.name,
        "title": one.title,
        "what": one.what,
        "folder": folder.relative_to(planner.out).as_posix(),
        "form": one.form,
        "role": one.role,
    }
    summary = outcome.summary
    if summary is None:
        return Pretraining(
            **known,  # type: ignore[arg-type]
            clips=0,
            steps=0,
            seconds=0.0,
            flops=0.0,
            parameters=0,
            clips_per_second=0.0,
            failed=(str(outcome.failed),),
        )
    curve = curve_of(folder)
    return Pretraining(
        **known,  # type: ignore[arg-type]
        clips=summary["clips"],
        steps=summary["steps"],
        seconds=float(summary["seconds"]),
        flops=float(summary["clips"]) * planner.flops_per_clip(planner.pretraining(one).recipe),
        parameters=summary["parameters"],
        clips_per_second=float(summary["clips_per_second"]),
        final={tag: value for tag, value in curve[-1].items() if tag != "clips"} if curve else {},
        curve=tuple(curve),
    )


def curve_of(folder: Path) -> list[dict[str, float]]:
    """The evaluations of a run: `clips`, and every finite `eval/*`; lines of the same clips are one point."""
    points: dict[float, dict[str, float]] = {}
    for line in (folder / METRICS).read_text(encoding="utf-8").splitlines():
        values = json.loads(line)
        found = {tag: float(v) for tag, v in values.items() if tag.startswith("eval/") and isinstance(v, int | float)}
        if found:
            clips = float(values["clips"])
            points.setdefault(clips, {"clips": clips}).update(found)
    return [points[clips] for clips in sorted(points)]
