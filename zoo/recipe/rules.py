"""What two sections of a recipe must agree on. Each rule runs as soon as the sections that it reads are valid."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from zoo.audio.augment import AugmentConfig
from zoo.audio.front_end import MelConfig
from zoo.data.config import DataConfig
from zoo.errors import RecipeError
from zoo.models import ModelConfig
from zoo.objectives.classification import ClassificationConfig
from zoo.objectives.masked_patch import MaskedPatchConfig
from zoo.recipe.document import KeyPath
from zoo.recipe.sections import EvaluateConfig, TrainConfig
from zoo.train.schedule import AnyScheduleConfig

Objective = MaskedPatchConfig | ClassificationConfig
Broken = Iterator[tuple[KeyPath, str]]
"""The key to look at, and what is wrong with it."""

_RULES: list[tuple[tuple[str, ...], Callable[..., Broken]]] = []


def broken_rules(sections: Mapping[str, Any]) -> Broken:
    """Every contradiction between the sections that are given; those that are not valid are left out by the caller."""
    for names, rule in _RULES:
        if all(name in sections for name in names):
            yield from rule(*(sections[name] for name in names))


def _rule(*names: str) -> Callable[[Callable[..., Broken]], Callable[..., Broken]]:
    """Adds a rule that takes the sections of these names."""

    def add(rule: Callable[..., Broken]) -> Callable[..., Broken]:
        _RULES.append((names, rule))
        return rule

    return add


def _told(refuse: Callable[[], object]) -> Broken:
    """What a part says for itself, when asked to check or build: its text names the key first."""
    try:
        refuse()
    except RecipeError as error:
        for text in str(error).splitlines():
            key = re.match(r"(\w+(?:\.\w+)*): ", text)
            yield (tuple(key[1].split(".")), text[key.end() :]) if key else ((), text)


@_rule("objective", "data")
def _objective_fits_task(objective: Objective, data: DataConfig) -> Broken:
    yield from _told(lambda: objective.build(data.task))


@_rule("objective", "model")
def _model_can_be_pretrained(objective: Objective, model: ModelConfig) -> Broken:
    if isinstance(objective, MaskedPatchConfig):
        check = getattr(model, "check_pretraining", None)
        if check is None:
            text = f"found '{model.kind}' with objective 'masked-patch' - expected 'ssast', which can hide patches"
            yield ("model", "kind"), f"{text} - change the kind, or set objective.kind to 'classification'"
        else:
            yield from _told(check)


@_rule("objective", "model")
def _no_pass_is_of_no_use(objective: Objective, model: ModelConfig) -> Broken:
    if isinstance(objective, MaskedPatchConfig) and getattr(model, "separate_masks", False):
        for name in ("reconstruct_weight", "classify_weight"):
            if getattr(objective, name) == 0:
                text = f"found true with objective.{name} 0, so that one of two passes through the encoder would be of"
                yield ("model", "separate_masks"), f"{text} no use - expected false - set it to false"


@_rule("front_end", "model")
def _same_mel_bands(front_end: MelConfig, model: ModelConfig) -> Broken:
    if front_end.n_mels != model.n_mels:
        text = f"found {front_end.n_mels} with model.n_mels {model.n_mels} - expected the same - change one of the two"
        yield ("front_end", "n_mels"), text


@_rule("augment", "front_end")
def _some_mel_band_stays(augment: AugmentConfig, front_end: MelConfig) -> Broken:
    if augment.freq_mask >= front_end.n_mels:
        text = f"found {augment.freq_mask} with front_end.n_mels {front_end.n_mels} - expected less - lower it"
        yield ("augment", "freq_mask"), text


@_rule("augment", "front_end")
def _masks_have_a_value(augment: AugmentConfig, front_end: MelConfig) -> Broken:
    if augment.spec_augment == "as_source" and front_end.zero_level is None:
        text = "found 'as_source' with front_end.normalise 'clip', under which a mask's value is another in every clip"
        yield ("augment", "spec_augment"), f"{text} - expected 'mean' - change one of the two"


@_rule("objective", "data", "model")
def _output_for_every_label(objective: Objective, data: DataConfig, model: ModelConfig) -> Broken:
    if not isinstance(objective, ClassificationConfig) or not isinstance(data.labels, tuple):
        return
    is_stated = "num_classes" in model.model_fields_set  # left out, it follows the data
    if is_stated and model.num_classes != len(data.labels):
        text = f"found {model.num_classes} with {len(data.labels)} names in data.labels - expected as many"
        yield ("model", "num_classes"), f"{text} - leave it out, and it follows the data"


@_rule("objective", "data")
def _weight_for_every_label(objective: Objective, data: DataConfig) -> Broken:
    if not isinstance(objective, ClassificationConfig) or not isinstance(objective.class_weights, tuple):
        return
    weights = len(objective.class_weights)
    if isinstance(data.labels, tuple) and weights != len(data.labels):
        text = f"found {weights} weights with {len(data.labels)} names in data.labels - expected as many"
        yield ("objective", "class_weights"), f"{text} - put one of the lists right"


@_rule("objective", "data")
def _pretraining_sees_no_labels(objective: Objective, data: DataConfig) -> Broken:
    if isinstance(objective, MaskedPatchConfig) and data.sampling.kind == "balanced":
        text = "found 'balanced' with objective 'masked-patch' - expected 'shuffle', since balancing would let labels"
        yield ("data", "sampling"), f"{text} into pretraining - leave it out"


@_rule("objective", "evaluate")
def _probe_is_of_pretraining(objective: Objective, evaluate: EvaluateConfig) -> Broken:
    if isinstance(objective, ClassificationConfig) and evaluate.probe is not None:
        text = (
            "found one with objective 'classification', whose own metrics say more - expected null, or 'masked-patch'"
        )
        yield ("evaluate", "probe"), f"{text} - leave it out"


@_rule("data", "evaluate")
def _whole_clips_are_not_cut(data: DataConfig, evaluate: EvaluateConfig) -> Broken:
    if evaluate.long_clips == "whole" and data.padding == "as_source":
        text = "found 'whole' with data.padding 'as_source', which cuts every clip to the model's length"
        yield ("evaluate", "long_clips"), f"{text} - expected windows or beginning - change one of the two"


@_rule("objective", "data", "evaluate")
def _metric_can_be_measured(objective: Objective, data: DataConfig, evaluate: EvaluateConfig) -> Broken:
    known, why = metrics_for(objective, data.task)
    if evaluate.metric is not None and known and evaluate.metric not in known:
        text = f"found '{evaluate.metric}' with {why} - expected {' or '.join(known)} - change it, or leave it out"
        yield ("evaluate", "metric"), text


def metrics_for(objective: Objective, task: str | None) -> tuple[tuple[str, ...], str]:
    """The metrics that can be measured, the default first, and for what; none for an objective without its task."""
    if isinstance(objective, MaskedPatchConfig):
        return ("loss",), "objective 'masked-patch'"
    macro = ("mAP", "auc", "f1", "precision", "recall")
    by_class = (*macro, "f1_weighted", "precision_weighted", "recall_weighted", "loss")
    by_task = {None: (), "single-label": ("accuracy", "balanced_accuracy", *by_class), "multi-label": by_class}
    return by_task[task], f"data.task '{task}'"


@_rule("train", "schedule")
def _warmup_ends_in_time(train: TrainConfig, schedule: AnyScheduleConfig) -> Broken:
    # As far as it can be told without the data; the rest is when the schedule is built.
    yield from _told(lambda: schedule.check(clips=train.total_clips, steps=train.steps, epochs=train.epochs))


@_rule("train")
def _run_has_the_epochs_of_its_average(train: TrainConfig) -> Broken:
    yield from _told(lambda: train.average.check(train.epochs))


@_rule("train")
def _a_clip_for_every_micro_batch(train: TrainConfig) -> Broken:
    if train.accumulate > train.batch_size:
        text = f"found {train.accumulate} with train.batch_size {train.batch_size}, the clips of a step - expected at"
        yield ("train", "accumulate"), f"{text} most as many - lower it, or raise the batch size"
