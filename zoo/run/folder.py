"""What a run keeps on the disk: its recipe, and what its checkpoints say about themselves."""

import logging
from pathlib import Path
from typing import Any

from torch import nn

from zoo import __version__, disk
from zoo.config import differences
from zoo.data.labels import LabelTable
from zoo.data.manifest import SourceConfig
from zoo.data.sampling import WeightedConfig
from zoo.data.written import write_label_table
from zoo.errors import CheckpointError, DataError, RecipeError
from zoo.recipe import Recipe, dump_recipe, parse_recipe, recipe_differences
from zoo.run.balance import weights_hash
from zoo.run.data import FoundData, RunData
from zoo.train.checkpoint import latest
from zoo.weights.load import initialise
from zoo.weights.loaded import Loaded
from zoo.weights.source import read

RECIPE = "recipe.yaml"
LABELS = "labels.csv"
_LOG = logging.getLogger("zoo.weights")
_RUN_LOG = logging.getLogger("zoo.run")
FRONT_END_MAY_DIFFER = ("mean", "std", "n_mels")
"""Of a checkpoint's front end and a recipe's: the data set's statistics, and the bands, to which positions adapt."""
MAY_CHANGE_ON_RESUME = (
    *("data.num_workers", "data.max_bad_share", "log.", "train.device"),
    *("train.accumulate", "train.activation_checkpointing", "train.compile", "train.on_nonfinite"),
    *("evaluate.batch_size", "evaluate.probe", "train.precision"),
)
"""What leaves the meaning of a run as it is; some of it moves the last bits. Of train.precision only the word may
change: `zoo.train.session` holds what it comes to against the checkpoint's."""


def check_folder(recipe: Recipe, out: Path, resume: bool) -> Path | None:
    """The checkpoint in a run folder to go on from, if any; writes nothing.

    Raises:
        RecipeError: the folder is in use and `resume` was not asked for, or holds another run or something else.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return None
    if out.is_file():
        raise RecipeError(f"{out}: a file - expected a folder for the run - choose another --out")
    written = out / RECIPE
    if not resume:
        cure = "add --resume to go on with the run in it, or " if written.is_file() else ""
        raise RecipeError(f"{out}: not empty - expected a new run folder - {cure}choose another with --out")
    if not written.is_file():
        raise RecipeError(f"{out}: holds no run (no {RECIPE}) - expected a run or a new folder - choose another --out")
    found = latest(out / "checkpoints")
    if found is None:
        return None  # nothing was saved, so nothing depends on the recipe there
    before = parse_recipe(written.read_text(encoding="utf-8"), str(written))
    told = {key: f"{key} was {old!r} and is {new!r} now" for key, old, new in recipe_differences(before, recipe)}
    changed = [what for key, what in told.items() if not key.startswith(MAY_CHANGE_ON_RESUME)]
    if told and not changed:
        _RUN_LOG.warning("%s: going on with a changed recipe: %s", out, "; ".join(told.values()))
    if changed:
        raise RecipeError(
            f"{out}: the recipe has changed since this run began ({'; '.join(changed)}) - expected the same - "
            "put it back, or start a new run with --out, from these weights with init.from"
        )
    return found


def write_description(recipe: Recipe, labels: LabelTable | None, out: Path) -> None:
    """Makes the run folder, with the resolved recipe in it, and the label table: for people, other tools, and
    `data.labels` of other recipes. Raises RecipeError when it cannot be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        written, text = out / RECIPE, dump_recipe(recipe)
        if not written.is_file() or written.read_text(encoding="utf-8") != text:
            with disk.written_whole(written) as file:
                file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise RecipeError(
            f"{out}: cannot be written ({error.strerror}) - expected a folder - choose another --out"
        ) from None
    if labels is not None:
        write_label_table(out / LABELS, labels)


def start_from(model: nn.Module, recipe: Recipe, data: RunData) -> dict[str, Any]:
    """Loads `init.from` into a fresh model, and says where the weights come from and what they cost.

    A classifier comes along only when it was trained for the same labels in the same order.
    """
    assert recipe.init.path is not None
    source = read_init(recipe)
    front_end_notes = check_front_end(recipe, source)
    for note in front_end_notes:
        _LOG.info("%s", note)
    labels = data.found.labels
    with_head = labels is not None and source.config.get("labels") == list(labels.names)
    report = initialise(model, source, with_head, recipe.init)
    config = source.config
    history = list(config.get("history", []))
    if history:
        history[-1] = {**history[-1], "clips": config.get("clips", 0), "seconds": config.get("seconds", 0.0)}
    return {
        "from": recipe.init.path,
        "name": history[-1]["name"] if history else None,
        "clips": sum(entry["clips"] for entry in history),
        "seconds": sum(entry["seconds"] for entry in history),
        "notes": [*front_end_notes, *report.notes],
        "history": history,
    }


