"""From a checkpoint to a model: to use it, or to start another run from its weights."""

import difflib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from torch import Tensor, nn

from zoo.errors import CheckpointError, RecipeError
from zoo.models.masked_patch import BACKBONE
from zoo.models.registry import ModelConfig, build_model, config_fields, in_words, parse_model_config
from zoo.models.transformer import TransformerConfig
from zoo.weights.adapt import AdaptConfig, adapt
from zoo.weights.formats.official_ssast import MASKED_SHARE
from zoo.weights.loaded import Loaded
from zoo.weights.pretraining_parts import is_pretraining_part, parts_afresh
from zoo.weights.source import read

_KEEP = object()
_SIZES = ("embed_dim", "depth", "num_heads", "mlp_ratio")
_HEAD_NORM = ("head.norm.weight", "head.norm.bias")
_MANY = 12  # names in a note
_LOG = logging.getLogger("zoo.weights")


def load(
    source: str | Path | Loaded,
    *,
    num_classes: int | None = None,
    n_frames: int | None = None,
    head: Any = _KEEP,
    aggregator: Any = _KEEP,
    pretraining: bool | None = None,
    positions: str = "auto",
    channels: str = "sum",
    cls: str = "both",
    patches: str = "resample",
    own: Mapping[str, Any] | None = None,
    **overrides: Any,
) -> nn.Module:
    """A model with trained weights, in eval mode, for clips of any length and features of any size.

    `model.front_end` is the config of the front end that the weights were trained behind, `model.labels` names its
    outputs (None when they have no names), and `model.load_notes` says what was assumed and adapted.

    Example: `load("audioset_10_10_0.4593.pth", num_classes=50, n_frames=512)`.

    Args:
        source: a run or checkpoint folder; a `.pth`, `.pt`, `.ckpt` or `.safetensors` file of the official AST, SSAST
            or PaSST, of DeiT, ViT or TorchOnlyAST; a Hugging Face AST folder; or a name that `zoo.checkpoints()` lists;
            or what `zoo.weights.source.read` gave, which `own` cannot change any more.
        num_classes: another number puts a fresh head on; None keeps the trained one. 0 leaves the head out.
        n_frames: another input length; the positions are adapted.
        head, aggregator: modules to put in place of the trained ones; None removes them.
        pretraining: True or False asks for the pretraining model or for its backbone; None gives a pretraining model
            as such only when nothing about it is changed and no classes are asked for.
        positions, channels, cls, patches: how weights are brought to another geometry, see `AdaptConfig`.
        own: fields of the checkpoint's own config that its tensors do not tell, such as `{"num_heads": 4}`.
        overrides: any other field of the model's config: `stride=(12, 12)`, `n_mels=64`, `kind="passt"`, ...

    Raises:
        CheckpointError: nothing usable there, or weights that do not fit; every missing or extra key is named.
        RecipeError: fields that do not exist or contradict each other.
    """
    options = _options({"positions": positions, "channels": channels, "cls": cls, "patches": patches})
    asked = {**overrides, "num_classes": num_classes, "n_frames": n_frames}
    asked = {key: value for key, value in asked.items() if value is not None}
    loaded = source if isinstance(source, Loaded) else read(source, own, asked)
    before = {**loaded.model_config.model_dump(), **loaded.start}
    config = _changed(before, asked)
    is_replaced = head is not _KEEP or aggregator is not _KEEP
    changed = is_replaced or num_classes is not None or config != _changed(before, {})
    keep_pretraining = loaded.pretraining and (not changed if pretraining is None else pretraining)
    if pretraining and not loaded.pretraining:
        raise CheckpointError(
            f"{loaded.path}: holds a fine-tuned {loaded.model_config.kind} without pretraining heads - "
            "expected a pretraining checkpoint - load it with pretraining=False"
        )
    if keep_pretraining and loaded.is_released:
        config = _with_room(config)
    if loaded.pretraining and not keep_pretraining and num_classes is None:
        config = config.model_copy(update={"num_classes": 0})  # there is no classifier whose weights could be loaded
    with_head = loaded.has_head_for(config)
    model: Any = build_model(config, pretraining=keep_pretraining)
    report = initialise(model, loaded, with_head, options)
    names = loaded.config.get("labels") if with_head and head is _KEEP else None
    model.labels = tuple(names) if names else None
    model.front_end = loaded.front_end
    model.load_notes = report.notes
    model.carried = loaded.config
    if head is not _KEEP:
        model.head = head
    if aggregator is not _KEEP:
        model.aggregator = aggregator
    return model.eval()


