"""Every recipe that the zoo ships, found by glob: it reads, says what it is, builds, and trains two steps."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from zoo.models.cost import build_on_meta, num_parameters
from zoo.recipe import Recipe, dump_recipe, head_comment, parse_recipe, read_recipe, recipes_folder
from zoo.run import train

RECIPES = sorted(recipes_folder().rglob("*.yaml"))
SECTIONS = [
    "model",
    "init",
    "front_end",
    "data",
    "augment",
    "objective",
    "optim",
    "schedule",
    "train",
    "evaluate",
    "log",
]
BY_NAME = pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.relative_to(recipes_folder()).as_posix())


def test_there_are_recipes() -> None:
    names = {path.relative_to(recipes_folder()).as_posix() for path in RECIPES}
    assert {"quickstart/pretrain.yaml", "pretrain/ssast-patch-base.yaml", "finetune/folder/ast-base.yaml"} <= names


@BY_NAME
def test_it_says_what_it_is(path: Path) -> None:
    text = path.read_text()
    comment = head_comment(text)
    for word in ("What:", "Data:", "Hardware:", "Result:", "Command:"):
        assert word in comment, f"the head comment lacks '{word}'"
    assert f"recipes/{path.relative_to(recipes_folder()).as_posix()}" in comment
    missing = [section for section in SECTIONS if f"\n{section}:" not in text]
    assert not missing, f"a recipe is complete; it lacks {missing}"


@BY_NAME
def test_what_is_resolved_replays_it(path: Path) -> None:
    recipe = read_recipe(path)
    assert parse_recipe(dump_recipe(recipe), "again") == recipe


@BY_NAME
def test_the_model_is_built_without_memory(path: Path) -> None:
    recipe = read_recipe(path)
    pretraining = recipe.objective.kind == "masked-patch"
    assert num_parameters(build_on_meta(recipe.model, pretraining=pretraining)) > 1_000


def _shrunk(recipe: Recipe, data: Path) -> Recipe:
    """The same choices with the smallest numbers, on a folder of tones."""
    fields: Any = recipe.model.model_dump()
    for key, value in {"embed_dim": 24, "depth": 1, "num_heads": 3, "n_frames": 64}.items():
        if key in fields:
            fields[key] = value
    if recipe.model.kind == "passt":
        fields |= {"patchout_freq": 1, "patchout_time": 1}
    if "num_masked" in fields:
        fields["num_masked"] = 0.5
    section: Any = {
        **recipe.model_dump(by_alias=True, exclude_unset=True),
        "model": {key: value for key, value in fields.items() if key != "num_classes"},
        "train": {"steps": 2, "batch_size": 4, "precision": "fp32", "device": "cpu"},
        "evaluate": {"every_clips": 4, "metric": recipe.evaluate.metric, "batch_size": 4},
    }
    section["data"] = {**section["data"], "train": str(data), "eval": str(data), "num_workers": 0}
    section["schedule"] = {**section["schedule"], "warmup_clips": 0.5}
    return Recipe.model_validate(section)


@BY_NAME
def test_two_steps_on_synthetic_audio(path: Path, tone_folder: Callable[..., Path], tmp_path: Path) -> None:
    recipe = read_recipe(path)
    if recipe.objective.kind == "classification":
        assert recipe.data.task is not None
    command = "pretrain" if recipe.objective.kind == "masked-patch" else "finetune"
    summary = train(_shrunk(recipe, tone_folder()), tmp_path / "run", command=command)
    assert summary["steps"] == 2
    assert summary["clips"] == 8
    assert all(torch.tensor(float(v)).isfinite() for v in summary["metrics"].values())
