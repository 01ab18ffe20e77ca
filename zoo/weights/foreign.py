"""Reads a file of another code: tells its format, whose model it is, and whether it is whole."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from torch import Tensor

from zoo.errors import CheckpointError, ShapeError
from zoo.models.cost import build_on_meta
from zoo.models.masked_patch import BACKBONE
from zoo.models.registry import ModelConfig, in_words, parse_model_config
from zoo.weights.files import read_tensors
from zoo.weights.formats import recognise
from zoo.weights.formats.format import (
    HEAD_WIDTH,
    POSITION,
    RELEASED_WIDTHS,
    Format,
    Renamed,
    count_blocks,
)
from zoo.weights.loaded import Loaded
from zoo.weights.tensor_names import PREFIX_POSITION, TABLE


def read_foreign(
    path: Path,
    own: Mapping[str, Any],
    given: Mapping[str, Any],
    *,
    beside: Mapping[str, Any] | None = None,
    known_front_end: Mapping[str, Any] | None = None,
) -> Loaded:
    """A file of another code's, told by the names of its tensors.

    Args:
        own, given: as in `zoo.weights.source.read`.
        beside: what else of the checkpoint is known: Hugging Face's `config` and `preprocessor`.
        known_front_end: what it was trained behind, if somebody knows better than the file.

    Raises:
        CheckpointError: damaged, of no known format, or incomplete; every missing, unexpected and misshapen tensor is
            named, by the file's own names.
    """
    file = read_tensors(path)
    chosen, num_known = recognise(file.state.keys())
    if 2 * num_known <= len(file.state):
        some = ", ".join(sorted(file.state)[:4])
        nearest = f"; {num_known} would fit {chosen.name}" if num_known else ""
        raise CheckpointError(
            f"{path}: found {len(file.state)} tensors of no known format ({some}, ...){nearest} - expected AST, SSAST, "
            "PaSST, Hugging Face AST, DeiT, ViT, TorchOnlyAST or a zoo folder - see docs/coming-from.md"
        )
    renamed = chosen.rename(file.state)
    try:
        described = chosen.describe(renamed.state, beside or {}, own, given)
        fields = {**described.config, **{key: value for key, value in own.items() if key != "kind"}}
        config = parse_model_config(fields)
    except (CheckpointError, ShapeError, ValidationError) as error:
        problems = _misnamed(chosen, renamed)
        why = in_words(error) if isinstance(error, ValidationError) else str(error)
        raise CheckpointError(
            f"{path}: looks like {chosen.name}{f', and does not fit it - {problems}; and: ' if problems else ': '}{why}"
        ) from None
    chosen.place(renamed, config)
    _check_whole(path, chosen, renamed, config, described.pretraining, file.state)
    values = {
        "pretraining": described.pretraining,
        "model": config.model_dump(mode="json"),
        "front_end": known_front_end or described.front_end,
        "labels": described.labels,
        "task": described.task,
        "origin": {"format": chosen.name, "rule": chosen.rule},
    }
    notes = [f"{path.name}: {chosen.name}", *file.notes, *described.notes]
    embed_dim, num_heads = described.config["embed_dim"], described.config["num_heads"]
    if not beside and "num_heads" not in {**own, **given} and embed_dim not in RELEASED_WIDTHS:
        notes.append(
            f"{num_heads} attention heads assumed, {HEAD_WIDTH} wide each: state own.num_heads if it has others"
        )
    if described.front_end_note is not None and known_front_end is None:
        notes.append(described.front_end_note)
    return Loaded(
        path, values, renamed.state, chosen.name, chosen.rule, described.start, tuple(renamed.unused), tuple(notes)
    )


def _check_whole(
    path: Path, chosen: Format, renamed: Renamed, config: ModelConfig, pretraining: bool, given: Mapping[str, Tensor]
) -> None:
    """Every tensor that the model of the file's own geometry has, in its shape, and no other."""
    model = build_on_meta(config, pretraining=pretraining)
    found = {name: tuple(tensor.shape) for name, tensor in renamed.state.items()}
    expected = chosen.expected({name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}, found)
    if POSITION in found:  # it was of no use: tell what it should have been
        before = BACKBONE if pretraining else ""
        table, prefix = expected.pop(before + TABLE), expected.pop(before + PREFIX_POSITION)
        expected[POSITION] = (1, prefix[1] + table[0] * table[1], table[2])
    misshapen = []
    for name in sorted(found.keys() & expected.keys()):
        key = _theirs(chosen, renamed, name)
        stored = tuple(given[key].shape) if key in given else found[name]
        if found[name] != expected[name]:
            meaning = f" (so {found[name]})" if stored != found[name] else ""
            misshapen.append(f"{key} {stored}{meaning} instead of {expected[name]}")
        elif not renamed.state[name].is_floating_point():
            misshapen.append(f"{key} of {renamed.state[name].dtype} instead of floating point")
    problems = [_misnamed_of(chosen, renamed, expected.keys(), found.keys())]
    problems += [f"misshapen: {', '.join(sorted(misshapen))}"] if misshapen else []
    if any(problems):
        raise CheckpointError(
            f"{path}: looks like {chosen.name}, and does not fit it - {'; '.join(filter(None, problems))} - expected a "
            "whole checkpoint of that family - fetch it again, or state what differs with own={...}"
        )


def _misnamed(chosen: Format, renamed: Renamed) -> str:
    """The missing and unexpected names of a file whose geometry cannot be told."""
    kind, pretraining = chosen.family(renamed.state)
    has_head = any(name.startswith("head.") for name in renamed.state)
    numbers = {"embed_dim": 64, "num_heads": 1, "depth": max(1, count_blocks(renamed.state))}
    config = parse_model_config({"kind": kind, **numbers, "num_classes": int(has_head)})
    model = build_on_meta(config.model_copy(update={"num_masked": 0.5} if pretraining else {}), pretraining=pretraining)
    expected = {name.removeprefix(BACKBONE): tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    expected = chosen.expected(expected, {name: tuple(tensor.shape) for name, tensor in renamed.state.items()})
    names = set(expected)
    if chosen.keys.from_zoo(POSITION) is not None:
        names = names - {TABLE, PREFIX_POSITION} | {POSITION}
    # What `place` makes of other tensors, and takes out, is neither missing nor unexpected.
    made = {name for name in names if chosen.keys.from_zoo(name) is None}
    kept = {name for name in renamed.state if chosen.keys.to_zoo(renamed.came_from[name]) is None or name in names}
    return _misnamed_of(chosen, renamed, names - made, kept)


def _misnamed_of(chosen: Format, renamed: Renamed, expected: Collection[str], found: Collection[str]) -> str:
    """In the file's own names; empty when all is there and nothing else."""
    missing = sorted({_theirs(chosen, renamed, name) for name in set(expected) - set(found)})
    unexpected = sorted(renamed.came_from.get(name, name) for name in set(found) - set(expected))
    groups = (("missing", missing), ("unexpected", unexpected))
    return "; ".join(f"{what}: {', '.join(names)}" for what, names in groups if names)


def _theirs(chosen: Format, renamed: Renamed, name: str) -> str:
    plain = name.removeprefix(BACKBONE)
    whole = POSITION if plain in (TABLE, PREFIX_POSITION) else plain
    candidates = (chosen.keys.from_zoo(one) for one in (whole, plain, name))
    return renamed.came_from.get(name) or next((key for key in candidates if key is not None), name)
