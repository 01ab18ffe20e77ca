"""A model that is ready to be used on audio: behind its front end, on its device, with the rules that it was run by."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from zoo import provenance
from zoo.audio.front_end import FrontEnd
from zoo.data.batch import InputMaker
from zoo.data.config import DataConfig
from zoo.data.labels import Task
from zoo.data.windows import WindowConfig
from zoo.errors import CheckpointError
from zoo.models.masked_patch import MaskedPatchModel
from zoo.use.evaluate import label_table, window_config
from zoo.weights.front_end import carried_front_end
from zoo.weights.load import load
from zoo.weights.loaded import Loaded
from zoo.weights.source import read

Source = str | Path | nn.Module
"""All that `zoo.load` takes, or a model that it gave."""


@dataclass(frozen=True)
class ReadyModel:
    """In eval mode, on its device."""

    model: Any
    described: Loaded
    """What is known about it, without its tensors."""
    front_end: FrontEnd
    make_inputs: InputMaker
    padding: Literal["masked", "as_source"]
    device: torch.device

    @property
    def name(self) -> str:
        """Where it comes from."""
        return str(self.described.path)

    def windows(self, **asked: Any) -> WindowConfig:
        """What is done with clips longer than the model: as in its run, with what is asked for instead."""
        return window_config(self.described, self.padding, asked)

    def workers(self, wanted: int | None) -> int:
        """Processes that decode; None: none on a CPU, else one a core and at most 8."""
        return DataConfig(num_workers=wanted).workers(self.device.type)


def ready_model(source: Source, device: str = "auto") -> ReadyModel:
    """Reads a checkpoint, or takes a loaded model as it is.

    Args: `device` is auto, cpu or cuda; a loaded model stays where it is with auto.

    Raises: CheckpointError - nothing usable there, no front end, or a model of the pretraining task.
    """
    if isinstance(source, nn.Module):
        model, name = source, "model"
        stays = next((one.device for one in model.parameters()), torch.device("cpu"))
        target = stays if device == "auto" else provenance.pick_device(device)
    else:
        loaded = read(source)
        model, name = load(loaded, pretraining=False), str(loaded.path)
        target = provenance.pick_device(device)
    if isinstance(model, MaskedPatchModel):
        raise CheckpointError(
            f"{name}: a model of the pretraining task - expected one that gives features - "
            "load it with zoo.load(..., pretraining=False)"
        )
    described = _described(model, name)
    front_end = carried_front_end(described).build()
    padding = described.config.get("padding", "masked")
    n_frames = described.model_config.n_frames if padding == "as_source" else None
    make_inputs = InputMaker(front_end, None, 0, padding, n_frames).to(target)
    return ReadyModel(model.to(target).eval(), described, front_end, make_inputs, padding, target)


def _described(model: Any, name: str) -> Loaded:
    """A model in the words of a checkpoint; its own state goes before what the checkpoint said."""
    front_end = getattr(model, "front_end", None)
    if front_end is None:
        raise CheckpointError(
            f"{name}: no front end - expected the one that the weights were trained behind - set model.front_end to "
            "its config, as in zoo.front_end('ast').config"
        )
    config = {
        **getattr(model, "carried", {}),
        "model": model.config.model_dump(mode="json"),
        "front_end": front_end.model_dump(mode="json"),
        "labels": list(model.labels) if model.labels else None,
        "pretraining": False,
    }
    return Loaded(Path(name), config, {})


def class_names(ready: ReadyModel, labels: str | None, task: Task | None) -> tuple[tuple[str, ...], Task]:
    """The names of a model's outputs, their numbers where nobody knows the names, and the task.

    Args: `labels` is a label table, `task` for a checkpoint that does not say it.

    Raises: CheckpointError - no classifier, or nothing says the task. DataError - another table than the model's.
    """
    model, told = ready.model, ready.described
    if model.head is None:
        raise CheckpointError(
            f"{ready.name}: a checkpoint without a classifier - expected a fine-tuned one - "
            f"fine-tune it first: zoo finetune RECIPE init.from={ready.name}"
        )
    stated: Task | None = task or told.config.get("task")
    if stated is None:
        raise CheckpointError(
            f"{ready.name}: its format stores no task - expected 'single-label' (probabilities add up to 1) or "
            "'multi-label' (each class on its own) - give --task"
        )
    if labels is None and not told.config["labels"]:
        return tuple(str(index) for index in range(told.model_config.num_classes)), stated
    return label_table(told, labels, stated).names, stated
