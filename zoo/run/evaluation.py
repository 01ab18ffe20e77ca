"""Recipe -> what measures a model while it trains."""

from typing import Any, Literal

import torch
from torch import nn

from zoo.data.bad_audio import BadAudioLog
from zoo.evaluate.during_training import ClassifierEvaluation, LogImage, PretextEvaluation, Setting
from zoo.group import ALONE, Group
from zoo.precision import Precision
from zoo.recipe import Recipe
from zoo.run.data import RunData
from zoo.run.evaluation_data import example_batches


def make_evaluation(
    recipe: Recipe,
    data: RunData,
    data_set: Literal["eval", "test"],
    model: nn.Module,
    objective: Any,
    device: torch.device,
    precision: Precision,
    log_image: LogImage,
    bad_audio: BadAudioLog,
    group: Group = ALONE,
) -> ClassifierEvaluation | PretextEvaluation | None:
    """The evaluation of a classifier or of the pretext task on the watched or the test clips; None without any. Of
    several processes that share it, the main one draws the pictures: of the watched clips, over time."""
    loader = data.eval_loader if data_set == "eval" else data.test_loader
    if loader is None:
        return None
    draws = group.is_main and data_set == "eval"
    setting = Setting(
        model=model,
        loader=loader,
        make_inputs=data.make_inputs,
        front_end=data.front_end.config,
        device=device,
        precision=precision,
        log_image=log_image,
        bad_audio=bad_audio,
        examples=example_batches(loader, recipe.log.images) if draws else (),
        data_set=data_set,
        group=group,
    )
    if data.found.labels is not None:
        return ClassifierEvaluation(setting, data.found.labels)
    return PretextEvaluation(setting, objective, rescale=bool(getattr(recipe.objective, "normalise_targets", False)))
