"""Which setting a choice came to: that with the best mean on validation clips, of models from scratch."""

import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zoo.compare.runs import Outcome
from zoo.proof.results import Choice, Tried
from zoo.proof.rows import PlannedChoice


def resolved_choice(planned: PlannedChoice, runs: Mapping[Path, Outcome]) -> tuple[Choice, dict[str, Any]] | None:
    """(what was tried and chosen, the setting); None where a run is still to be done, or all have failed.

    A setting with which a run failed is not chosen.
    """
    if any(run.folder not in runs for some in planned.runs for run in some):
        return None
    tried, values = [], []
    recipes = [one for one in planned.recipes if one != planned.choice.recipe]
    for setting, some in zip(planned.choice.settings, planned.runs, strict=True):
        summaries = [runs[run.folder].summary for run in some]
        metrics = [float(one["metrics"][one["metric"]]) for one in summaries if one is not None]
        value = statistics.fmean(metrics) if len(metrics) == len(some) else None
        judged = [one["num_eval_clips"] for one in summaries if one is not None and one.get("num_eval_clips")]
        folds, seeds = (len({getattr(run, key) for run in some}) for key in ("fold", "seed"))
        clips = round(statistics.fmean(judged)) if judged else None
        tried.append(Tried(in_words(setting), value, folds, seeds, clips))
        values.append(-1.0 if value is None else value)
    best = max(range(len(values)), key=lambda place: (values[place], -place))
    if tried[best].validation is None:
        return None
    model = f"{planned.choice.recipe}, from scratch"
    choice = Choice(planned.task.name, tuple(tried), tried[best].setting, model, tuple(recipes))
    return choice, dict(planned.choice.settings[best])


def in_words(setting: Mapping[str, Any]) -> str:
    """`optim.lr 0.001`."""
    return ", ".join(
        f"{key} {value:g}" if isinstance(value, float) else f"{key} {value}" for key, value in setting.items()
    )
