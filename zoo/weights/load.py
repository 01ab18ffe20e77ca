"""From a run or checkpoint folder to a model: to use it, or to start another run from its weights."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from torch import Tensor, nn

from zoo.errors import CheckpointError, RecipeError
from zoo.models.registry import ModelConfig, build_model, parse_model_config
from zoo.train.checkpoint import load_checkpoint

_KEEP = object()
BACKBONE = "backbone."


@dataclass(frozen=True)
class Loaded:
    """What a checkpoint folder holds. `config` is the content of its `config.json`."""

    folder: Path
    config: dict[str, Any]
    state: dict[str, Tensor]

    @property
    def pretraining(self) -> bool:
        """True when the weights are those of a `MaskedPatchModel`."""
        return bool(self.config.get("pretraining", False))

    @property
    def model_config(self) -> ModelConfig:
        try:
            return parse_model_config(self.config["model"])
        except (KeyError, ValidationError) as error:
            why = "no 'model'" if isinstance(error, KeyError) else error.errors()[0]["msg"]
            raise CheckpointError(
                f"{self.folder / 'config.json'}: 'model' does not describe a model of this zoo ({why}) - "
                "expected the file that a zoo run wrote - was it edited?"
            ) from None


def find_checkpoint(path: str | Path) -> Path:
    """The checkpoint folder meant by a run folder (its `last`, whose metrics the summary has) or by one itself.

    `best` was chosen on the clips that the run evaluated on: whoever wants it, names `RUN/checkpoints/best`.
    """
    path = Path(path)
    if (path / "model.safetensors").is_file() or (path / "config.json").is_file():
        return path
    for name in ("last", "previous"):
        folder = path / "checkpoints" / name
        if (folder / "model.safetensors").is_file():
            return folder
    if not path.exists():
        found = "there is no such folder"
    elif path.is_file():
        found = "a file"
    else:
        names = sorted(entry.name for entry in path.iterdir())[:6]
        found = f"a folder with {', '.join(names) or 'nothing'} in it"
    raise CheckpointError(
        f"{path}: {found} - expected a run folder (with checkpoints/last) or a checkpoint folder "
        "(with model.safetensors and config.json)"
    )


def read(path: str | Path) -> Loaded:
    """Reads a run or checkpoint folder. Raises CheckpointError when it is missing or damaged."""
    folder = find_checkpoint(path)
    state, config = load_checkpoint(folder)
    return Loaded(folder, config, state)


def load(
    path: str | Path,
    *,
    num_classes: int | None = None,
    n_frames: int | None = None,
    head: Any = _KEEP,
    aggregator: Any = _KEEP,
    pretraining: bool | None = None,
) -> nn.Module:
    """A model with trained weights, in eval mode. `model.labels` names its outputs; None when they have no names.

    Args:
        path: a run folder or a checkpoint folder.
        num_classes: another number puts a fresh head on; None keeps the trained one. 0 leaves the head out.
        n_frames: a shorter input length keeps the first columns of the position table; a longer one is an error.
        head, aggregator: modules to put in place of the trained ones; None removes them.
        pretraining: True or False asks for the pretraining model or for its backbone; None gives a pretraining model
            as such only when nothing about it is changed.

    Raises:
        CheckpointError: nothing usable there, or weights that do not fit; every missing or extra key is named.
    """
    loaded = read(path)
    config = loaded.model_config
    changes: dict[str, Any] = {}
    if num_classes is not None and num_classes != config.num_classes:
        changes["num_classes"] = num_classes
    if n_frames is not None:
        changes["n_frames"] = n_frames
    changed = bool(changes) or head is not _KEEP or aggregator is not _KEEP
    keep_pretraining = loaded.pretraining and (not changed if pretraining is None else pretraining)
    if pretraining and not loaded.pretraining:
        raise CheckpointError(
            f"{loaded.folder}: holds a fine-tuned {config.kind} without pretraining heads - "
            "expected a pretraining checkpoint - load it with pretraining=False"
        )
    if loaded.pretraining and not keep_pretraining and "num_classes" not in changes:
        changes["num_classes"] = 0  # the pretraining model has no classifier whose weights could be loaded
    if changes:
        try:
            config = parse_model_config({**config.model_dump(), **changes})
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"][1:]) or ", ".join(changes)
            raise RecipeError(
                f"load: {where}: {first['msg']} - found {changes} - expected what fits the model"
            ) from None
    model: Any = build_model(config, pretraining=keep_pretraining)
    initialise(model, loaded, with_head="num_classes" not in changes)
    names = None if "num_classes" in changes or head is not _KEEP else loaded.config.get("labels")
    model.labels = tuple(names) if names else None
    if head is not _KEEP:
        model.head = head
    if aggregator is not _KEEP:
        model.aggregator = aggregator
    return model.eval()


@dataclass(frozen=True)
class InitReport:
    """What `initialise` did: names of the tensors that were loaded, and of those that stay freshly initialised."""

    loaded: tuple[str, ...]
    fresh: tuple[str, ...]
    unused: tuple[str, ...]


def initialise(model: nn.Module, source: Loaded, with_head: bool = False) -> InitReport:
    """Copies a checkpoint's weights into a model, of the same kind or from pretraining to fine-tuning.

    The backbone must fit key by key; a longer position table gives its first columns. The classifier (`head.*`) is
    copied, and must fit too, `with_head`; else it stays fresh, whatever its shape, for other labels may be meant.
    Pretraining heads are left out when the model has none.

    Raises:
        CheckpointError: naming every key that is missing, of another shape, or unknown.
    """
    chosen, unused = _matched(model, source, with_head)
    model.load_state_dict(chosen, strict=False)
    fresh = tuple(name for name in model.state_dict() if name not in chosen)
    return InitReport(tuple(chosen), fresh, tuple(unused))


def check_fit(model: nn.Module, source: Loaded) -> None:
    """Raises what `initialise` would, for a model that may be on the meta device."""
    _matched(model, source, with_head=False)


def _matched(model: nn.Module, source: Loaded, with_head: bool) -> tuple[dict[str, Tensor], list[str]]:
    """The checkpoint's tensors by the model's names, and the names that it has no use for."""
    target = model.state_dict()
    into_pretraining = any(name.startswith(BACKBONE) for name in target)
    state = dict(source.state)
    unused: list[str] = []
    if source.pretraining and not into_pretraining:
        unused = sorted(name for name in state if not name.startswith(BACKBONE))
        state = {name.removeprefix(BACKBONE): tensor for name, tensor in state.items() if name.startswith(BACKBONE)}
    elif into_pretraining and not source.pretraining:
        state = {BACKBONE + name: tensor for name, tensor in state.items()}

    def is_new(name: str) -> bool:
        if into_pretraining and not source.pretraining:
            return not name.startswith(BACKBONE)  # the pretraining heads start afresh
        return not with_head and name.startswith("head.")

    problems, chosen = [], {}
    for name, tensor in target.items():
        given = state.pop(name, None)
        if is_new(name):
            continue
        if given is not None and name.endswith("position.table"):
            given = given[:, : tensor.shape[1]]  # learned: (freq, time, D)
        elif given is not None and name.endswith("position.time"):
            given = given[: tensor.shape[0]]  # PaSST: (time, D)
        if given is None:
            problems.append(f"{name} is missing")
        elif given.shape != tensor.shape:
            problems.append(f"{name} is {tuple(given.shape)}, the model's is {tuple(tensor.shape)}")
        else:
            chosen[name] = given
    extra = sorted(name for name in state if not name.removeprefix(BACKBONE).startswith("head."))
    problems += [f"{name} has no place in the model" for name in extra]
    if problems:
        shown = "; ".join(problems[:8]) + (f"; and {len(problems) - 8} more" if len(problems) > 8 else "")
        raise CheckpointError(
            f"{source.folder}: its weights do not fit the model - {shown} - expected a checkpoint of the same kind, "
            "width, depth, patch and mel count, at least as long: change the recipe's model section to match"
        )
    return chosen, unused + sorted(state)