def _with_room(config: Any) -> ModelConfig:
    """The number of masked patches is not in a released file: of a smaller grid, the share that it is of the usual."""
    if config.num_masked < config.grid.num_patches:
        return config
    return config.model_copy(update={"num_masked": MASKED_SHARE})


def _options(values: dict[str, Any]) -> AdaptConfig:
    try:
        return AdaptConfig(**values)
    except ValidationError as error:
        first = error.errors()[0]
        raise RecipeError(f"load: {first['loc'][0]}: found {first['input']!r} - expected: {first['msg']}") from None


def _changed(before: Mapping[str, Any], asked: Mapping[str, Any]) -> ModelConfig:
    """The config with some fields replaced. Of another kind, the fields that both have are kept."""
    fields = {**before, **asked}
    known = config_fields(fields["kind"])
    unknown = [key for key in asked if key not in known]
    if unknown:
        near = difflib.get_close_matches(unknown[0], known, n=1)
        raise RecipeError(
            f"load: found {unknown[0]!r}, which is no field of kind '{fields['kind']}' - expected one of "
            f"{', '.join(known)} - {f'did you mean {near[0]!r}?' if near else 'leave it out'}"
        )
    try:
        return parse_model_config({key: value for key, value in fields.items() if key in known})
    except ValidationError as error:
        raise RecipeError(f"load: {in_words(error)}") from None


@dataclass(frozen=True)
class InitReport:
    """What `initialise` did."""

    fresh: tuple[str, ...]
    """Names of the tensors that stay freshly initialised."""
    notes: tuple[str, ...]
    """What was assumed about the checkpoint, and how it was brought to the model's geometry."""


def initialise(
    model: nn.Module, source: Loaded, with_head: bool = False, options: AdaptConfig | None = None
) -> InitReport:
    """Copies a checkpoint's weights into a model, of the same kind, from pretraining to fine-tuning, or between kinds.

    The backbone is brought to the model's geometry (`zoo.weights.adapt`) and must then fit key by key. The classifier
    (`head.*`) is copied, and must fit too, `with_head`; else it stays fresh, whatever its shape, for other labels may
    be meant. Where pretraining goes on, its heads, mask token and decoder are copied, if they mean the same in both
    models (`zoo.weights.pretraining_parts`); they are left out when the model has none.

    Raises:
        CheckpointError: naming every key that is missing, of another shape, or unknown.
    """
    chosen, notes = _matched(model, source, with_head, options or AdaptConfig())
    model.load_state_dict(chosen, strict=False)
    fresh = tuple(name for name in model.state_dict() if name not in chosen)
    if fresh:
        notes = (*notes, f"fresh: {', '.join(_in_short(fresh, model))}")
    for note in (*source.notes, *notes):
        _LOG.info("%s", note)
    return InitReport(fresh, (*source.notes, *notes))


def _in_short(fresh: tuple[str, ...], model: nn.Module) -> list[str]:
    """Of many names, a part that is fresh as a whole has one: a decoder has dozens of tensors."""
    if len(fresh) <= _MANY:
        return list(fresh)
    kept = {name.split(".")[0] for name in model.state_dict() if name not in fresh}
    parts = {name: name.split(".")[0] for name in fresh}
    return list(dict.fromkeys(name if part in kept or part == name else f"{part}.*" for name, part in parts.items()))


def check_fit(model: nn.Module, source: Loaded, options: AdaptConfig | None = None) -> tuple[str, ...]:
    """Raises what `initialise` would, for a model that may be on the meta device; returns its notes."""
    return (*source.notes, *_matched(model, source, False, options or AdaptConfig())[1])