def read_init(recipe: Recipe) -> Loaded:
    """The checkpoint that `init.from` names; the recipe's model says what its geometry may be."""
    assert recipe.init.path is not None
    return read(recipe.init.path, recipe.init.own, recipe.model.model_dump())


def check_same_data(config: dict[str, Any], recipe: Recipe, found: FoundData, out: Path) -> None:
    """Refuses to go on with other training clips: order and position in the data would mean something else.

    Raises:
        DataError: the manifest hash in the checkpoint's config is another one, or the labels, or the weights of clips.
    """
    entry = (config.get("history") or [{}])[-1]
    before = entry.get("train_manifest")
    advice = "expected the same - put them back, or start a new run with --out"
    if found.train is not None and before != found.train.hash:
        raise DataError(
            f"{out}: the training clips have changed since this run began (manifest hash {str(before)[:12]} then, "
            f"{found.train.hash[:12]} now) - {advice}"
        )
    if found.labels is not None and config.get("labels") != list(found.labels.names):
        raise DataError(f"{out}: the labels have changed since this run began, or their order - {advice}")
    if found.train is not None and entry.get("train_weights") != weights_hash(recipe, found.train):
        raise DataError(f"{out}: data.sampling.file has changed since this run began - {advice}")


def with_absolute_paths(recipe: Recipe) -> Recipe:
    """The same recipe, readable from any working directory."""

    def absolute(path: str) -> str:
        return str(Path(path).expanduser().absolute()) if Path(path).expanduser().exists() else path

    def sources(several: tuple[SourceConfig, ...] | None) -> tuple[SourceConfig, ...] | None:
        return several and tuple(one.model_copy(update={"path": absolute(one.path)}) for one in several)

    changes: dict[str, Any] = {name: sources(getattr(recipe.data, name)) for name in ("train", "eval", "test")}
    if isinstance(recipe.data.labels, str):
        changes["labels"] = absolute(recipe.data.labels)
    if isinstance(recipe.data.sampling, WeightedConfig):
        file = absolute(recipe.data.sampling.file)
        changes["sampling"] = recipe.data.sampling.model_copy(update={"file": file})
    sections: dict[str, Any] = {"data": recipe.data.model_copy(update=changes)}
    if recipe.init.path is not None:
        sections["init"] = recipe.init.model_copy(update={"path": absolute(recipe.init.path)})
    if recipe.evaluate.probe is not None:
        probe = recipe.evaluate.probe
        found: dict[str, Any] = {name: sources(getattr(probe, name)) for name in ("train", "test")}
        if isinstance(probe.labels, str):
            found["labels"] = absolute(probe.labels)
        sections["evaluate"] = recipe.evaluate.model_copy(update={"probe": probe.model_copy(update=found)})
    return recipe.model_copy(update=sections)


def check_front_end(recipe: Recipe, source: Loaded) -> list[str]:
    """How the recipe's front end differs from the one that the weights were trained behind, a line a field.

    Raises:
        CheckpointError: in what `init.front_end: same` forbids; says what to set.
    """
    if source.front_end is None:
        return []
    found = differences(source.front_end, recipe.front_end)
    refused = [field for field in found if field not in FRONT_END_MAY_DIFFER]
    if refused and recipe.init.front_end == "same":
        kind = source.front_end.kind
        if "kind" in refused:
            cure = f"'front_end={{kind: {kind}}}'"
        else:
            cure = " ".join(f"front_end.{field}={_as_typed(found[field][0])}" for field in refused)
        told = "; ".join(f"{field}: {found[field][0]!r} there, {found[field][1]!r} here" for field in refused[:4])
        raise CheckpointError(
            f"init.from: {source.path} was trained behind another front end ({told}) - expected the same - set {cure}, "
            "or init.front_end=any to take the weights all the same"
        )
    return [f"front end: {field}: {there!r} there, {here!r} here" for field, (there, here) in found.items()]


def _as_typed(value: Any) -> str:
    """As a value stands after KEY=."""
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def checkpoint_config(recipe: Recipe, data: RunData, started_from: dict[str, Any] | None) -> dict[str, Any]:
    """The content of `config.json`: what the weights are, and every training they went through."""
    labels = data.found.labels
    history = list(started_from["history"]) if started_from else []
    history.append(
        {
            "name": recipe.name,
            "objective": recipe.objective.kind,
            "train_manifest": data.found.train.hash if data.found.train else None,
            "train_clips": data.found.num_train,
            "train_weights": weights_hash(recipe, data.found.train) if data.found.train else None,
        }
    )
    return {
        "format": 1,
        "zoo": __version__,
        "pretraining": recipe.objective.kind == "masked-patch",
        "model": data.found.model_config.model_dump(mode="json"),
        "front_end": data.front_end.config.model_dump(mode="json"),
        "padding": recipe.data.padding,
        "columns": recipe.data.columns,
        "windows": recipe.windows.model_dump(mode="json"),
        "select": recipe.evaluate.select,
        **(labels.as_config() if labels else {"labels": None, "task": None}),
        "init": started_from,
        "history": history,
    }
