"""`summary.json`: what came out of a run, and everything needed to trust or repeat it."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from zoo import disk, provenance
from zoo.data.bad_audio import BadAudioLog
from zoo.evaluate.metrics import classification_metrics
from zoo.models.cost import flops_per_clip, num_parameters
from zoo.recipe import Recipe
from zoo.run.data import RunData, clips_per_epoch
from zoo.run.warnings import data_warnings
from zoo.train.plan import Progress


def describe_run(
    recipe: Recipe,
    command: str,
    data: RunData,
    model: nn.Module,
    progress: Progress,
    device: torch.device,
    bad_audio: Mapping[str, BadAudioLog],
    started_from: dict[str, Any] | None,
) -> dict[str, Any]:
    """Everything about a finished run but its metrics."""
    found = data.found
    return {
        "name": recipe.name,
        "command": command,
        "kind": found.model_config.kind,
        "objective": recipe.objective.kind,
        "task": recipe.data.task,
        "labels": list(found.labels.names) if found.labels else None,
        "seed": recipe.seed,
        "init": {k: v for k, v in started_from.items() if k != "history"} if started_from else None,
        "parameters": num_parameters(model),
        "flops_per_clip": flops_per_clip(found.model_config, pretraining=command == "pretrain"),
        "clips": progress.clips,
        "steps": progress.step,
        "skipped_steps": progress.skipped,
        "stopped_early": progress.stopped_early,
        "epochs": round(progress.clips / max(clips_per_epoch(recipe, found.num_train), 1), 3),
        "seconds": round(progress.seconds, 2),
        "clips_per_second": round(progress.clips / max(progress.training_seconds, 1e-9), 2),
        "peak_memory_gib": round(torch.cuda.max_memory_allocated(device) / 2**30, 3) if device.type == "cuda" else None,
        "num_train_clips": found.num_train,
        "overlap_clips": found.num_overlap,
        "unknown_labels": {name: one.as_report() for name, one in found.unknown.items() if one.names},
        "warnings": data_warnings(recipe, found),
        "train_manifest": found.train.hash if found.train else None,
        "eval_manifest": found.eval.hash if found.eval else None,
        "judged_manifest": found.judged.hash if found.judged else None,
        "select": recipe.evaluate.select,
        "front_end": data.front_end.config.model_dump(mode="json"),
        "bad_clips": bad_audio["train"].num_unusable,
        "odd_clips": bad_audio["train"].num_odd,
        "bad_eval_clips": bad_audio["eval"].num_unusable,
        "bad_audio": {name: one.report() for name, one in bad_audio.items()},
        "device": provenance.device_name(device),
        "versions": provenance.versions(),
        "code": provenance.git_state(),
        "finished": time.strftime("%Y-%m-%d %H:%M:%S%z"),
    }


def choices(recipe: Recipe, summary: dict[str, Any]) -> dict[str, str | int | float]:
    """The columns by which runs are told apart in TensorBoard's HParams."""
    started_from = summary["init"]
    return {
        "name": recipe.name,
        "model": summary["kind"],
        "parameters": summary["parameters"],
        "init": started_from["name"] or "checkpoint" if started_from else "nothing",
        "clips": summary["clips"],
        "batch_size": recipe.train.batch_size,
        "lr": recipe.optim.lr,
        "seed": recipe.seed,
    }


def final_scalars(judged: Mapping[str, float]) -> dict[str, float]:
    """`final/*`: the metrics that the run is judged by, under the same tags whichever clips judge it."""
    return {f"final/{tag.partition('/')[2]}": value for tag, value in judged.items()}


def final_tags() -> list[str]:
    """What any run may be judged by: TensorBoard's table of runs has a column for each."""
    any_clips = torch.eye(2)
    pretext = ["loss", "loss_reconstruct", "mean_patch_loss", "pretext_accuracy", "probe_knn", "probe_linear"]
    names = dict.fromkeys([*classification_metrics(any_clips, any_clips, "single-label"), *pretext])
    return [f"final/{name}" for name in names]


def write_summary(path: Path, value: dict[str, Any]) -> None:
    """All of `summary.json` or nothing of it."""
    with disk.written_whole(path) as file:
        disk.write_json(file, value)
