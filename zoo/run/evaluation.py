"""Recipe -> what measures a model while it trains."""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import nn

from zoo.data.bad_audio import BadAudioLog
from zoo.evaluate.backbone_health import BackboneHealth
from zoo.evaluate.beside import Beside
from zoo.evaluate.board import Board
from zoo.evaluate.during_training import ClassifierEvaluation, PretextEvaluation
from zoo.evaluate.setting import Setting
from zoo.group import ALONE, Group
from zoo.models.masked_patch import MaskedPatchModel
from zoo.precision import Precision
from zoo.recipe import Recipe
from zoo.run.backbone import clean_attention, clean_features
from zoo.run.data import RunData
from zoo.run.evaluation_data import example_batches
from zoo.run.mean_patch import with_mean_patch


def make_evaluation(
    recipe: Recipe,
    data: RunData,
    data_set: Literal["eval", "test"],
    model: nn.Module,
    objective: Any,
    device: torch.device,
    precision: Precision,
    board: Board,
    bad_audio: BadAudioLog,
    group: Group = ALONE,
    beside: Sequence[Beside] = (),
) -> ClassifierEvaluation | PretextEvaluation | None:
    """The evaluation of a classifier or of the pretext task on the watched or the test clips; None without any. Of
    several processes that share it, the main one draws the pictures: of the watched clips, over time. These also show
    the health of a model that pretrains.

    Args: `beside` - what else is measured at every evaluation of the pretext task on the watched clips.
    """
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
        board=board,
        bad_audio=bad_audio,
        examples=example_batches(loader, recipe.log.images) if draws else (),
        num_pictures=recipe.log.images,
        batch_size=recipe.evaluate.batch_size,
        data_set=data_set,
        group=group,
    )
    if data.found.labels is not None:
        return ClassifierEvaluation(setting, data.found.labels)
    assert isinstance(model, MaskedPatchModel)
    normalised = bool(getattr(recipe.objective, "normalise_targets", False))
    watching: list[Beside] = []
    if data_set == "eval":
        watching = [BackboneHealth(setting, clean_features(model), clean_attention(model)), *beside]
    return PretextEvaluation(setting, with_mean_patch(objective, normalised), normalised, watching)