def _matched(
    model: Any, source: Loaded, with_head: bool, options: AdaptConfig
) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """The checkpoint's tensors by the model's names, and what was adapted."""
    target = model.state_dict()
    into_pretraining = any(name.startswith(BACKBONE) for name in target)
    before = BACKBONE if into_pretraining else ""
    backbone, others = _parted(source)
    shapes = {name.removeprefix(before): tuple(tensor.shape) for name, tensor in target.items()}
    _check_sizes(model.config, source)
    goes_on = source.pretraining and into_pretraining
    adapted = adapt(
        backbone,
        source=source.model_config,
        target=model.config,
        shapes=shapes,
        rule=source.rule,
        is_released=source.is_released,
        goes_on=goes_on,
        options=options,
    )
    is_classifier = not source.pretraining and not into_pretraining
    notes = list(adapted.notes)
    kept = others if goes_on or (with_head and is_classifier) else {}
    if is_classifier and source.rule == "passt" and source.is_released:
        # Released PaSST keeps the norm of the head for other classes, where AST and SSAST make a new one.
        kept |= {name: others[name] for name in _HEAD_NORM if name in others and name in target}
    state = {before + name: tensor for name, tensor in adapted.state.items()} | kept
    fresh = {before + name for name in adapted.fresh}
    if goes_on:
        afresh, note = parts_afresh({*target, *kept}, source.model_config, model.config)
        fresh |= afresh
        notes.append(note)
    else:  # other heads than the checkpoint's start afresh
        fresh |= {name for name in target if _is_head(name, into_pretraining) and name not in kept}
    problems, chosen = [], {}
    for name, tensor in target.items():
        given = state.pop(name, None)
        if name in fresh:
            continue
        if given is None:
            problems.append(f"{name} is missing")
        elif given.shape != tensor.shape:
            problems.append(f"{name} is {tuple(given.shape)}, the model's is {tuple(tensor.shape)}")
        else:
            chosen[name] = given
    problems += [f"{name} has no place in the model" for name in sorted(state) if name not in fresh]
    if problems:
        raise CheckpointError(
            f"{source.path}: its weights ({source.origin}: {source.model_config.kind}) do not fit the model "
            f"({model.config.kind}) - {'; '.join(problems)} - expected one of the same width, depth and parts: "
            "change the model to match"
        )
    return chosen, tuple(notes)


def _check_sizes(wanted: Any, source: Loaded) -> None:
    """Raises CheckpointError where no adaptation leads from one model to the other; the heads no tensor would show."""
    found: Any = source.model_config
    is_transformer = [isinstance(config, TransformerConfig) for config in (found, wanted)]
    if is_transformer[0] != is_transformer[1]:
        there, here = ("a transformer's" if one else "a convolutional network's" for one in is_transformer)
        raise CheckpointError(
            f"{source.path}: its weights ({source.origin}: {found.kind}) are {there} and the model's ({wanted.kind}) "
            f"{here} - expected two of one sort, for they have no part in common - choose another start or model.kind"
        )
    if not all(is_transformer):
        return
    different = [field for field in _SIZES if getattr(found, field) != getattr(wanted, field)]
    if different:
        there = ", ".join(f"{field} {getattr(found, field):g}" for field in different)
        here = ", ".join(f"{getattr(wanted, field):g}" for field in different)
        cure = " ".join(f"model.{field}={getattr(found, field):g}" for field in different)
        raise CheckpointError(
            f"{source.path}: its weights ({source.origin}: {found.kind}) are of another size than the model: {there} "
            f"there, {here} here - expected the same - set {cure}"
        )


def _parted(source: Loaded) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The backbone by its own names, and everything else: a classifier, or what pretraining adds."""
    before = BACKBONE if source.pretraining else ""
    backbone: dict[str, Tensor] = {}
    others: dict[str, Tensor] = {}
    for name, tensor in source.state.items():
        is_backbone = name.startswith(before) and not name.startswith("head.")
        (backbone if is_backbone else others)[name.removeprefix(before) if is_backbone else name] = tensor
    return backbone, others


def _is_head(name: str, is_pretraining: bool) -> bool:
    return is_pretraining_part(name) if is_pretraining else name.startswith("head.")
