"""A look before spending: the presets, what a recipe would do, and the shape at every stage."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import nn

from zoo.audio.picture import draw_log_mels
from zoo.group import Group
from zoo.models.cost import build_on_meta, flops_per_clip, num_parameters, num_tokens, training_flops_per_clip
from zoo.models.registry import build_model, presets
from zoo.precision import Precision
from zoo.recipe import Recipe, find_recipe, read_recipe
from zoo.run import find_data, prepare_data
from zoo.run.data import check_parts
from zoo.run.folder import check_front_end, read_init
from zoo.run.memory import describe_memory, device_memory, memory_of_run
from zoo.run.planning import length_of, pick_precision
from zoo.run.pretext_probe import find_probe
from zoo.run.warnings import data_warnings
from zoo.use.class_report import describe_classes
from zoo.weights.load import check_fit


def list_presets() -> list[dict[str, Any]]:
    """Every preset with its size and the cost of one clip (forward; a multiply-add is 2 operations)."""
    rows = []
    for name, config in presets().items():
        model = build_on_meta(config)
        rows.append(
            {
                "name": name,
                "family": config.kind,
                "parameters": num_parameters(model),
                "tokens": num_tokens(config),
                "flops_per_clip": flops_per_clip(config),
                "n_mels": config.n_mels,
                "n_frames": config.n_frames,
                "num_classes": config.num_classes,
            }
        )
    return rows


def check_recipe(path: str | Path, overrides: Sequence[str] = (), processes: int = 1) -> dict[str, Any]:
    """Reads a recipe, builds its model without memory, looks at its data, and says what training would cost.

    processes: by which a batch would be divided; memory is that of one of them.
    """
    where = find_recipe(path)
    recipe = read_recipe(where, overrides)
    found = find_data(recipe)
    pretraining = recipe.objective.kind == "masked-patch"
    config = found.model_config
    model = build_on_meta(config, pretraining=pretraining)
    parameters = num_parameters(model)
    init_notes: list[str] = []
    if recipe.init.path is not None:
        source = read_init(recipe)
        init_notes = [*check_front_end(recipe, source), *check_fit(model, source, recipe.init)]
    groups = recipe.optim.groups(model)
    flops = flops_per_clip(config, pretraining=pretraining)
    training_flops = training_flops_per_clip(model)
    report: dict[str, Any] = {
        "recipe": str(where),
        "name": recipe.name,
        "model": config.kind,
        "objective": recipe.objective.kind,
        "parameters": parameters,
        "trained_parameters": sum(parameter.numel() for group in groups for parameter in group["params"]),
        "tokens": num_tokens(config),
        "flops_per_clip": flops,
        "training_flops_per_clip": training_flops,
        "training_teraflop_per_step": round(training_flops * recipe.train.batch_size / 1e12, 4),
        "memory_gib": describe_training_memory(recipe, model, processes),
        "train_clips": found.num_train,
        "eval_clips": found.num_eval,
        **({"test_clips": len(found.test)} if found.test is not None else {}),
        "eval_clips_also_trained_on": found.num_overlap,
        "classes": len(found.labels.names) if found.labels else 0,
        **describe_classes(recipe, found),
    }
    probe = find_probe(recipe)
    if probe is not None:
        report["probe"] = {"train_clips": len(probe.train), "test_clips": len(probe.test), "classes": len(probe.labels)}
    if init_notes:
        report["init"] = init_notes
    if found.num_train:
        check_parts(recipe, found.num_train, Group(world=processes))
        length = length_of(recipe, found)
        recipe.schedule.build(length)
        recipe.train.average.check(length.epochs)
        report |= {
            "clips_to_see": length.total_clips,
            "steps": math.ceil(length.steps),
            "epochs": round(length.epochs, 2),
            "training_petaflop": round(training_flops * length.total_clips / 1e15, 4),
        }
    else:
        report["note"] = "no training data found: set data.train=FOLDER-OR-MANIFEST to count clips and steps"
    if warnings := data_warnings(recipe, found):
        report["warnings"] = warnings
    return report


def describe_training_memory(recipe: Recipe, model: nn.Module, processes: int = 1) -> dict[str, Any]:
    """What a step takes, in GiB by part, on the device that the recipe would train on here, with whether it fits.

    A recipe that leaves the device open and would train on a CPU here is also told what it takes of a GPU.
    """
    device = recipe.train.device
    on_cuda = device == "cuda" or (device == "auto" and torch.cuda.is_available())
    available = (
        None if on_cuda and not torch.cuda.is_available() else device_memory(torch.device("cuda" if on_cuda else "cpu"))
    )
    precision = _precision(recipe, on_cuda)
    use = memory_of_run(recipe, model, precision, on_cuda=on_cuda, num_processes=processes)
    report = {"device": f"{'GPU' if on_cuda else 'CPU'}, {precision}", **describe_memory(use, available)}
    if device == "auto" and not on_cuda:
        precision = _precision(recipe, True)
        use = memory_of_run(recipe, model, precision, on_cuda=True, num_processes=processes)
        report[f"total_on_a_gpu_in_{precision}"] = round(use.total / 2**30, 3)
    return report


def _precision(recipe: Recipe, on_cuda: bool) -> Precision:
    """As in training; a GPU which is not here is taken for one with bf16."""
    if recipe.train.precision == "auto" and on_cuda and not torch.cuda.is_available():
        return "bf16"
    return pick_precision(recipe, torch.device("cuda" if on_cuda else "cpu"))


def trace_recipe(path: str | Path, overrides: Sequence[str], picture: Path) -> dict[str, Any]:
    """The shape at every stage for one batch, and one log-mel drawn with its patches.

    Uses the recipe's training clips when there are any, else a second of a rising tone.
    """
    recipe = read_recipe(find_recipe(path), overrides)
    data = prepare_data(recipe, torch.device("cpu"), require_train=False)
    config = data.found.model_config
    pretraining = recipe.objective.kind == "masked-patch"
    model: Any = build_model(config, pretraining=pretraining).eval()
    stages: list[dict[str, str]] = []

    def stage(name: str, value: Any, where: str) -> None:
        shape = str(tuple(value.shape)) if isinstance(value, torch.Tensor) else str(value)
        stages.append({"stage": name, "shape": shape, "where": where})

    front_end = data.front_end
    if data.train_loader is not None:
        batch = next(iter(data.train_loader.epoch(0)))
        if batch.waveform is None:
            stage("stored log-mel (B, n_mels, n_frames)", batch.log_mel, "zoo/data/feature_reader.py")
        else:
            stage("waveform (B, S)", batch.waveform, "zoo/audio/decode.py, zoo/data/loader.py")
        inputs = data.make_inputs(batch, 0, True)
        log_mel, num_frames = inputs.log_mel, inputs.num_frames
    else:
        time = torch.arange(front_end.num_samples(config.n_frames)) / front_end.sample_rate
        waveform = 0.3 * torch.sin(2 * math.pi * (200 + 300 * time) * time)[None]
        stage("waveform (B, S)", waveform, "a rising tone: the recipe names no data that is here")
        log_mel, num_frames = front_end(waveform), None
    stage("log-mel (B, n_mels, n_frames)", log_mel, "zoo/audio/front_end.py, zoo/audio/augment/")
    backbone = model.backbone if pretraining else model
    with torch.no_grad():
        if hasattr(backbone, "embedding"):
            stage("patch grid (freq, time)", tuple(backbone.embedding.grid_for(log_mel.shape[-1])), "zoo/nn/patch.py")
        stage("tokens (B, P + N, D)", backbone.tokens(log_mel, num_frames), "zoo/nn/embedding.py, zoo/nn/encoder.py")
        if pretraining:
            output = model(log_mel, num_frames).reconstruct
            stage("hidden patches of the first clip", int(output.length[0]), "zoo/nn/masking.py")
            stage("predictions (B, num_masked, patch_dim)", output.output, "zoo/models/masked_patch.py")
        else:
            stage("features (B, D)", model.features(log_mel, num_frames), "zoo/nn/aggregator.py")
            stage("logits (B, C)", model(log_mel, num_frames), "zoo/nn/head.py")
    data.close()
    image = draw_log_mels({f"{recipe.name}: first clip": log_mel[0]}, front_end.config, getattr(config, "stride", None))
    picture.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(picture)
    return {"stages": stages, "picture": str(picture)}
