"""Metrics of a trained model on labelled clips, behind the front end and with the labels that it carries."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from zoo import provenance
from zoo.data.batch import InputMaker
from zoo.data.evaluation_set import EvaluationSet
from zoo.data.labels import LabelTable, Task
from zoo.data.loader import Loader
from zoo.data.manifest import SourceConfig, read_manifest
from zoo.data.reader import ClipReader
from zoo.data.sampler import EpochSampler
from zoo.data.unknown_labels import OnUnknown, UnknownLabels, without_unknown
from zoo.errors import CheckpointError, DataError
from zoo.evaluate.chance import chance_levels
from zoo.evaluate.evaluation import predict_all
from zoo.evaluate.metrics import classification_metrics, finite_or_none
from zoo.models.registry import build_model
from zoo.weights.front_end import carried_front_end
from zoo.weights.load import initialise
from zoo.weights.loaded import Loaded
from zoo.weights.source import read


def evaluate_checkpoint(
    checkpoint: str | Path,
    manifest: str,
    *,
    folds: Sequence[str] | None = None,
    split: str | None = None,
    batch_size: int = 32,
    device: str = "auto",
    labels: str | None = None,
    task: Task | None = None,
    unknown_labels: OnUnknown = "error",
) -> dict[str, Any]:
    """Metrics, chance levels and counts. Clips longer than the model's input are judged by their beginning.

    Args:
        labels: a label table, for a checkpoint without class names or without the words that the clips use for them
            (machine identifiers, indices). Its names must be those of the checkpoint, where that has any.
        task: for a checkpoint that does not say it.
        unknown_labels: whether labels that the table lacks are an error, or left out and counted.

    Raises:
        CheckpointError: the checkpoint is no classifier. DataError: clips or labels that do not fit it.
    """
    loaded = read(checkpoint)
    if loaded.pretraining or loaded.model_config.num_classes == 0:
        raise CheckpointError(
            f"{loaded.path}: a checkpoint without a classifier - expected a fine-tuned one - "
            "fine-tune it first: zoo finetune RECIPE init.from=" + str(checkpoint)
        )
    table = label_table(loaded, labels, task)
    source = SourceConfig(path=str(manifest), fold=tuple(folds) if folds else None, split=split)
    clips = read_manifest(source, loaded.config.get("columns"), labelled=True)
    unknown = UnknownLabels()
    if unknown_labels == "ignore":
        clips, unknown = without_unknown(clips, table)
    model_config = loaded.model_config
    model = build_model(model_config)
    initialise(model, loaded, with_head=True)
    front_end = carried_front_end(loaded).build()
    target = provenance.pick_device(device)
    model.to(target)
    padding = loaded.config.get("padding", "masked")
    make_inputs = InputMaker(front_end, None, 0, padding, model_config.n_frames if padding == "as_source" else None)
    min_samples = front_end.num_samples(model_config.min_frames)
    reader = ClipReader(clips, table, front_end.sample_rate, min_samples)
    dataset = EvaluationSet(reader, front_end.num_samples(model_config.n_frames))
    loader = Loader(dataset, EpochSampler(len(clips), batch_size, shuffle=False))
    found = predict_all(model, loader, make_inputs.to(target), target)
    assert found.targets is not None
    bad = [asdict(one) for one in found.bad]
    return {
        "checkpoint": str(loaded.path),
        "manifest": str(manifest),
        "manifest_hash": clips.hash,
        "num_eval_clips": len(found.names),
        "metrics": finite_or_none(classification_metrics(found.scores, found.targets, table.task, found.names)),
        "chance": chance_levels(found.targets, table.task),
        "bad_clips": sum(not one["used"] for one in bad),
        "odd_clips": sum(bool(one["used"]) for one in bad),
        "bad_audio": [one for one in bad if not one["used"]],
        "unknown_labels": unknown.as_report() if unknown.names else None,
        "warnings": [unknown.in_words()] if unknown.names else [],
        "device": provenance.device_name(target),
        "versions": provenance.versions(),
    }


def label_table(loaded: Loaded, labels: str | None = None, task: Task | None = None) -> LabelTable:
    """The classes of a checkpoint: as it carries them, or as a file gives them that does not contradict it.

    Raises: CheckpointError where names or task are nowhere given, DataError for another table than the checkpoint's.
    """
    names, task = loaded.config.get("labels"), task or loaded.config.get("task")
    num_classes = loaded.model_config.num_classes
    if (not names and labels is None) or task is None:
        missing = [] if names or labels else [f"labels, a list of {num_classes} names"]
        missing += [] if task else ["task, 'single-label' or 'multi-label'"]
        raise CheckpointError(
            f"{loaded.path}: its format stores no {' and no '.join(missing)} - expected both, to compare with - "
            "give --labels FILE and --task, write them into config.json of a folder that `zoo convert` made of it, or "
            "fine-tune it"
        )
    if labels is None:
        return LabelTable.from_config(loaded.config, task)
    table = LabelTable.read(labels, task)
    if names and list(table.names) != list(names):
        first = next((i for i, pair in enumerate(zip(table.names, names, strict=False)) if pair[0] != pair[1]), None)
        found = f"{len(table)} names" if first is None else f"{table.names[first]!r} at index {first}"
        wanted = f"{len(names)}" if first is None else f"{names[first]!r}"
        raise DataError(f"{labels}: {found} - expected {wanted}, as {loaded.path} - give the table it was trained with")
    if len(table) != num_classes:
        raise DataError(f"{labels}: {len(table)} names - expected {num_classes}, the outputs of {loaded.path}")
    return table
