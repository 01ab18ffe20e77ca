"""Recipe -> the probe that looks at a model while it pretrains, with labelled clips of its own.

The pretraining's manifests are read without labels, and stay so: those of the probe are others, read here.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from zoo.data.bad_audio import BadAudioLog
from zoo.data.config import DataConfig
from zoo.data.labels import LabelTable, build_label_table, multi_hot
from zoo.data.manifest import Manifest, SourceConfig, read_manifests
from zoo.data.open_reader import open_reader
from zoo.data.unknown_labels import without_unknown
from zoo.data.validation import ValidationConfig, set_aside
from zoo.data.windows import WindowConfig
from zoo.draws import clip_keys, stable_id
from zoo.errors import DataError
from zoo.evaluate.embedded import spread_over_classes
from zoo.evaluate.online_probe import OnlineProbe, ProbeClips
from zoo.group import Group
from zoo.models.cost import build_on_meta
from zoo.models.masked_patch import MaskedPatchModel
from zoo.recipe import Recipe
from zoo.recipe.probing import ProbeConfig
from zoo.run.backbone import clean_features
from zoo.run.data import RunData
from zoo.run.evaluation_data import make_evaluation_loader
from zoo.train.plan import Plan

_MOST_WORKERS = 4
_PURPOSE = stable_id("clips of a probe")


@dataclass(frozen=True)
class FoundProbe:
    """The labelled clips of `evaluate.probe`, before any audio is read."""

    train: Manifest
    test: Manifest
    labels: LabelTable

    @property
    def about(self) -> dict[str, Any]:
        """For the summary."""
        return {
            "task": self.labels.task,
            "classes": len(self.labels),
            "train_manifest": self.train.hash,
            "test_manifest": self.test.hash,
        }


def find_probe(recipe: Recipe) -> FoundProbe | None:
    """The clips of both sides, at most `max_clips` of each; None without `evaluate.probe`.

    Raises: DataError - manifests that cannot be read, labels that do not fit, files of which none is there, clips that
        are on both sides, or fewer than two classes.
    """
    config = recipe.evaluate.probe
    if config is None:
        return None
    try:
        return _find(config, recipe.data)
    except DataError as error:
        raise DataError(f"evaluate.probe: {error}") from None


def _find(config: ProbeConfig, data: DataConfig) -> FoundProbe:
    def read(sources: Sequence[SourceConfig]) -> Manifest:
        return read_manifests(sources, config.columns, labelled=True)

    if config.test is None:
        assert config.share is not None  # the section has seen to it
        train, test = set_aside(read(config.train), ValidationConfig(share=config.share))
    else:
        train, test = read(config.train), read(config.test)
        learned = {(clip.path, clip.start, clip.stop) for clip in train.clips}
        if shared := sum((clip.path, clip.start, clip.stop) in learned for clip in test.clips):
            raise DataError(
                f"{test.source}: found {shared:,} of {len(test):,} clips that are learned from too - expected others "
                "to measure on - give other folds, or another manifest"
            )
    if (train.front_end is None) != (test.front_end is None):
        raise DataError(f"{test.source}: found audio on one side and log-mels on the other - expected one kind")
    table = build_label_table(config.labels, config.task, train)
    if data.unknown_labels == "ignore":
        train, test = (without_unknown(clips, table)[0] for clips in (train, test))
    train, test = (_few(clips, table, config.max_clips) for clips in (train, test))
    for clips in (train, test):
        if not any(_is_there(clip.path) for clip in clips.clips):
            raise DataError(
                f"{clips.source}: found none of {len(clips):,} files, such as {clips.clips[0].path} - expected audio - "
                "check the paths"
            )
    classes = sum(count > 0 for count in table.counts(train))
    if classes < 2:
        raise DataError(f"{train.source}: found {classes} class to learn from - expected two or more - add clips")
    return FoundProbe(train, test, table)


def _is_there(path: Any) -> bool:
    return Path(path).exists() if isinstance(path, str | Path) else Path(path.path).exists()


def _few(clips: Manifest, table: LabelTable, most: int) -> Manifest:
    """At most so many, spread evenly over the classes; which of a class, is drawn by their names."""
    places = table.all_places(clips)
    if len(clips) <= most:
        return clips
    ids = torch.tensor([stable_id(clip.id) for clip in clips.clips])
    order = clip_keys(_PURPOSE, 0, ids).argsort(stable=True)
    targets = torch.stack([multi_hot(places[row], len(table)) for row in order.tolist()])
    chosen = sorted(order[spread_over_classes(targets, most)].tolist())
    return replace(clips, clips=tuple(clips.clips[row] for row in chosen))


def make_probe(
    recipe: Recipe,
    found: FoundProbe | None,
    data: RunData,
    model: nn.Module,
    device: torch.device,
    plan: Plan,
    bad_audio: BadAudioLog | None,
    group: Group,
) -> OnlineProbe | None:
    """The probe of a run; None without `evaluate.probe`.

    Long clips are looked at as `evaluate.long_clips` says, or else in windows whose features are averaged: a label is
    about the whole clip. Raises: DataError - log-mels of another front end, or another manifest than another process's.
    """
    config = recipe.evaluate.probe
    if config is None or found is None or bad_audio is None:
        return None
    assert isinstance(model, MaskedPatchModel)
    for name, clips in (("train", found.train), ("test", found.test)):
        group.check_same(f"evaluate.probe.{name} (hash of the manifest)", clips.hash)
    # Both sides in one row: one loader, and one pass.
    sides = {"train": found.train.clips, "test": found.test.clips}
    row = tuple(replace(clip, id=f"{name}/{clip.id}") for name, clips in sides.items() for clip in clips)
    fine_tuned: Any = build_on_meta(model.config)
    reader, measure = open_reader(replace(found.train, clips=row), found.labels, data.front_end, fine_tuned.min_frames)
    on = recipe.evaluate
    loader = make_evaluation_loader(
        reader,
        fine_tuned,
        measure,
        WindowConfig(long_clips=on.long_clips or "windows", overlap=on.overlap, max_seconds=on.max_seconds),
        on.batch_size,
        padding=recipe.data.padding,
        num_workers=min(_MOST_WORKERS, recipe.data.workers(device.type)),
        device=device,
        group=group,
    )
    is_test = torch.arange(len(row)) >= len(found.train)
    return OnlineProbe(
        model,
        ProbeClips(loader, is_test, config.task, found.about),
        clean_features(model),
        data.make_inputs,
        device,
        plan.precision,
        bad_audio,
        due_at(config.every_clips, plan),
        group,
    )


def due_at(every_clips: int | None, plan: Plan) -> Callable[[int], bool]:
    """Clips seen -> whether the evaluation there is the first one after another `every_clips`, or that at the end.

    A function of the clips alone, which a resumed run answers alike.
    """
    period, step = plan.evaluate_every_clips, plan.clips_per_step

    def is_due(clips: int) -> bool:
        if every_clips is None or period is None or step is None or clips >= plan.total_clips:
            return True
        before = (clips - step) // period * period  # where the evaluation before this one was due
        return clips // period * period // every_clips > before // every_clips

    return is_due
