"""What stands at the beginning of a run's log: what is trained, on what, where, and what it sounds like."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from zoo import provenance
from zoo.data.batch import Batch
from zoo.data.labels import LabelTable
from zoo.data.manifest import Manifest
from zoo.group import Group
from zoo.recipe import Recipe, dump_recipe
from zoo.run.charts import CHARTS
from zoo.run.data import FoundData
from zoo.run.model_table import describe_model, table
from zoo.run.warnings import data_warnings
from zoo.train.logbook import Book

_MOST_CLASSES = 100
_LONGEST_SOUND = 10.0  # seconds


def write_opening(
    logbook: Book,
    recipe: Recipe,
    found: FoundData,
    model: nn.Module,
    device: torch.device,
    precision: str,
    started_from: dict[str, Any] | None,
    group: Group,
) -> None:
    """The texts `recipe`, `model`, `data`, `environment` and, where weights were loaded, `init`; and the layout of
    charts. Once in every session of a run, since what may change in a resumed one stands there."""
    if not group.is_main:
        return
    texts = {
        "recipe": "    " + dump_recipe(recipe).replace("\n", "\n    "),
        "model": describe_model(model),
        "data": describe_data(recipe, found),
        "environment": describe_environment(device, precision, group.world),
    }
    if started_from is not None:
        texts["init"] = "\n".join(f"- {note}" for note in started_from.get("notes", [])) or "- weights as they were"
    for tag, text in texts.items():
        logbook.text(tag, text, logbook.begins_at)
    logbook.layout(CHARTS)


def play_examples(logbook: Book, examples: Sequence[Batch], sample_rate: int) -> None:
    """The sound of the clips that are drawn at every evaluation as `log_mel/input` and so on; at most 10 s of each."""
    for number, batch in enumerate(examples):
        if batch.waveform is not None:
            length = min(int(batch.num_samples[0]), round(_LONGEST_SOUND * sample_rate))
            # Not the tag of the pictures: TensorBoard shows one kind of thing of a tag, and they would be lost.
            tag = "sound/input" + (f"-{number + 1}" if number else "")
            logbook.audio(tag, batch.waveform[0, :length], logbook.begins_at, sample_rate)


def describe_data(recipe: Recipe, found: FoundData) -> str:
    """Markdown: clips and hash of every set, what is doubtful about them, and the clips of each class."""
    sets = {"train": found.train, "eval": found.eval, "test": found.test}
    there = {name: clips for name, clips in sets.items() if clips is not None}
    rows = [[name, f"{len(clips):,}", clips.source, clips.hash] for name, clips in there.items()]
    parts = [table(["set", "clips", "from", "hash of the manifest"], rows)]
    warnings = data_warnings(recipe, found)
    parts.append("\n".join(f"- {warning}" for warning in warnings) if warnings else "Nothing doubtful was found.")
    if found.labels is not None:
        parts.append(_classes(found.labels, there))
    return "\n\n".join(parts)


def describe_environment(device: torch.device, precision: str, processes: int) -> str:
    """Markdown: device, precision, processes, versions and the state of the code."""
    rows = {
        "device": provenance.device_name(device),
        "processes": str(processes),
        "precision": precision,
        "code": provenance.git_state() or "an installed package",
        **provenance.versions(),
    }
    return table(["", ""], [[name, value] for name, value in rows.items()])


def _classes(labels: LabelTable, sets: dict[str, Manifest]) -> str:
    """The clips of each class in every set, those with the most training clips first."""
    counts = {name: labels.counts(clips) for name, clips in sets.items()}
    first = next(iter(counts.values()))
    order = sorted(range(len(labels)), key=lambda place: -first[place])[:_MOST_CLASSES]
    rows = [[labels.names[place], *(f"{count[place]:,}" for count in counts.values())] for place in order]
    told = f"{len(labels):,} classes, {labels.task}."
    if len(labels) > len(order):
        told = f"{len(labels):,} classes, {labels.task}; the {len(order)} with the most clips:"
    return told + "\n\n" + table(["class", *counts], rows)
