"""Reads what a user calls a checkpoint: a run, a checkpoint folder, a file or folder of other code, a known name."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from torch import Tensor

from zoo.errors import CheckpointError, ShapeError
from zoo.models.cost import build_on_meta
from zoo.models.registry import ModelConfig, check_values, parse_model_config
from zoo.train.checkpoint import CONFIG, WEIGHTS, load_checkpoint
from zoo.weights.catalogue import find
from zoo.weights.download_bar import fetch_with_bar
from zoo.weights.files import check_finite, read_tensors
from zoo.weights.formats import recognise
from zoo.weights.formats.format import Format, Renamed
from zoo.weights.formats.hugging_face_config import MODEL_TYPE, PREPROCESSOR, read_sidecar

BACKBONE = "backbone."
_OLD_WEIGHTS = "pytorch_model.bin"
KIND_RULE = {"ssast": "ssast", "passt": "passt"}
"""Whose released code a kind of model follows; every other follows AST's."""


@dataclass(frozen=True)
class Loaded:
    """A checkpoint as read: tensors by the zoo's names, in the checkpoint's own geometry."""

    path: Path
    config: dict[str, Any]
    """What `config.json` of a checkpoint folder has: model, front_end, labels, task, pretraining, history."""
    state: dict[str, Tensor]
    origin: str = "zoo"
    """The format that it came in."""
    rule: str = "ast"
    """Whose released code counts as official when positions are adapted (`zoo.weights.adapt`)."""
    start: dict[str, Any] = field(default_factory=dict)
    """Fields in which the model to build differs from the checkpoint's own unless stated otherwise."""
    unused: tuple[str, ...] = ()
    """Tensors of the file that nothing reads."""
    notes: tuple[str, ...] = ()
    """What was assumed about it."""

    @property
    def pretraining(self) -> bool:
        """True when the weights are those of a `MaskedPatchModel`."""
        return bool(self.config.get("pretraining", False))

    @property
    def is_released(self) -> bool:
        """Whether the weights are as released code wrote them, converted perhaps, but not trained on by the zoo."""
        return self.origin != "zoo"

    @property
    def model_config(self) -> ModelConfig:
        """The checkpoint's own geometry."""
        try:
            return parse_model_config(self.config["model"])
        except (KeyError, ValidationError) as error:
            why = "no 'model'" if isinstance(error, KeyError) else error.errors()[0]["msg"]
            raise CheckpointError(
                f"{self.path / CONFIG}: 'model' does not describe a model of this zoo ({why}) - "
                "expected the file that a zoo run wrote - was it edited?"
            ) from None


