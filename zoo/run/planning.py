"""Recipe -> the plan of a run: its length in clips, what is due when, and how it computes."""

import torch
from torch import nn

from zoo.models.cost import training_flops_per_clip
from zoo.precision import Precision, auto_precision, dtype_of
from zoo.recipe import Recipe
from zoo.run.data import FoundData, clips_per_epoch, clips_per_step, plan_clips
from zoo.train.length import Length
from zoo.train.plan import Plan
from zoo.train.rate import matmul_rate


def make_plan(recipe: Recipe, found: FoundData, device: torch.device, model: nn.Module) -> Plan:
    """What a recipe says about a run over the data that were found. Measures the device's speed, in a moment.

    model: what is trained, with what is frozen: its operations are counted.
    """
    num_train, precision = found.num_train, pick_precision(recipe, device)
    in_epoch, in_step = clips_per_epoch(recipe, num_train), clips_per_step(recipe, num_train)
    return Plan(
        total_clips=plan_clips(recipe, num_train),
        seed=recipe.seed,
        clips_per_step=in_step,
        steps_per_epoch=in_epoch // in_step,
        accumulate=recipe.train.accumulate,
        log_every_clips=recipe.log.every_clips,
        evaluate_every_clips=_evaluation_period(recipe, num_train),
        checkpoint_every_seconds=60 * recipe.log.checkpoint_minutes,
        precision=precision,
        grad_clip=recipe.optim.grad_clip,
        on_nonfinite=recipe.train.on_nonfinite,
        monitor=None if found.eval is None else f"eval/{recipe.metric}",
        monitor_mode="min" if recipe.metric == "loss" else "max",
        patience=recipe.evaluate.patience,
        flops_per_clip=training_flops_per_clip(model),
        peak_flops=matmul_rate(device, dtype_of(precision)),
    )


def length_of(recipe: Recipe, found: FoundData) -> Length:
    """What schedules count epochs and steps by."""
    num_train = found.num_train
    return Length(plan_clips(recipe, num_train), clips_per_step(recipe, num_train), clips_per_epoch(recipe, num_train))


def pick_precision(recipe: Recipe, device: torch.device) -> Precision:
    """As the recipe says, or what the device is best at."""
    return auto_precision(device) if recipe.train.precision == "auto" else recipe.train.precision


def _evaluation_period(recipe: Recipe, num_train: int) -> int | None:
    if recipe.evaluate.every_epochs is not None:
        return recipe.evaluate.every_epochs * clips_per_epoch(recipe, num_train)
    return recipe.evaluate.every_clips
