"""`zoo convert`: any checkpoint as our own folder, as a Hugging Face folder, or as a `.pth` of the released code.

What is written is what `zoo.load` gives, in the geometry that was asked for. Nothing appears under its name before
it is whole.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from zoo.errors import CheckpointError, RecipeError
from zoo.models.masked_patch import MaskedPatchModel
from zoo.train.checkpoint import save_checkpoint
from zoo.weights.adapt import AdaptConfig
from zoo.weights.load import load
from zoo.weights.loaded import Loaded
from zoo.weights.source import KIND_RULE, read
from zoo.weights.to_hugging_face import write_hugging_face
from zoo.weights.to_official import write_official

TARGETS = ("zoo", "hf", "official")

_LOAD_OPTIONS = (*AdaptConfig.model_fields, "pretraining", "own")
_MODULES = ("source", "head", "aggregator")  # keywords of `zoo.load` too, whose values are no plain text


def convert(
    source: str | Path,
    out: str | Path,
    to: str = "zoo",
    overrides: Mapping[str, Any] | None = None,
    bare: bool = False,
) -> dict[str, Any]:
    """Writes a checkpoint in another format, in another geometry, or both.

    Args:
        source: anything that `zoo.load` takes.
        out: a new or empty folder; for "official" a new file that ends in .pth or .pt.
        to: "zoo" for our checkpoint folder, "hf" for one that `transformers.ASTForAudioClassification` and
            `ASTFeatureExtractor` load, "official" for a file that the released class loads strictly.
        overrides: keywords of `zoo.load`: fields of the model, how to adapt, `own`. What the source has not got, such
            as a head for other classes, is drawn from a fixed seed.
        bare: for "official", leave out the `module.` with which the released AST and SSAST write every name.

    Returns:
        path, format, kind, pretraining; notes: what was assumed, adapted and left out; max_difference: of our outputs
        and those that the other code's LayerNorm epsilons give (`zoo.weights.epsilon`), 0.0 when they are the same.

    Raises:
        CheckpointError: a source that cannot be read, a model that the format has no place for, `out` in use.
        RecipeError: fields that do not exist or contradict each other.
    """
    overrides, out = dict(overrides or {}), Path(out)
    _check_request(out, to, overrides, bare)
    asked = {key: value for key, value in overrides.items() if key not in _LOAD_OPTIONS and value is not None}
    loaded = read(source, overrides.get("own"), asked)
    if loaded.is_image and "num_classes" not in asked:
        overrides["num_classes"] = 0  # an image model's classes are no sounds
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model: Any = load(loaded, **overrides)
    config = _describe(model, loaded)
    notes: list[str] = []
    difference = 0.0
    if to == "hf":
        notes, difference = write_hugging_face(out, model, config)
    elif to == "official":
        notes, difference = write_official(out, model, bare)
    else:
        # A folder remembers how it came about: a head that was never trained must not look like one that was.
        told = model.load_notes if loaded.is_released else model.load_notes[len(loaded.notes) :]
        save_checkpoint(out, model.state_dict(), config | ({"notes": list(told)} if told else {}))
    return {
        "path": str(out),
        "format": to,
        "kind": model.config.kind,
        "pretraining": config["pretraining"],
        "notes": [*model.load_notes, *notes],
        "max_difference": difference,
    }


def _check_request(out: Path, to: str, overrides: Mapping[str, Any], bare: bool) -> None:
    if to not in TARGETS:
        raise RecipeError(f"convert: found the format {to!r} - expected one of {', '.join(TARGETS)} - choose one")
    if bare and to != "official":
        raise RecipeError(f"convert: found bare for {to!r} - expected it for 'official' alone - leave it out")
    for key in _MODULES:
        if key in overrides:
            raise RecipeError(
                f"convert: found {key} - expected a field of the model - num_classes=0 leaves the head out"
            )
    pretraining, own = overrides.get("pretraining"), overrides.get("own")
    if not isinstance(pretraining, bool | None):
        raise RecipeError(f"convert: pretraining: found {pretraining!r} - expected true or false - write one of them")
    if not isinstance(own, Mapping | None):
        raise RecipeError(f"convert: own: found {own!r} - expected fields - write own.num_heads=3")
    if to == "official" and out.suffix not in (".pth", ".pt"):
        raise CheckpointError(f"{out}: found no .pth at its end - expected the name of a file - write {out}.pth")
    is_folder = out.is_dir()
    if is_folder and to != "official":
        inside = sorted(entry.name for entry in out.iterdir())
        if inside:
            raise CheckpointError(f"{out}: found a folder with {inside[0]} in it - expected a new one - choose another")
    elif is_folder or out.exists() or out.is_symlink():
        what = "folder" if is_folder else "file"
        raise CheckpointError(f"{out}: found a {what} of that name - expected a new one - choose another")


def _describe(model: Any, loaded: Loaded) -> dict[str, Any]:
    """The content of our `config.json`: the source's, as far as it still holds."""
    before, is_pretraining = loaded.model_config, isinstance(model, MaskedPatchModel)
    has_own_head = not is_pretraining and loaded.has_head_for(model.config)
    config = {
        **loaded.config,
        "pretraining": is_pretraining,
        "model": model.config.model_dump(mode="json"),
        "labels": list(model.labels) if model.labels else None,
        "task": loaded.config.get("task") if has_own_head else None,
    }
    if not model.labels:  # other words for names that are gone
        config = {key: value for key, value in config.items() if key not in ("label_aliases", "label_indices")}
    if loaded.is_released:  # so that other positions follow the released rule later too
        is_its_own = model.config.kind == before.kind and not loaded.is_image
        rule = loaded.rule if is_its_own else KIND_RULE.get(model.config.kind, "ast")
        config["origin"] = {"format": loaded.origin, "rule": rule}
    return config
