"""Finds a model's tensors in what a checkpoint file holds, and takes off the wrappers that training put around them."""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from zoo.errors import CheckpointError
from zoo.weights.pickles.stand_ins import NumpyArray

_FOLDERS = ("model", "state_dict", "model_state_dict", "net")
"""Under which a state dict lies: DeiT and TorchOnlyAST, Lightning, torch's tutorials, own scripts."""
_PREFIXES = ("module", "model", "net", "net_swa")
"""DataParallel and AveragedModel, Lightning modules, PaSST's Lightning module and its average."""
_COMPILED = "_orig_mod"
_DEEPEST = 3
_MOST_VALUES = 300_000
_LONGEST_ARRAY = 10_000
_DEEPEST_EXTRA = 64
_LEFT_OUT = object()


@dataclass
class Unwrapped:
    """A flat state dict, what stood beside it, and what was taken off or left out."""

    state: dict[str, Tensor]
    extra: dict[str, Any] = field(default_factory=dict)
    """Plain Python values. Tensors among them (an optimiser's moments) are left out, those of one value are numbers."""
    notes: list[str] = field(default_factory=list)


def unwrap(content: Any) -> Unwrapped:
    """The state dict of a loaded file.

    It may lie under "model", "state_dict", "model_state_dict" or "net", at the top, or in the only dict of tensors.
    Prefixes that every name has (`module.`, `net.`, ...) are taken off, `_orig_mod.` wherever it stands. Of a Lightning
    checkpoint of PaSST the averaged weights `net_swa.*` are taken, else `net.*`.

    Raises:
        CheckpointError: no tensors, or no telling which of several dicts of them is the model.
    """
    if not isinstance(content, Mapping):
        raise CheckpointError(
            f"found a {type(content).__name__} - expected a dict of tensors by name - save its state_dict()"
        )
    extra: dict[str, Any] = {}
    notes: list[str] = []
    plain = _Plain()
    tree: Mapping[Any, Any] = content
    for folder in _way_to_tensors(content):
        beside = {key: value for key, value in tree.items() if key != folder}
        others = [str(key) for key, value in beside.items() if _has_tensors(value)]
        if others:
            notes.append(f"'{folder}' taken; left out: {', '.join(others)}")
        extra = {**plain.mapping(beside), **extra}
        tree = tree[folder]
    state = {key: value.detach() for key, value in tree.items() if isinstance(value, Tensor)}
    extra = {**plain.mapping({key: value for key, value in tree.items() if key not in state}), **extra}
    odd = [key for key in state if not isinstance(key, str) or not key.isprintable()]
    if odd:
        raise CheckpointError(
            f"found a tensor by the name {odd[0]!r} - expected names like 'head.weight' - save its state_dict()"
        )
    found = Unwrapped(state, extra, notes)
    while _take_off_one(found):
        pass
    return found


def _way_to_tensors(content: Mapping[Any, Any]) -> list[str]:
    """Keys that lead to the state dict."""
    way: list[str] = []
    tree = content
    for _ in range(_DEEPEST + 1):
        folder = next((name for name in _FOLDERS if _leads_to_tensors(tree.get(name))), None)
        if folder is None and _has_tensors(tree):
            return way
        if folder is None:
            candidates = [key for key, value in tree.items() if isinstance(key, str) and _leads_to_tensors(value)]
            if len(candidates) != 1:
                names = ", ".join(repr(key)[:40] for key in (candidates or list(tree))[:6]) or "nothing"
                found = f"tensors under each of {names}" if candidates else f"no tensors by name (but {names})"
                raise CheckpointError(
                    f"found {found} - expected a state dict, at the top or under one of {', '.join(_FOLDERS)} - "
                    "save the state_dict() of the model alone"
                )
            folder = candidates[0]
        way.append(folder)
        tree = tree[folder]
    raise CheckpointError(
        f"found dicts within dicts ({' / '.join(way)}) - expected a state dict at most {_DEEPEST} deep - "
        "save the state_dict() of the model alone"
    )


