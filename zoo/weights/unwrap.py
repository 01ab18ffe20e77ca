"""Finds a model's tensors in what a checkpoint file holds, and takes off the wrappers that training put around them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from zoo.errors import CheckpointError

_STATE_KEYS = ("model", "state_dict", "model_state_dict", "net")
"""Under which a state dict lies: DeiT and TorchOnlyAST, Lightning, torch's tutorials, own scripts."""
_PREFIXES = ("module", "model", "net", "net_swa")
"""DataParallel and AveragedModel, Lightning modules, PaSST's Lightning module and its average."""
_COMPILED = "_orig_mod"
_DEEPEST = 3


@dataclass
class Unwrapped:
    """A flat state dict, and what was taken off or left out."""

    state: dict[str, Tensor]
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
    notes: list[str] = []
    tree: Mapping[Any, Any] = content
    for name in _way_to_tensors(content):
        others = [str(key) for key, value in tree.items() if key != name and _has_tensors(value)]
        if others:
            notes.append(f"'{name}' taken; left out: {', '.join(others)}")
        tree = tree[name]
    state = {key: value.detach() for key, value in tree.items() if isinstance(value, Tensor)}
    odd = [key for key in state if not isinstance(key, str) or not key.isprintable()]
    if odd:
        raise CheckpointError(
            f"found a tensor by the name {odd[0]!r} - expected names like 'head.weight' - save its state_dict()"
        )
    found = Unwrapped(state, notes)
    while _take_off_one(found):
        pass
    return found


def _way_to_tensors(content: Mapping[Any, Any]) -> list[str]:
    """Keys that lead to the state dict: the usual ones, or the only other one and usual ones below it."""
    way = _usual_way(content)
    if way is not None:
        return way
    ways = {key: _usual_way(value, 1) for key, value in content.items() if isinstance(key, str)}
    found = [[key, *way] for key, way in ways.items() if way is not None]
    if len(found) == 1:
        return found[0]
    names = ", ".join(repr(key)[:40] for key in ([way[0] for way in found] or list(content))[:6]) or "nothing"
    what = f"tensors under each of {names}" if found else f"no tensors by name (but {names})"
    raise CheckpointError(
        f"found {what} - expected a state dict, at the top or at most {_DEEPEST} deep under {', '.join(_STATE_KEYS)} - "
        "save the state_dict() of the model alone"
    )


def _usual_way(value: Any, depth: int = 0) -> list[str] | None:
    """The usual keys that lead from here to a state dict, none if it is one itself; None when they lead to none."""
    if not isinstance(value, Mapping) or depth > _DEEPEST:
        return None
    for key in _STATE_KEYS:
        way = _usual_way(value.get(key), depth + 1)
        if way is not None:
            return [key, *way]
    return [] if _has_tensors(value) else None


def _has_tensors(value: Any) -> bool:
    return isinstance(value, Mapping) and any(isinstance(one, Tensor) for one in value.values())


def _take_off_one(found: Unwrapped) -> bool:
    """Takes off one wrapper around the names; False when there is none left."""
    state = found.state
    plain = {key: ".".join(part for part in key.split(".") if part != _COMPILED) for key in state}
    if list(plain.values()) != list(state) and len(set(plain.values())) == len(state):
        found.state = {plain[key]: value for key, value in state.items()}
        found.notes.append(f"'{_COMPILED}.' (of torch.compile) removed")
        return True
    if "n_averaged" in state and state["n_averaged"].ndim == 0 and len(state) > 1:
        del state["n_averaged"]  # of torch's AveragedModel, beside module.*
        return True
    starts = {key.partition(".")[0] for key in state if "." in key}
    prefix: str | None = next((name for name in ("net_swa", "net") if name in starts), None)  # beside mel.*, loss.*
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
