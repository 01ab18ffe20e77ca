"""A look before spending: the presets, what a recipe would do, and the shape at every stage."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from zoo.audio.picture import draw_log_mels
from zoo.models.cost import build_on_meta, flops_per_clip, num_parameters, num_tokens
from zoo.models.registry import build_model, presets
from zoo.recipe import Recipe, find_recipe, read_recipe
from zoo.run import find_data, prepare_data
from zoo.run.data import check_parts
from zoo.run.folder import check_front_end, read_init
from zoo.run.planning import length_of
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


def check_recipe(path: str | Path, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Reads a recipe, builds its model without memory, looks at its data, and says what training would cost."""
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
    report: dict[str, Any] = {
        "recipe": str(where),
        "name": recipe.name,
        "model": config.kind,
        "objective": recipe.objective.kind,
        "parameters": parameters,
        "trained_parameters": sum(parameter.numel() for group in groups for parameter in group["params"]),
        "tokens": num_tokens(config),
        "flops_per_clip": flops,
        "memory_gib_estimate": round(estimate_memory_gib(recipe, parameters, num_tokens(config)), 2),
        "train_clips": found.num_train,
        "eval_clips": found.num_eval,
        "eval_clips_also_trained_on": found.num_overlap,
        "classes": len(found.labels.names) if found.labels else 0,
        **describe_classes(recipe, found),
    }
    if init_notes:
        report["init"] = init_notes
    if found.num_train:
        check_parts(recipe, found.num_train)
        length = length_of(recipe, found)
        recipe.schedule.build(length)
        recipe.train.average.check(length.epochs)
        report |= {
            "clips_to_see": length.total_clips,
            "steps": math.ceil(length.steps),
            "epochs": round(length.epochs, 2),
            "training_petaflop": round(3 * flops * length.total_clips / 1e15, 4),
        }
    else:
        report["note"] = "no training data found: set data.train=FOLDER-OR-MANIFEST to count clips and steps"
    if warnings := data_warnings(recipe, found):
        report["warnings"] = warnings
    return report


def estimate_memory_gib(recipe: Recipe, parameters: int, tokens: int) -> float:
    """A rough need of a training step in GiB.

    Weights, gradients and the two moments of AdamW are 16 bytes a parameter. Of the activations, each layer keeps
    about 34 numbers a token and channel for the backward pass (Korthikanti et al. 2022, eq. 2 without the attention
    matrix, which fused kernels never store), in 2 or 4 bytes.
    """
    model = recipe.model
    width, depth = getattr(model, "embed_dim", 64), getattr(model, "depth", 2)
    is_auto_bf16 = recipe.train.precision == "auto" and torch.cuda.is_available() and torch.cuda.is_bf16_supported()
    number = 2 if recipe.train.precision == "bf16" or is_auto_bf16 else 4
    passes = 2 if recipe.objective.kind == "masked-patch" and getattr(model, "separate_masks", False) else 1
    activations = passes * recipe.train.batch_size * tokens * width * depth * 17 * number
    return float((16 * parameters + activations) / 2**30)


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