def find_checkpoint(path: str | Path) -> Path:
    """The checkpoint folder meant by a run folder (its `last`, whose metrics the summary has) or by one itself.

    `best` was chosen on the clips that the run evaluated on: whoever wants it, names `RUN/checkpoints/best`.
    """
    path = Path(path)
    if (path / WEIGHTS).is_file() or (path / CONFIG).is_file():
        return path
    for name in ("last", "previous"):
        folder = path / "checkpoints" / name
        if (folder / WEIGHTS).is_file():
            return folder
    names = sorted(entry.name for entry in path.iterdir())[:6]
    raise CheckpointError(
        f"{path}: a folder with {', '.join(names) or 'nothing'} in it - expected a run folder (with checkpoints/last), "
        f"a checkpoint folder (with {WEIGHTS} and {CONFIG}), a .pth file, a Hugging Face folder, or a "
        f"name that 'zoo checkpoints' lists"
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
        return _read_foreign(path, {}, own, given)
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
    return _with_origin(Loaded(folder, config, state))


def _with_origin(loaded: Loaded) -> Loaded:
    """What our own config says about where the weights come from. Where it says nothing, they are a zoo run's."""
    model, origin = loaded.config.get("model"), loaded.config.get("origin")
    if isinstance(origin, dict) and {"format", "rule"} <= origin.keys():
        return replace(loaded, origin=str(origin["format"]), rule=str(origin["rule"]))
    kind = str(model.get("kind")) if isinstance(model, dict) else ""
    return replace(loaded, origin="zoo", rule=KIND_RULE.get(kind, "ast"))


def _read_known(name: Path, own: dict[str, Any], given: dict[str, Any]) -> Loaded:
    try:
        known = find(str(name))
    except CheckpointError as error:
        raise CheckpointError(f"{name}: there is no such folder or file - {error}") from None
    loaded = _read_foreign(fetch_with_bar(known), {}, {**known.own, **own}, given)
    config = {**loaded.config, "name": known.name}
    notes = [note for note in loaded.notes if not (known.front_end and note.startswith("front end assumed"))]
    if known.front_end:
        config["front_end"] = known.front_end
    if known.labels and len(known.labels) == loaded.model_config.num_classes:
        config["labels"] = list(known.labels)
    if known.task:
        config["task"] = known.task
    return replace(loaded, config=config, notes=tuple(notes))


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
    extra = {"config": config, "preprocessor": _json_of(path / PREPROCESSOR) or None}
    loaded = _read_foreign(files[0], extra, own, given)
    sidecar, note = read_sidecar(path, files[0], config, extra["preprocessor"])
    loaded = replace(loaded, notes=(*loaded.notes, note)) if note else loaded
    if sidecar is None:
        return loaded
    stated = {key: value for key, value in loaded.config["model"].items() if key in own}
    return _with_origin(replace(loaded, config={**sidecar, "model": {**sidecar["model"], **stated}}))


def _read_foreign(path: Path, extra: dict[str, Any], own: dict[str, Any], given: dict[str, Any]) -> Loaded:
    file = read_tensors(path)
    chosen, num_known = recognise(file.state.keys())
    if 2 * num_known <= len(file.state):
        some = ", ".join(sorted(file.state)[:4])
        raise CheckpointError(
            f"{path}: found {len(file.state)} tensors of no known format ({some}, ...); {num_known} would fit "
            f"{chosen.name} - expected AST, SSAST, PaSST, Hugging Face AST, DeiT, ViT, TorchOnlyAST or a zoo folder - "
            "see docs/coming-from.md"
        )
    try:
        described = chosen.describe(file.state, {**file.extra, **extra}, own, given)
        fields = {**described.config, **{key: value for key, value in own.items() if key != "kind"}}
        config = parse_model_config(fields)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"][1:])
        raise CheckpointError(
            f"{path} (looks like {chosen.name}): {where}: {first['msg']} - expected a geometry of this family - "
            "state what differs with own={...}"
        ) from None
    except (CheckpointError, ShapeError) as error:
        raise CheckpointError(f"{path} (looks like {chosen.name}): {error}") from None
    renamed = chosen.rename(file.state)
    chosen.place(renamed, config)
    _check_whole(path, chosen, renamed, config, described.pretraining)
    values = {
        "pretraining": described.pretraining,
        "model": config.model_dump(mode="json"),
        "front_end": described.front_end,
        "labels": described.labels,
        "task": described.task,
        "origin": {"format": chosen.name, "rule": chosen.rule},
    }
    notes = (f"{path.name}: {chosen.name}", *file.notes, *described.notes)
    return Loaded(path, values, renamed.state, chosen.name, chosen.rule, described.model, tuple(renamed.unused), notes)


def _check_whole(path: Path, chosen: Format, renamed: Renamed, config: ModelConfig, pretraining: bool) -> None:
    """Every tensor that the model of the file's own geometry has, in its shape, and no other."""
    expected = {
        name: tuple(tensor.shape)
        for name, tensor in build_on_meta(config, pretraining=pretraining).state_dict().items()
    }
    found = {name: tuple(tensor.shape) for name, tensor in renamed.state.items()}
    if chosen.rule == "image":
        kernel = "embedding.patch.proj.weight"
        if len(found.get(kernel, ())) == 4:  # any number of channels: they are added up later
            expected[kernel] = (expected[kernel][0], found[kernel][1], *expected[kernel][2:])
        if "embedding.prefix.dist_token" not in found:
            expected["embedding.prefix.position"] = expected.pop("embedding.prefix.dist_token")

    def theirs(name: str) -> str:
        plain = name.removeprefix(BACKBONE)
        plain = "pos_embed" if plain in ("embedding.position.table", "embedding.prefix.position") else plain
        key = renamed.came_from.get(name) or chosen.keys.from_zoo(plain) or chosen.keys.from_zoo(name)
        return key or name

    missing = sorted({theirs(name) for name in expected.keys() - found.keys()})
    unexpected = sorted(renamed.came_from.get(name, name) for name in found.keys() - expected.keys())
    misshapen = sorted(
        f"{theirs(name)} {found[name]} instead of {expected[name]}"
        for name in found.keys() & expected.keys()
        if found[name] != expected[name]
    )
    parts = [
        f"{what}: {', '.join(names)}"
        for what, names in (("missing", missing), ("unexpected", unexpected), ("misshapen", misshapen))
        if names
    ]
    if parts:
        raise CheckpointError(
            f"{path}: looks like {chosen.name}, and does not fit it - {'; '.join(parts)} - expected a whole checkpoint "
            "of that family - fetch it again, or state what differs with own={...}"
        )


def _json_of(path: Path) -> dict[str, Any]:
    """A JSON mapping; empty when the file is missing, damaged or something else."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