def _has_tensors(value: Any) -> bool:
    return isinstance(value, Mapping) and any(isinstance(one, Tensor) for one in value.values())


def _leads_to_tensors(value: Any) -> bool:
    """Whether it is a state dict, or a dict in which one lies under a usual name."""
    for _ in range(_DEEPEST):
        if not isinstance(value, Mapping) or _has_tensors(value):
            break
        value = next((value[name] for name in _FOLDERS if isinstance(value.get(name), Mapping)), None)
    return _has_tensors(value)


def _take_off_one(found: Unwrapped) -> bool:
    """Takes off one wrapper around the names; False when there is none left."""
    state = found.state
    plain = {key: ".".join(part for part in key.split(".") if part != _COMPILED) for key in state}
    if list(plain.values()) != list(state) and len(set(plain.values())) == len(state):
        found.state = {plain[key]: value for key, value in state.items()}
        found.notes.append(f"'{_COMPILED}.' (of torch.compile) removed")
        return True
    if "n_averaged" in state and state["n_averaged"].ndim == 0 and len(state) > 1:
        found.extra["n_averaged"] = state.pop("n_averaged").item()  # of torch's AveragedModel, beside module.*
        return True
    starts = {key.partition(".")[0] for key in state if "." in key}
    prefix: str | None = (
        "net_swa" if "net_swa" in starts else "net" if "net" in starts else None
    )  # beside mel.*, loss.*
    if prefix is None and len(starts) == 1 and starts < set(_PREFIXES):
        prefix = starts.pop()
        if not all(key.startswith(f"{prefix}.") for key in state):
            return False
    if prefix is None:
        return False
    kept = {key.removeprefix(f"{prefix}."): value for key, value in state.items() if key.startswith(f"{prefix}.")}
    left = sorted({f"{key.partition('.')[0]}.*" if "." in key else key for key in state} - {f"{prefix}.*"})
    if left:
        what = "the averaged weights" if prefix == "net_swa" else "the model"
        found.notes.append(f"{prefix}.* taken ({what}); left out: {', '.join(left)}")
    else:
        found.notes.append(f"prefix '{prefix}.' removed")
    found.state = kept
    return True


class _Plain:
    """Turns what stands beside the weights into plain values, and counts: shared parts can stand for endlessly many."""

    def __init__(self) -> None:
        self.count = 0

    def mapping(self, values: Mapping[Any, Any], depth: int = 0) -> dict[Any, Any]:
        """By their own keys, where these are plain too."""
        pairs = ((self.key(key), self.value(value, depth + 1)) for key, value in values.items())
        return {key: value for key, value in pairs if value is not _LEFT_OUT}

    def key(self, key: Any) -> Any:
        """Text and numbers as they are."""
        return key if isinstance(key, str | int | float | bool | None | tuple) else str(key)

    def value(self, value: Any, depth: int) -> Any:
        """`_LEFT_OUT` for tensors of more than one value, and for whatever is not plain."""
        self.count += 1
        if depth > _DEEPEST_EXTRA or self.count > _MOST_VALUES:
            raise CheckpointError(
                f"found settings nested more than {_DEEPEST_EXTRA} deep or of more than {_MOST_VALUES:,} values - "
                "expected tensors and a few settings - save its state_dict() alone"
            )
        match value:
            case None | bool() | int() | float() | str() | bytes():
                return value
            case Mapping():
                return self.mapping(value, depth)
            case argparse.Namespace():
                return self.mapping(vars(value), depth)
            case list() | tuple():
                parts = [self.value(part, depth + 1) for part in value]
                kept = [part for part in parts if part is not _LEFT_OUT]
                return kept if isinstance(value, list) else tuple(kept)
            case set():
                return self.value(sorted(value, key=repr), depth)
            case NumpyArray():
                return value.array.tolist() if value.array.size <= _LONGEST_ARRAY else _LEFT_OUT
            case Tensor():
                return value.item() if value.numel() == 1 and value.ndim == 0 else _LEFT_OUT
            case torch.dtype() | torch.device():
                return str(value)
            case _:
                return _LEFT_OUT
