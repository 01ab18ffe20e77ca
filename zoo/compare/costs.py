"""What a contender takes beside its clips and seconds: operations, memory, and its rate at inference.

All from the folder of a finished run, with a model of its config: nothing is trained, and weights do not matter.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from zoo import provenance
from zoo.compare.finished import read_summary, written_recipe
from zoo.errors import ZooError
from zoo.models.cost import build_on_meta, training_flops_per_clip
from zoo.models.registry import ModelConfig, build_model
from zoo.precision import arithmetic
from zoo.recipe import Recipe
from zoo.run.memory import memory_of_run
from zoo.run.planning import pick_precision
from zoo.train.checkpoint import load_checkpoint
from zoo.weights.loaded import Loaded
from zoo.weights.source import find_checkpoint

_BATCH = {"cpu": 4, "cuda": 32}
_MEASURED_SECONDS = 1.0


@dataclass(frozen=True)
class Costs:
    """None is what is not known."""

    training_flops_per_clip: int | None = None
    """Forward and backward, after patchout, without what is frozen."""
    inference_clips_per_second: float | None = None
    """Of the model on log-mels of its length that are there already, in one batch size for all."""
    peak_memory_gib: float | None = None
    """Of a training step: measured by torch's allocator on a GPU, estimated on a CPU."""
    memory_is_estimated: bool = False
    starts_from: str | None = None
    """The weights that training began with; None: fresh ones."""
    pretraining_flops: float | None = None

    def as_json(self) -> dict[str, Any]:
        """Plain values for JSON."""
        rate = self.inference_clips_per_second
        return {
            "training_flops_per_clip": self.training_flops_per_clip,
            "inference_clips_per_second": None if rate is None else round(rate, 2),
            "peak_memory_gib": self.peak_memory_gib,
            "memory_is_estimated": self.memory_is_estimated,
            "starts_from": self.starts_from,
            "pretraining_flops": self.pretraining_flops,
        }


NOTHING_KNOWN = Costs()


def costs_of(folder: Path, summary: dict[str, Any], inference_rate: float | None = None) -> Costs:
    """The costs of a finished run; what its folder does not tell any more is None.

    Measures for a second or so, unless `inference_rate` (clips a second) is given.

    The rate is measured only where the run's device is the one that is here: rates of two would stand side by side.
    """
    try:
        recipe, config = written_recipe(folder), _model_config(folder)
    except ZooError:
        return Costs(starts_from=_starts_from(summary), peak_memory_gib=summary.get("peak_memory_gib"))
    model: Any = trained_on_meta(recipe, config)
    memory, is_estimated = summary.get("peak_memory_gib"), False
    if memory is None:
        use = memory_of_run(recipe, model, pick_precision(recipe, torch.device("cpu")), on_cuda=False)
        memory, is_estimated = round(use.total / 2**30, 3), True
    return Costs(
        training_flops_per_clip=training_flops_per_clip(model),
        inference_clips_per_second=inference_rate or _inference_rate(recipe, config, summary),
        peak_memory_gib=memory,
        memory_is_estimated=is_estimated,
        starts_from=_starts_from(summary),
        pretraining_flops=_pretraining_flops(summary),
    )


def trained_on_meta(recipe: Recipe, config: ModelConfig) -> torch.nn.Module:
    """The model that a recipe trains, without memory for its numbers, with what it freezes."""
    model = build_on_meta(config, pretraining=recipe.objective.kind == "masked-patch")
    recipe.optim.groups(model)
    return model


def steady_rate(once: Callable[[], None], num_clips: int, device: torch.device, seconds: float) -> float:
    """Clips a second of something that is done again and again, after one time to warm up: by the fastest time, for
    what else the machine does only slows it."""
    once()
    best, began = float("inf"), time.perf_counter()
    while best == float("inf") or time.perf_counter() - began < seconds:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        start = time.perf_counter()
        once()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        best = min(best, time.perf_counter() - start)
    return num_clips / best


def _inference_rate(recipe: Recipe, config: ModelConfig, summary: dict[str, Any]) -> float | None:
    device = provenance.pick_device(recipe.train.device if torch.cuda.is_available() else "cpu")
    if recipe.objective.kind == "masked-patch" or provenance.device_name(device) != summary.get("device"):
        return None
    model: Any = build_model(config).to(device).eval()
    batch = _BATCH[device.type]
    log_mel = torch.zeros(batch, config.n_mels, config.n_frames, device=device)
    with torch.no_grad(), arithmetic(pick_precision(recipe, device), device):
        return steady_rate(lambda: model(log_mel), batch, device, _MEASURED_SECONDS)


def _model_config(folder: Path) -> ModelConfig:
    """As the run trained it, with as many classes as there were."""
    state, config = load_checkpoint(find_checkpoint(folder))
    return Loaded(folder, config, state).model_config


def _starts_from(summary: dict[str, Any]) -> str | None:
    started = summary.get("init")
    return None if not started else str(started.get("name") or started.get("from") or "a checkpoint")


def _pretraining_flops(summary: dict[str, Any]) -> float | None:
    """Of the run that it started from, where that is still there and began afresh."""
    started = summary.get("init") or {}
    folder = Path(str(started.get("from") or ""))
    if not (folder / "summary.json").is_file():
        return None
    try:
        before, recipe, config = read_summary(folder), written_recipe(folder), _model_config(folder)
    except ZooError:
        return None
    if before.get("init"):
        return None
    return float(training_flops_per_clip(trained_on_meta(recipe, config)) * before["clips"])
