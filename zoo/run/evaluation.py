"""Recipe -> what measures a model while it trains."""

from typing import Any

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
    model: nn.Module,
    objective: Any,
    device: torch.device,
    precision: Precision,
    log_image: LogImage,
    bad_audio: BadAudioLog,
    group: Group = ALONE,
) -> ClassifierEvaluation | PretextEvaluation | None:
    """The evaluation of a classifier or of the pretext task; None without evaluation clips. Of several processes that
    share it, the main one draws the pictures."""
    if data.eval_loader is None:
        return None
    setting = Setting(
        model=model,
        loader=data.eval_loader,
        make_inputs=data.make_inputs,
        front_end=data.front_end.config,
        device=device,
        precision=precision,
        log_image=log_image,
        bad_audio=bad_audio,
        examples=example_batches(data.eval_loader, recipe.log.images) if group.is_main else (),
        group=group,
    )
    if data.found.labels is not None:
        return ClassifierEvaluation(setting, data.found.labels)
    return PretextEvaluation(setting, objective, rescale=bool(getattr(recipe.objective, "normalise_targets", False)))
