"""What a finished run is worth: the metrics of the weights that its recipe selects, on the clips that judge it."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from zoo.evaluate.during_training import ClassifierEvaluation, PretextEvaluation
from zoo.evaluate.metrics import finite_or_none
from zoo.evaluate.predictions import Predictions
from zoo.group import Group
from zoo.recipe import Recipe
from zoo.run.data import FoundData
from zoo.train.averaging import Averager, averaged
from zoo.train.checkpoint import find_whole, load_checkpoint
from zoo.train.plan import Progress

Evaluation = ClassifierEvaluation | PretextEvaluation
_LOG = logging.getLogger("zoo.run")


@dataclass(frozen=True)
class Judgement:
    """What goes into the summary, what the log gets, and every score behind it."""

    report: dict[str, Any]
    scalars: Mapping[str, float] = field(default_factory=dict)
    """By tag: `test/*` where there are test clips, else the `eval/*` of the selected weights."""
    predictions: Predictions | None = None


def judge(
    recipe: Recipe,
    found: FoundData,
    model: nn.Module,
    checkpoints: Path,
    watched: Evaluation | None,
    test: Evaluation | None,
    progress: Progress,
    averager: Averager | None,
    group: Group,
) -> Judgement:
    """Metrics on the test clips, or without any on the watched ones, of the weights at the end, of their average, or of
    the best ones on the watched clips. The model has these weights afterwards, but for an average.

    Args:
        checkpoints: the run's folder of them.
        watched, test: what measures the model; None without such clips.
    """
    judging = test if test is not None else watched
    if judging is None:
        none = {"metrics": {}, "chance": {}, "num_eval_clips": 0, "best": None, "judged_on": None}
        return Judgement({"metric": recipe.metric, **none})
    weights = "last weights"
    if recipe.evaluate.select == "best" and progress.best is not None:
        group.main_first(lambda: None)  # what the first process has saved is there for all
        state, config = load_checkpoint(find_whole(checkpoints / "best"))
        model.load_state_dict(state)
        weights = f"best weights on the watched clips ({recipe.metric} after {config['clips']:,} clips)"
        if test is None:
            weights += ", which are the judged ones: optimistic"
        judging(progress.clips)
        judging.at_end(progress.clips)
    else:
        if recipe.evaluate.select == "best":
            _LOG.warning("evaluate.select: no evaluation was finite, so the last weights are judged")
        if averager is not None and averager.has_begun:
            weights = "average of the weights"
        with averaged(averager):
            if judging.results is None:
                judging(progress.clips)
            judging.at_end(progress.clips)
    results = judging.results
    assert results is not None
    prefix = f"{judging.setting.data_set}/"
    report = {
        "metric": recipe.metric,
        "metrics": finite_or_none({name.removeprefix(prefix): value for name, value in results.items()}),
        "chance": judging.chance,
        "num_eval_clips": judging.num_clips,
        "evaluation": f"{weights}; {recipe.windows.in_words}",
        "best": progress.best,
        "judged_on": judging.setting.data_set,
    }
    if isinstance(judging, PretextEvaluation) and judging.health:
        report["health"] = finite_or_none(judging.health)
    if test is not None and watched is not None:
        report["eval_metrics"] = _of_the_watched(recipe, watched, progress)
    predictions = None
    if isinstance(judging, ClassifierEvaluation) and judging.found is not None and found.labels is not None:
        seen = judging.found
        assert seen.targets is not None
        predictions = Predictions(seen.names, seen.scores, seen.targets, found.labels.names, found.labels.task)
    return Judgement(report, results, predictions)


def _of_the_watched(recipe: Recipe, watched: Evaluation, progress: Progress) -> dict[str, float | int | None]:
    """What the selected weights gave on the clips by which they were selected: of the best ones, what decided."""
    if recipe.evaluate.select == "best" and progress.best is not None:
        return finite_or_none({recipe.metric: progress.best})
    return finite_or_none({name.removeprefix("eval/"): value for name, value in (watched.results or {}).items()})
