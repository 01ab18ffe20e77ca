"""What a proof would run, and how long that may take here: from operations, and rates that are measured in seconds."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch

from zoo.compare.budget import measured_rate
from zoo.models.cost import flops_per_clip
from zoo.proof.config import ProofConfig
from zoo.proof.parts import tags_of_pretraining
from zoo.proof.planned import Planner
from zoo.proof.proof import Asked, prepare, side_by_side
from zoo.proof.stages import Stages
from zoo.recipe import Recipe
from zoo.run import find_data, plan_clips

_MEASURED_SECONDS = 3.0
_SECONDS_OF_A_RUN = 1.5
"""Its folder, its model, its log and its checkpoints."""
_WINDOWS = 1.5
"""Judged windows of a clip, at a guess: half of them overlap."""
Measure = Callable[[Recipe, float], float]


@runtime_checkable
class Display(Protocol):
    """What an estimate tells the person who waits."""

    def say(self, text: str) -> None:
        """One line."""


def estimate(config: ProofConfig, asked: Asked, console: Display, measure: Measure = measured_rate) -> dict[str, Any]:
    """Rows of runs with `clips`, `seconds_each` and `seconds`, and the sum; nothing is written.

    A clip is taken to cost a time of its own (reading, log-mel) and its operations at a rate: both from the rates of
    the dearest and of the cheapest model, as measured on the audio as it is.
    """
    planner, parts = prepare(config, asked)
    stages = Stages(planner, parts, planner.out)
    tables = planner.tables({})
    rows: list[tuple[str, str, list[Recipe], int, int]] = []
    for one in config.pretrainings:
        if parts.has(tags_of_pretraining(one.name)):
            recipe = planner.pretraining(one).recipe
            clips = plan_clips(recipe, find_data(recipe).num_train)
            rows.append(("pretrain", one.name, [recipe], clips, planner.flops_per_clip(recipe)))
    for choice in stages.choices_to_make():
        for some in choice.runs:
            recipes = [run.recipe for run in some]
            name = some[0].contender.rpartition(" ")[2]
            clips = recipes[0].train.clips or 0
            rows.append((f"choice {choice.task.name}", name, recipes, clips, planner.flops_per_clip(recipes[0])))
    seen: set[Path] = set()
    for table in tables:
        for row in table.rows:
            folders = {run.folder for run in row.runs} - seen
            if folders and parts.has((table.task.name, table.table.kind)):
                recipes = [run.recipe for run in row.runs if run.folder in folders]
                kind = f"{table.task.name} {table.table.kind}"
                rows.append((kind, row.row.name, recipes, row.clips, row.flops_per_clip))
            seen |= folders
    jobs, threads = side_by_side(config, asked.jobs)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    own, per_flop = _times(planner, rows, measure, console)
    torch.set_num_threads(before)
    told: list[dict[str, Any]] = []
    for part, name, recipes, clips, flops in rows:
        judged = find_data(recipes[0]).num_judged * _WINDOWS
        forward = flops_per_clip(find_data(recipes[0]).model_config)
        each = clips * (own + flops * per_flop) + judged * (own + forward * per_flop) + _SECONDS_OF_A_RUN
        told.append(
            {
                "part": part,
                "name": name,
                "runs": len(recipes),
                "clips": clips,
                "flops_per_clip": flops,
                "seconds_each": round(each, 1),
                "seconds": round(each * len(recipes), 1),
            }
        )
    total = sum(row["seconds"] for row in told)
    return {
        "rows": told,
        "runs": sum(row["runs"] for row in told),
        "core_seconds": round(total, 1),
        "jobs": jobs,
        "seconds": round(total / jobs, 1),
        "notes": [
            "From operations and rates measured just now; probes, packing and waiting for the last run are not in it.",
            *([] if not known_equal(planner) else ["Equal time is taken as equal operations until it is measured."]),
        ],
    }


def known_equal(planner: Planner) -> bool:
    """Whether clips of some pretraining are still to be measured."""
    return any(
        one.equal_time_to is not None and one.name not in planner.equal_time for one in planner.config.pretrainings
    )


def _times(
    planner: Planner, rows: list[tuple[str, str, list[Recipe], int, int]], measure: Measure, console: Display
) -> tuple[float, float]:
    """(seconds of a clip beside its operations, seconds of an operation)."""
    if not rows:
        return 0.0, 0.0
    dear, cheap = max(rows, key=lambda row: row[4]), min(rows, key=lambda row: row[4])
    seconds = {}
    for row in (dear, cheap):
        rate = measure(row[2][0], _MEASURED_SECONDS)
        console.say(f"{row[0]}, {row[1]}: trains {rate:,.1f} clips/s")
        seconds[row[4]] = 1 / rate
    if dear[4] == cheap[4]:
        return 0.0, seconds[dear[4]] / dear[4]
    per_flop = max(0.0, (seconds[dear[4]] - seconds[cheap[4]]) / (dear[4] - cheap[4]))
    return max(0.0, seconds[cheap[4]] - cheap[4] * per_flop), per_flop
