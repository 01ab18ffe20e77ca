"""Metrics of a trained model on labelled clips, behind the front end and with the labels that it carries."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from zoo import provenance
from zoo.data.batch import InputMaker
from zoo.data.evaluation_set import EvaluationSet
from zoo.data.labels import LabelTable
from zoo.data.loader import Loader
from zoo.data.manifest import SourceConfig, read_manifest
from zoo.data.readers import open_reader
from zoo.data.sampler import EpochSampler
from zoo.errors import CheckpointError
from zoo.evaluate.chance import chance_levels
from zoo.evaluate.evaluation import predict_all
from zoo.evaluate.metrics import classification_metrics, finite_or_none
from zoo.models.registry import build_model
from zoo.weights.front_end import carried_front_end
from zoo.weights.load import initialise
from zoo.weights.source import read


def evaluate_checkpoint(
    checkpoint: str | Path,
    manifest: str,
    *,
    folds: Sequence[str] | None = None,
    split: str | None = None,
    batch_size: int = 32,
    device: str = "auto",
) -> dict[str, Any]:
    """Metrics, chance levels and counts. Clips longer than the model's input are judged by their beginning.

    Raises:
        CheckpointError: the checkpoint is no classifier. DataError: clips or labels that do not fit it.
    """
    loaded = read(checkpoint)
    names, task = loaded.config.get("labels"), loaded.config.get("task")
    if loaded.pretraining or loaded.model_config.num_classes == 0:
        raise CheckpointError(
            f"{loaded.path}: a checkpoint without a classifier - expected a fine-tuned one - "
            "fine-tune it first: zoo finetune RECIPE init.from=" + str(checkpoint)
        )
    if not names or task is None:
        missing = [] if names else [f"labels, a list of {loaded.model_config.num_classes} names"]
        missing += [] if task else ["task, 'single-label' or 'multi-label'"]
        raise CheckpointError(
            f"{loaded.path}: its format stores no {' and no '.join(missing)} - expected both, to compare with - "
            "write them into config.json of a folder that `zoo convert` made of it, or fine-tune it"
        )
    labels = LabelTable(tuple(names), task)
    source = SourceConfig(path=str(manifest), fold=tuple(folds) if folds else None, split=split)
    clips = read_manifest(source, loaded.config.get("columns"), labelled=True)
    model_config = loaded.model_config
    model = build_model(model_config)
    initialise(model, loaded, with_head=True)
    front_end = carried_front_end(loaded).build()
    target = provenance.pick_device(device)
    model.to(target)
    padding = loaded.config.get("padding", "masked")
    make_inputs = InputMaker(front_end, None, 0, padding, model_config.n_frames if padding == "as_source" else None)
    dataset = EvaluationSet(*open_reader(clips, labels, front_end, model_config.n_frames, model_config.min_frames))
    loader = Loader(dataset, EpochSampler(len(clips), batch_size, shuffle=False))
    found = predict_all(model, loader, make_inputs.to(target), target)
    assert found.targets is not None
    bad = [asdict(one) for one in found.bad]
    return {
        "checkpoint": str(loaded.path),
        "manifest": str(manifest),
        "manifest_hash": clips.hash,
        "num_eval_clips": len(found.names),
        "metrics": finite_or_none(classification_metrics(found.scores, found.targets, labels.task, found.names)),
        "chance": chance_levels(found.targets, labels.task),
        "bad_clips": sum(not one["used"] for one in bad),
        "odd_clips": sum(bool(one["used"]) for one in bad),
        "bad_audio": [one for one in bad if not one["used"]],
        "device": provenance.device_name(target),
        "versions": provenance.versions(),
    }
