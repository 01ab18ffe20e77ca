"""What a recipe's training takes of a device's memory, before anything is spent."""

import math
from dataclasses import asdict
from typing import Any

import torch
from torch import nn

from zoo.data.batch import Inputs
from zoo.models.cost import training_copy_on_meta
from zoo.models.recompute import recompute_activations
from zoo.nn.encoder import Attention
from zoo.precision import Precision
from zoo.recipe import Recipe
from zoo.train.memory import CUDA_CONTEXT, MemoryUse, memory_of_step
from zoo.train.out_of_memory import total_memory_gib

_COPIES = {"none": 0, "ema": 1, "epochs": 2, "swa": 3}
"""Of the weights in float32 that an average takes: sums are float64, and PaSST's waits for an epoch to begin."""


def memory_of_run(
    recipe: Recipe, model: nn.Module, precision: Precision, *, on_cuda: bool, num_processes: int = 1
) -> MemoryUse:
    """Of one process of training, clips of the model's length taken for granted.

    Args:
        model: what is trained, on any device; only its config and its `requires_grad` are looked at.
        num_processes: among which the batch is divided. Their gradients are exchanged where they lie, and take no more.

    Raises: RecipeError for activation checkpointing of a model without an encoder.
    """
    copy: Any = training_copy_on_meta(model)
    config, train = copy.config, recipe.train
    if train.activation_checkpointing:
        recompute_activations(copy)
    if on_cuda:  # where the fused kernels draw dropout themselves; on a CPU it needs the matrix of attention
        for attention in copy.modules():
            if isinstance(attention, Attention):
                attention.dropout = 0.0
    clips = math.ceil(train.batch_size / (train.accumulate * num_processes))

    def part() -> Inputs:
        num_frames = torch.full((clips,), config.n_frames) if recipe.data.padding == "masked" else None
        target = torch.rand(clips, config.num_classes)
        return Inputs(torch.rand(clips, config.n_mels, config.n_frames), num_frames, target, torch.arange(clips), ())

    return memory_of_step(
        copy,
        recipe.objective.build(recipe.data.task),
        part,
        accumulate=train.accumulate,
        precision=precision,
        on_cuda=on_cuda,
        num_averages=_COPIES[train.average.kind],
    )


def device_memory(device: torch.device) -> int | None:
    """Bytes of a GPU, without what its driver takes of them; or of the machine; None where it does not say."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory - CUDA_CONTEXT
    total = total_memory_gib(device)
    return None if total is None else int(total * 2**30)


def describe_memory(use: MemoryUse, available: int | None) -> dict[str, Any]:
    """In GiB by part, those left out that are 0, with the total, what there is, and whether it fits."""
    parts = {name: round(count / 2**30, 3) for name, count in asdict(use).items() if count}
    report: dict[str, Any] = {**parts, "total": round(use.total / 2**30, 3)}
    if available is not None:
        report |= {"available": round(available / 2**30, 1), "fits": use.total <= available}
    return report
