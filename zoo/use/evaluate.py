"""Metrics of a trained model on labelled clips, behind the front end and with the labels that it carries."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from zoo import provenance
from zoo.data.bad_audio import BadAudioLog
from zoo.data.batch import Batch, InputMaker
from zoo.data.config import DataConfig
from zoo.data.labels import LabelTable, Task
from zoo.data.loader import Loader
from zoo.data.manifest import SourceConfig, read_manifest
from zoo.data.open_reader import open_reader
from zoo.data.unknown_labels import OnUnknown, UnknownLabels, without_unknown
from zoo.data.windows import WindowConfig
from zoo.errors import CheckpointError, DataError, RecipeError
from zoo.evaluate.chance import chance_levels
from zoo.evaluate.evaluation import predict_all
from zoo.evaluate.metrics import classification_metrics, finite_or_none
from zoo.models.registry import build_model
from zoo.run.evaluation_data import make_evaluation_loader
from zoo.weights.front_end import carried_front_end
from zoo.weights.load import initialise
from zoo.weights.loaded import Loaded
from zoo.weights.source import read

Counting = Callable[[str, str], AbstractContextManager[Callable[[int, int], None]]]
"""(title, unit) -> a context that gives what is called with (done, in all)."""


@contextmanager
def uncounted(title: str, unit: str) -> Iterator[Callable[[int, int], None]]:
    """Counts for nobody."""
    yield lambda done, total: None


def evaluate_checkpoint(
    checkpoint: str | Path,
    manifest: str,
    *,
    folds: Sequence[str] | None = None,
    split: str | None = None,
    batch_size: int = 32,
    device: str = "auto",
    workers: int | None = None,
    max_bad_share: float = 0.5,
    labels: str | None = None,
    task: Task | None = None,
    unknown_labels: OnUnknown = "error",
    long_clips: str | None = None,
    overlap: float | None = None,
    max_seconds: float | None = None,
    counting: Counting = uncounted,
) -> dict[str, Any]:
    """Metrics, chance levels and counts.

    Args:
        long_clips, overlap, max_seconds: what is done with clips longer than the model, see `WindowConfig`; None is
            what the run did whose checkpoint it is, and the defaults for checkpoints of other origin.
        workers: processes that decode; None: none on a CPU, else one a core and at most 8.
        max_bad_share: of the clips, how many may be unusable.
        counting: opens a progress bar, as `Console.counting` does.
        labels: a label table, for a checkpoint without class names or without the words that the clips use for them
            (machine identifiers, indices). Its names must be those of the checkpoint, where that has any.
        task: for a checkpoint that does not say it.
        unknown_labels: whether labels that the table lacks are an error, or left out and counted.

    Raises:
        CheckpointError: the checkpoint is no classifier. DataError: clips or labels that do not fit it.
        RecipeError: windows that are none.
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
    reader, measure = open_reader(clips, table, front_end, model_config.min_frames)
    asked = {"long_clips": long_clips, "overlap": overlap, "max_seconds": max_seconds}
    windows = window_config(loaded, padding, asked)
    with counting("lengths", "files") as tell:
        loader = make_evaluation_loader(
            reader,
            model,
            measure,
            windows,
            batch_size,
            padding=padding,
            num_workers=DataConfig(num_workers=workers).workers(target.type),
            device=target,
            tell=tell,
        )
    with counting("evaluation", "windows") as tell:
        found = predict_all(model, _Counted(loader, tell), make_inputs.to(target), target, "fp32", table.task)
    loader.close()
    assert found.targets is not None
    judged = BadAudioLog(None, max_bad_share, len(clips), "eval")
    judged.add(found.bad)
    judged.check(len(found.names))
    bad = [asdict(one) for one in found.bad]
    return {
        "checkpoint": str(loaded.path),
        "manifest": str(manifest),
        "manifest_hash": clips.hash,
        "num_eval_clips": len(found.names),
        "evaluation": windows.in_words,
        "windows": windows.model_dump(mode="json") | {"count": loader.num_clips},
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


class _Counted:
    """A loader that tells how far it is."""

    def __init__(self, loader: Loader, tell: Callable[[int, int], None]) -> None:
        self._loader = loader
        self._tell = tell

    def epoch(self, epoch: int, start_batch: int = 0) -> Iterator[Batch]:
        done = 0
        for batch in self._loader.epoch(epoch, start_batch):
            yield batch
            done += len(batch)
            self._tell(done, self._loader.num_clips)


def window_config(loaded: Loaded, padding: str, asked: dict[str, Any]) -> WindowConfig:
    """The rule of the checkpoint's run, with what is asked for instead."""
    stated = loaded.config.get("windows")
    given = {key: value for key, value in asked.items() if value is not None}
    try:
        config = WindowConfig(**{**(stated if isinstance(stated, dict) else {}), **given})
    except ValidationError as error:
        first = error.errors()[0]
        where = f"{loaded.path}: windows.{first['loc'][0]}" if first["loc"][0] not in given else str(first["loc"][0])
        raise RecipeError(f"{where}: found {first['input']!r} - expected: {first['msg']} - change it") from None
    if config.long_clips == "whole" and padding == "as_source":
        raise RecipeError(
            f"long_clips: found 'whole' with {loaded.path}, whose padding 'as_source' cuts every clip to the model's "
            "length - expected windows or beginning - choose one of the two"
        )
    return config
