"""docs/pretraining.md: its commands run as they stand, starts fit their recipes, and its keys have these defaults."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from zoo.cli import app
from zoo.recipe import Recipe, find_recipe, parse_recipe, read_recipe, resolved
from zoo.weights.catalogue import catalogue

DOCS = Path(__file__).resolve().parents[2] / "docs"
TEXT = (DOCS / "pretraining.md").read_text(encoding="utf-8")
COMMANDS = [
    shlex.split(line, comments=True)
    for block in re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
    for line in block.splitlines()
    if line.startswith("zoo ")
]
TRAININGS = [words for words in COMMANDS if words[1] in ("pretrain", "finetune")]
KEYS = re.findall(r"^\| (`[a-z]+\.[^|]*`) \| (`[^|]*`) \| [^|]+ \|$", TEXT, re.M)


def _run(words: list[str]) -> Recipe:
    return read_recipe(words[2], [word for word in words[3:] if re.match(r"[a-z_.]+=", word)], for_training=True)


def _name(words: list[str]) -> str:
    return words[words.index("--out") + 1]


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: " ".join(words[1:3]))
def test_its_commands_parse(words: list[str]) -> None:
    get_command(app).commands[words[1]].make_context(words[1], words[2:], resilient_parsing=False)


@pytest.mark.parametrize("words", TRAININGS, ids=_name)
def test_its_trainings_are_of_recipes(words: list[str]) -> None:
    recipe = _run(words)
    assert recipe.data.train
    assert (recipe.objective.kind == "masked-patch") == (words[1] == "pretrain")


STARTS = [words for words in TRAININGS if _run(words).init.path is not None]


@pytest.mark.parametrize("words", STARTS, ids=_name)
def test_a_start_is_of_the_size_and_front_end_of_its_recipe(words: list[str]) -> None:
    """Of a run that the document trains before, or of a published checkpoint."""
    recipe: Any = _run(words)
    made = {_name(one): _run(one) for one in TRAININGS[: TRAININGS.index(words)]}
    source: Any = made.get(recipe.init.path)
    known = None if source else catalogue()[recipe.init.path]
    for field in ("embed_dim", "depth", "num_heads"):
        there = getattr(source.model, field) if source else known and known.own[field]
        assert getattr(recipe.model, field) == there
    if source:
        assert recipe.front_end == source.front_end
    elif known and known.front_end:
        assert recipe.front_end.model_dump().items() >= {"normalise": "dataset", "kind": "ast"}.items()


def test_there_are_commands_and_keys() -> None:
    assert len(COMMANDS) >= 11
    assert len(STARTS) == 5
    assert len(KEYS) >= 15


@pytest.mark.parametrize(("keys", "defaults"), KEYS)
def test_keys_have_the_defaults_that_it_says(keys: str, defaults: str) -> None:
    frame = "{name: x, model: {kind: ssast, embed_dim: 16, depth: 1, num_heads: 2}, train: {epochs: 1}}"
    recipe: Any = resolved(parse_recipe(frame.replace("train:", "objective: {kind: masked-patch}, train:"), "x"))
    names, values = re.findall(r"`([^`]+)`", keys), re.findall(r"`([^`]+)`", defaults)
    assert len(names) == len(values)
    for name, value in zip(names, values, strict=True):
        section, key = name.split(".")
        assert recipe[section][key] == yaml.safe_load(value), name


def test_what_it_links_to_is_there() -> None:
    for target in re.findall(r"\]\(([^)]+)\)", TEXT):
        file, _, part = target.partition("#")
        assert (DOCS / file).is_file(), target
        if part:
            titles = re.findall(r"^#+ (.*)$", (DOCS / file).read_text(encoding="utf-8"), re.M)
            assert part in {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}, target


def test_recipes_in_its_table_are_there() -> None:
    for name in re.findall(r"recipes/pretrain/([\w-]+)\.yaml", TEXT):
        assert find_recipe(f"pretrain/{name}").is_file()
