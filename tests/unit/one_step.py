"""A step of a real run by hand: the loop's own few lines, and the incident that would be told of it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.utils import get_total_norm

from zoo.models.registry import build_model
from zoo.objectives.classification import ClassificationConfig
from zoo.recipe import Recipe, parse_recipe
from zoo.run.balance import class_weights
from zoo.run.data import prepare_data
from zoo.run.folder import checkpoint_config
from zoo.train.incident import Incident
from zoo.train.seeding import seed_step

CPU = torch.device("cpu")
FINETUNE = """\
name: tiny
seed: 3
model: {kind: passt, embed_dim: 16, depth: 2, num_heads: 2, n_frames: 40, dropout: 0.1, drop_path: 0.2,
  patchout_freq: 1, patchout_time: 1, patchout_random: 0}
front_end: {kind: ast}
data: {task: single-label, num_workers: 0}
objective: {kind: classification, class_weights: balanced}
train: {steps: 4, batch_size: 4, precision: fp32, device: cpu}
"""
PRETRAIN = """\
name: tiny
seed: 3
model: {kind: ssast, embed_dim: 16, depth: 2, num_heads: 2, n_frames: 48, patch_size: [16, 16], stride: [16, 16],
  num_masked: 0.5, dropout: 0.1}
front_end: {kind: ast}
data: {num_workers: 0}
objective: {kind: masked-patch}
train: {steps: 4, batch_size: 4, precision: fp32, device: cpu}
"""
ALL_AUGMENTATION = (
    "augment.gain_db=[-7, 6]",
    "augment.waveform_roll=50",
    "augment.waveform_mixup={probability: 0.7, alpha: 10}",
    "augment.noise_snr_db=[10, 40]",
    "augment.freq_mask=24",
    "augment.time_mask=12",
    "augment.log_mel_mixup={probability: 0.7, alpha: 0.3}",
)


@dataclass
class OneStep:
    """What a run has at hand when a step went wrong."""

    recipe: Recipe
    model: nn.Module
    config: dict[str, Any]
    incident: Incident
    class_weights: Any
    gradients: dict[str, torch.Tensor]


def run_step(
    text: str,
    data: Path,
    *overrides: str,
    step: int = 3,
    micro: int = 1,
    freeze: Callable[[str], bool] = lambda name: False,
) -> OneStep:
    """Step `step` of epoch 1 over a folder, on fresh weights."""
    recipe = parse_recipe(text, "x.yaml", [f"data.train={data}", *overrides])
    run = prepare_data(recipe, CPU)
    assert run.train_loader is not None
    model = build_model(run.found.model_config, pretraining=recipe.objective.kind == "masked-patch").train()
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(not freeze(name))
    weights = class_weights(recipe, run.found.train, run.found.labels)
    if isinstance(recipe.objective, ClassificationConfig):
        objective = recipe.objective.build(recipe.data.task, weights)
    else:
        objective = recipe.objective.build(recipe.data.task)
    batches = tuple(batch for _, batch in zip(range(micro), run.train_loader.epoch(1), strict=False))
    counts, losses = [], []
    for number, batch in enumerate(batches):
        seed_step(recipe.seed, step - 1, 0, number)
        loss, count, _ = objective(model, run.make_inputs(batch, 1, True))
        (loss * (count / 4 if micro > 1 else 1.0)).backward()
        losses.append(float(loss.detach()))
        counts.append(float(count))
    for parameter in model.parameters():
        if micro > 1 and parameter.grad is not None:
            parameter.grad *= 4 / sum(counts)
    gradients = {name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None}
    norm = float(get_total_norm(list(gradients.values())))
    mean = sum(losses) / len(losses)
    incident = Incident(step, 1, 4 * (step - 1) * micro, batches, mean, norm, "fp32")
    return OneStep(recipe, model, checkpoint_config(recipe, run, None), incident, weights, gradients)
