"""Every recipe that the zoo ships, found by glob: reads, says what it is, builds, and trains two steps as written."""

import functools
import re
import shlex
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.recipes.conftest import SMALL, batch_size_of, clips_for
from zoo.models.cost import build_on_meta, num_parameters
from zoo.recipe import (
    Recipe,
    dump_recipe,
    head_comment,
    parse_recipe,
    read_recipe,
    recipe_differences,
    recipe_files,
    recipes_folder,
    resolved,
)
from zoo.run import train
from zoo.train.checkpoint import load_trainer
from zoo.train.interrupt import Interrupted
from zoo.train.plan import Report
from zoo.use.evaluate import evaluate_checkpoint

RECIPES = recipe_files()
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
# What a recipe may differ in from its file when it is tried: depth, width, batches, data, and where weights lie. Clips
# keep their length too.
MAY_SHRINK = {
    *("model.embed_dim", "model.num_heads", "model.depth", "train.batch_size", "evaluate.batch_size"),
    *("data.train", "data.eval", "data.test", "data.sampling.clips_per_epoch"),
    *("init.from", "train.device", "data.num_workers"),
}


@functools.cache
def _recipe(path: Path) -> Recipe:
    return read_recipe(path)


def test_there_are_recipes() -> None:
    names = {path.relative_to(recipes_folder()).as_posix() for path in RECIPES}
    assert {"quickstart/pretrain.yaml", "pretrain/ssast-patch-base.yaml", "finetune/folder/ast-base.yaml"} <= names


def test_every_name_is_given_once() -> None:
    """Names are folders of runs, and rows of a comparison."""
    names = [_recipe(path).name for path in RECIPES]
    assert len(set(names)) == len(names)


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
    recipe = _recipe(path)
    assert parse_recipe(dump_recipe(recipe), "again") == recipe


@BY_NAME
def test_the_model_is_built_without_memory(path: Path) -> None:
    recipe = _recipe(path)
    pretraining = recipe.objective.kind == "masked-patch"
    assert num_parameters(build_on_meta(recipe.model, pretraining=pretraining)) > 1_000


def _commands(path: Path) -> list[list[str]]:
    """The commands of the head comment that name the recipe, as a shell would read them."""
    comment = re.sub(r"\\\n\s*", " ", head_comment(path.read_text()))
    name = f"recipes/{path.relative_to(recipes_folder()).as_posix()}"
    found = re.findall(rf"zoo \w+ {re.escape(name)}(?:[^'\n]|'[^']*')*", comment)
    return [shlex.split(one) for one in found]


@BY_NAME
def test_its_commands_are_overrides_of_it(path: Path) -> None:
    commands = _commands(path)
    assert commands
    for words in commands:
        overrides = [word for word in words[3:] if re.match(r"[a-z_.]+=", word)]
        recipe = read_recipe(path, overrides, for_training=words[1] != "crossval")
        assert recipe.data.train, words
        expected = "pretrain" if recipe.objective.kind == "masked-patch" else "finetune"
        assert words[1] in (expected, "crossval")


def _shrunk(recipe: Recipe, manifest: Callable[..., str], small_weights: Callable[[str], Path]) -> Recipe:
    """The same recipe for a model of one narrow layer, two clips a step, on a few seconds of sound."""
    values: Any = resolved(recipe)
    several = recipe.data.task == "multi-label"
    num_train = clips_for(recipe)
    values["model"] |= {key: value for key, value in SMALL.items() if key in values["model"]}
    values["train"] |= {"batch_size": batch_size_of(recipe), "device": "cpu"}
    values["evaluate"] |= {"batch_size": 4}
    values["data"] |= {"train": manifest("train", num_train, several), "num_workers": 0}
    if recipe.data.validation is None:
        values["data"] |= {"eval": manifest("eval", 4, several)}
    values["data"] |= {"test": manifest("test", 4, several)}
    if "clips_per_epoch" in values["data"]["sampling"]:
        drawn = recipe.data.sampling.clips_in_epoch(num_train)
        values["data"]["sampling"]["clips_per_epoch"] = min(drawn, num_train)
    if recipe.init.path is not None:
        values["init"]["from"] = str(small_weights(recipe.init.path))
    return Recipe.model_validate(yaml.safe_load(yaml.safe_dump(values)))


@BY_NAME
def test_two_steps_as_written(
    path: Path, manifest: Callable[..., str], small_weights: Callable[[str], Path], tmp_path: Path
) -> None:
    """With the length, schedule and average of the file, and a Ctrl-C after two steps; then an evaluation."""
    recipe = _recipe(path)
    shrunk = _shrunk(recipe, manifest, small_weights)
    changed = {key for key, _, _ in recipe_differences(recipe, shrunk)}
    assert changed <= MAY_SHRINK

    def stop(report: Report) -> None:
        if report.step == 1:
            signal.raise_signal(signal.SIGINT)  # the next step is the last one

    is_pretraining = recipe.objective.kind == "masked-patch"
    out = tmp_path / "run"
    with pytest.raises(Interrupted) as stopped:
        train(shrunk, out, command="pretrain" if is_pretraining else "finetune", on_progress=stop)
    assert f"after {2 * shrunk.train.batch_size} clips" in str(stopped.value)
    ran = read_recipe(out / "recipe.yaml")
    assert {key for key, _, _ in recipe_differences(recipe, ran)} <= MAY_SHRINK
    state = load_trainer(out / "checkpoints" / "last")
    assert state["progress"]["step"] == 2
    assert state["progress"]["skipped"] == 0
    assert (state["average"] is not None) == (recipe.train.average.kind != "none")
    if not is_pretraining:
        test = shrunk.data.test
        assert test is not None
        report = evaluate_checkpoint(out / "checkpoints" / "last", test[0].path, batch_size=4)
        assert report["num_eval_clips"] == 4
        assert report["windows"].items() >= recipe.windows.model_dump(mode="json").items()
