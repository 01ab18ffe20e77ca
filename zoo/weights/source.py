"""Reads what a user calls a checkpoint: a run, a checkpoint folder, a file or folder of other code, a known name."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from zoo.errors import CheckpointError
from zoo.models.registry import check_values
from zoo.train.checkpoint import CONFIG, WEIGHTS, load_checkpoint
from zoo.weights.catalogue import find, near
from zoo.weights.download_bar import fetch_with_bar
from zoo.weights.files import check_finite
from zoo.weights.foreign import read_foreign
from zoo.weights.formats.hugging_face_config import MODEL_TYPE, PREPROCESSOR, read_sidecar
from zoo.weights.loaded import Loaded
from zoo.weights.positions import Rule

_OLD_WEIGHTS = "pytorch_model.bin"
KIND_RULE: dict[str, Rule] = {"ssast": "ssast", "passt": "passt"}
"""Whose released code a kind of model follows; every other follows AST's."""


def find_checkpoint(path: str | Path) -> Path:
    """The checkpoint folder meant by a run folder or by one itself.

    Of a run, the one whose metrics the summary has: `best` where the recipe selects it, else the `average` of its
    weights where it kept one, else `last`.
    """
    path = Path(path)
    if (path / WEIGHTS).is_file() or (path / CONFIG).is_file():
        return path
    checkpoints = path / "checkpoints"
    selects_best = _json_of(checkpoints / "best" / CONFIG).get("select") == "best"
    for name in (*(["best"] if selects_best else []), "average", "last", "previous"):
        folder = checkpoints / name
        if (folder / WEIGHTS).is_file():
            return folder
    names = sorted(entry.name for entry in path.iterdir())[:6]
    runs = sorted(one.parent for depth in ("*", "*/*") for one in path.glob(f"{depth}/checkpoints"))
    inside = f", and runs such as {runs[0]}," if runs else ""
    raise CheckpointError(
        f"{path}: a folder with {', '.join(names) or 'nothing'} in it{inside} - expected a run folder (with "
        f"checkpoints/last), a checkpoint folder (with {WEIGHTS} and {CONFIG}), a .pth file, a Hugging Face folder, or "
        f"a name that 'zoo checkpoints' lists"
    )


def read(source: str | Path, own: Mapping[str, Any] | None = None, given: Mapping[str, Any] | None = None) -> Loaded:
    """Reads a checkpoint; nothing in it can run code.

    Args:
        source: a run or checkpoint folder, a Hugging Face folder, a file of any known format (told by the names of its
            tensors), or a name from the catalogue, which is downloaded when it is not there yet.
        own: fields of the checkpoint's own model config, where its tensors do not tell: num_heads, stride, kind, ...
        given: fields wanted of the model to build; a geometry that fits the checkpoint exactly is taken as its own.

    Raises:
        CheckpointError: missing, damaged, of no known format, or incomplete: every missing, unexpected and misshapen
            tensor is named.
        RecipeError: a value that no model has in a field of that name.
    """
    path, own, given = Path(source), dict(own or {}), dict(given or {})
    check_values("own", own)
    check_values("load", given)
    if not path.exists():
        return _read_known(path, own, given)
    if path.is_file() and path.name == WEIGHTS and "model" in _json_of(path.with_name(CONFIG)):
        path = path.parent
    if path.is_file():
        return read_foreign(path, own, given)
    config = _json_of(path / CONFIG)
    if config.get("model_type") or (path / PREPROCESSOR).is_file():
        return _read_hugging_face(path, config, own, given)
    folder = find_checkpoint(path)
    if own:
        raise CheckpointError(
            f"{folder}: found own {own} for a zoo folder - expected none, for its {CONFIG} tells all - leave it out"
        )
    state, config = load_checkpoint(folder)
    check_finite(folder / WEIGHTS, state)
    notes = config.get("notes")
    return _with_origin(Loaded(folder, config, state, notes=tuple(map(str, notes)) if isinstance(notes, list) else ()))


def _with_origin(loaded: Loaded) -> Loaded:
    """What our own config says about where the weights come from. Where it says nothing, they are a zoo run's."""
    model, origin = loaded.config.get("model"), loaded.config.get("origin")
    if isinstance(origin, dict) and {"format", "rule"} <= origin.keys():
        return replace(loaded, origin=str(origin["format"]), rule=origin["rule"])
    kind = str(model.get("kind")) if isinstance(model, dict) else ""
    return replace(loaded, origin="zoo", rule=KIND_RULE.get(kind, "ast"))


def _read_known(name: Path, own: dict[str, Any], given: dict[str, Any]) -> Loaded:
    try:
        known = find(str(name))
    except CheckpointError:
        close = near(str(name))
        hint = f"did you mean {' or '.join(close)}? " if close else ""
        raise CheckpointError(
            f"{name}: found no such folder or file, and no known checkpoint of that name - expected one of them - "
            f"{hint}`zoo checkpoints` lists the names"
        ) from None
    file = fetch_with_bar(known)
    loaded = read_foreign(file, {**known.own, **own}, given, known_front_end=known.front_end)
    config = {**loaded.config, "name": known.name}
    if known.labels and len(known.labels) == loaded.model_config.num_classes:
        config["labels"] = list(known.labels)
    if known.task:
        config["task"] = known.task
    return replace(loaded, config=config)


def _read_hugging_face(path: Path, config: dict[str, Any], own: dict[str, Any], given: dict[str, Any]) -> Loaded:
    if config.get("model_type") != MODEL_TYPE:
        raise CheckpointError(
            f"{path / CONFIG}: found model_type {config.get('model_type')!r} - expected {MODEL_TYPE!r} - other models "
            "of Hugging Face cannot be read"
        )
    files = [path / name for name in (WEIGHTS, _OLD_WEIGHTS) if (path / name).is_file()]
    if not files:
        raise CheckpointError(
            f"{path}: found no {WEIGHTS} and no {_OLD_WEIGHTS} - expected one of them beside {CONFIG} - fetch it too"
        )
    preprocessor = _json_of(path / PREPROCESSOR) or None
    loaded = read_foreign(files[0], own, given, beside={"config": config, "preprocessor": preprocessor})
    sidecar, note = read_sidecar(path, files[0], config, preprocessor)
    loaded = replace(loaded, notes=(*loaded.notes, note)) if note else loaded
    if sidecar is None:
        return loaded
    stated = {key: value for key, value in loaded.config["model"].items() if key in own}
    return _with_origin(replace(loaded, config={**sidecar, "model": {**sidecar["model"], **stated}}))


def _json_of(path: Path) -> dict[str, Any]:
    """A JSON mapping; empty when there is no such file. Raises CheckpointError when it is damaged."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{path}: found damaged JSON ({' '.join(str(error).split())}) - expected a mapping - "
            "fetch or convert it again"
        ) from None
    if not isinstance(value, dict):
        raise CheckpointError(f"{path}: found no mapping - expected one - fetch or convert it again")
    return value
