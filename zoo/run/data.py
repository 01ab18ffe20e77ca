"""Recipe -> manifests, labels, loaders and front end."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from zoo.audio.byte_range import ByteRange
from zoo.audio.front_end import FrontEnd
from zoo.data.batch import InputMaker
from zoo.data.batch_parts import BatchParts
from zoo.data.labels import LabelTable, build_label_table
from zoo.data.loader import Clips, Loader
from zoo.data.manifest import Manifest, read_manifests
from zoo.data.mixing import MixedSet
from zoo.data.open_reader import open_reader
from zoo.data.sampler import EpochSampler
from zoo.data.train_share import share_of
from zoo.data.training_set import TrainingSet
from zoo.data.unknown_labels import UnknownLabels, without_unknown
from zoo.data.validation import set_aside
from zoo.errors import DataError, RecipeError
from zoo.group import ALONE, Group
from zoo.models.cost import build_on_meta
from zoo.models.registry import ModelConfig
from zoo.recipe import Recipe
from zoo.run.balance import weighted_draws
from zoo.run.evaluation_data import make_evaluation_loader


@dataclass(frozen=True)
class FoundData:
    """What a recipe's data sections lead to, before any audio is read."""

    train: Manifest | None
    eval: Manifest | None
    """What is watched."""
    test: Manifest | None
    labels: LabelTable | None
    model_config: ModelConfig
    """The recipe's model with as many classes as there are labels."""
    unknown: dict[str, UnknownLabels] = field(default_factory=dict)
    """By "train", "eval" and "test": labels that the table lacks, where the recipe ignores them."""

    @property
    def judged(self) -> Manifest | None:
        """The clips that the run's metrics are of."""
        return self.test if self.test is not None else self.eval

    @property
    def num_train(self) -> int:
        return len(self.train) if self.train else 0

    @property
    def num_overlap(self) -> int:
        """Judged clips whose audio is trained on too: what they measure is memory."""
        return num_shared(self.train, self.judged)

    @property
    def shared_groups(self) -> dict[str, int]:
        """Groups (speakers, kits, recordings) on both sides, with how many of the judged clips each has."""
        if self.train is None or self.judged is None:
            return {}
        trained = {clip.group for clip in self.train.clips}
        found = Counter(clip.group for clip in self.judged.clips if clip.group is not None and clip.group in trained)
        return dict(found.most_common())

    @property
    def num_eval(self) -> int:
        return len(self.eval) if self.eval else 0

    @property
    def num_judged(self) -> int:
        return len(self.judged) if self.judged else 0


def num_shared(one: Manifest | None, other: Manifest | None) -> int:
    """How many clips of the other have audio that the one has too. In packs, those of one id."""
    if one is None or other is None:
        return 0
    if isinstance(one.clips[0].path, ByteRange) or isinstance(other.clips[0].path, ByteRange):
        names = {clip.id for clip in one.clips}  # one clip lies elsewhere in every pack
        return sum(clip.id in names for clip in other.clips)
    paths = {clip.path for clip in one.clips}
    return sum(clip.path in paths for clip in other.clips)


def find_data(recipe: Recipe, must_exist: bool = True) -> FoundData:
    """Reads the manifests and makes the label table. With `must_exist=False`, paths that do not exist count as None."""
    data, labelled = recipe.data, recipe.objective.kind == "classification"

    def manifest(sources: Any) -> Manifest | None:
        if not sources or (not must_exist and not all(Path(s.path).expanduser().exists() for s in sources)):
            return None
        return read_manifests(sources, data.columns, labelled)

    train, watched, test = manifest(data.train), manifest(data.eval), manifest(data.test)
    if data.train_share is not None and train is not None:
        train = share_of(train, data.train_share, data.train_share_seed)
    if data.validation is not None and train is not None:
        train, watched = set_aside(train, data.validation)
    if recipe.augment.needs_waveform and train is not None and train.front_end is not None:
        raise RecipeError(
            f"augment: found an augmentation of waveforms with {train.source}, which holds log-mels - expected audio - "
            "leave out gain_db, waveform_roll, waveform_mixup and noise_snr_db, or pack without --features"
        )
    labels = None
    if labelled and data.task is not None and (data.labels is not None or train is not None):
        labels = build_label_table(data.labels, data.task, train or Manifest((), "data.labels"))
    unknown: dict[str, UnknownLabels] = {}
    if labels is not None and data.unknown_labels == "ignore":
        if train is not None:
            train, unknown["train"] = without_unknown(train, labels)
        if watched is not None:
            watched, unknown["eval"] = without_unknown(watched, labels)
        if test is not None:
            test, unknown["test"] = without_unknown(test, labels)
    if recipe.augment.mixes and train is not None and len(train) < 2:
        name = "waveform_mixup" if recipe.augment.waveform_mixup is not None else "log_mel_mixup"
        raise RecipeError(
            f"augment.{name}: found one training clip - expected two or more to mix - leave it out or add clips"
        )
    config: ModelConfig = recipe.model
    if labels is not None:
        if "num_classes" in config.model_fields_set and config.num_classes != len(labels):
            raise RecipeError(
                f"model.num_classes: {config.num_classes} - expected {len(labels)}, the labels found in the data - "
                "leave it out, and it follows the data"
            )
        config = config.model_copy(update={"num_classes": len(labels)})
    elif not labelled:
        config = config.model_copy(update={"num_classes": 0})
    return FoundData(train, watched, test, labels, config, unknown)


@dataclass(frozen=True)
class RunData:
    """Data ready to be iterated over, and the way from a batch of clips to a model's inputs."""

    found: FoundData
    front_end: FrontEnd
    make_inputs: InputMaker
    train_loader: Loader | None
    eval_loader: Loader | None
    test_loader: Loader | None

    def close(self) -> None:
        """Ends the worker processes."""
        for loader in (self.train_loader, self.eval_loader, self.test_loader):
            if loader is not None:
                loader.close()


def prepare_data(recipe: Recipe, device: torch.device, require_train: bool = True, group: Group = ALONE) -> RunData:
    """Loaders and front end of a recipe. In a group, each process gets its part of every training batch.

    Raises:
        DataError: `require_train` and the recipe names no training data, data that cannot be read, or other data than
            another process finds. RecipeError: batches of fewer clips than parts.
    """
    found = find_data(recipe, must_exist=require_train)
    if require_train and found.train is None:
        raise DataError("data.train: not given - expected a folder or manifest - add data.train=PATH to the command")
    for name, clips in (("data.train", found.train), ("data.eval", found.eval), ("data.test", found.test)):
        group.check_same(f"{name} (hash of the manifest)", clips.hash if clips else "none")
    make_inputs = build_input_maker(recipe, found.model_config, device)
    front_end = make_inputs.front_end
    loaders = [
        None if clips is None else make_loader(recipe, found, front_end, clips, device, training, group)
        for clips, training in ((found.train, True), (found.eval, False), (found.test, False))
    ]
    return RunData(found, front_end, make_inputs, *loaders)


def build_input_maker(recipe: Recipe, config: ModelConfig, device: torch.device) -> InputMaker:
    """The way from a batch of clips to the inputs of a model of this config: front end and augmentation."""
    augment = None if recipe.augment.is_off else recipe.augment.build(recipe.front_end.zero_level)
    width = config.n_frames if recipe.data.padding == "as_source" else None
    maker = InputMaker(recipe.front_end.build(), augment, recipe.seed, recipe.data.padding, width)
    return maker.to(device)


def make_loader(
    recipe: Recipe,
    found: FoundData,
    front_end: FrontEnd,
    clips: Manifest,
    device: torch.device,
    training: bool,
    group: Group = ALONE,
) -> Loader:
    """Batches of some clips. In training: drawn and cropped as the recipe says, all of one width, and of each batch
    this process's parts; else as `evaluate` says of long clips, those of like length together."""
    config = found.model_config
    model: Any = build_on_meta(config, pretraining=recipe.objective.kind == "masked-patch")
    reader, measure = open_reader(clips, found.labels, front_end, model.min_frames)
    num_workers = recipe.data.workers(device.type)
    if not training:
        return make_evaluation_loader(
            reader,
            model,
            measure,
            recipe.windows,
            recipe.evaluate.batch_size,
            padding=recipe.data.padding,
            num_workers=num_workers,
            device=device,
            group=group,
        )
    check_parts(recipe, len(clips), group)
    length = measure.num_samples(config.n_frames)
    draws = weighted_draws(recipe, clips, found.labels)
    drawable = None if draws is None else draws.drawable
    singles = TrainingSet(reader, length, recipe.data.crop, recipe.seed, drawable)
    dataset: Clips = singles
    if recipe.augment.mixes:
        dataset = MixedSet(singles, recipe.augment.waveform_mixup, recipe.augment.log_mel_mixup, recipe.seed)
    sampler = EpochSampler(len(clips), recipe.train.batch_size, recipe.seed, drop_last=True, draws=draws)
    return Loader(
        dataset,
        BatchParts(sampler, recipe.train.accumulate, group),
        num_workers=num_workers,
        pad_to=length,
        pin=device.type == "cuda",
    )


def check_parts(recipe: Recipe, num_train: int, group: Group = ALONE) -> None:
    """Raises RecipeError where a batch has fewer clips than it has parts, one a process and micro-batch."""
    clips, micro = clips_per_step(recipe, num_train), recipe.train.accumulate
    parts = group.world * micro
    if clips < parts:
        batch = f"train.batch_size {recipe.train.batch_size:,}"
        if clips < recipe.train.batch_size:
            batch += f", of which an epoch has {clips:,}"
        raise RecipeError(
            f"train.accumulate: found {micro:,} micro-batches in each of {group.world:,} processes, {parts:,} parts "
            f"of a batch of {clips:,} clips ({batch}) - expected at least one clip a part - "
            "raise train.batch_size, lower train.accumulate, or start fewer processes"
        )


def plan_clips(recipe: Recipe, num_train: int) -> int:
    """How many clips a run over this many training clips sees, from whichever of epochs, clips and steps is stated."""
    train = recipe.train
    if train.steps is not None:
        return train.steps * clips_per_step(recipe, num_train)
    if train.clips is not None:
        return train.clips
    assert train.epochs is not None  # the recipe has exactly one of the three
    return train.epochs * clips_per_epoch(recipe, num_train)


def clips_per_step(recipe: Recipe, num_train: int) -> int:
    """A batch, or all the clips of an epoch where there are fewer."""
    return min(recipe.train.batch_size, recipe.data.sampling.clips_in_epoch(num_train))


def clips_per_epoch(recipe: Recipe, num_train: int) -> int:
    """Clips in an epoch, one pass or as many draws: whole batches only, where there is at least one."""
    drawn = recipe.data.sampling.clips_in_epoch(num_train) if num_train else 0
    return drawn - drawn % recipe.train.batch_size if drawn >= recipe.train.batch_size else drawn
