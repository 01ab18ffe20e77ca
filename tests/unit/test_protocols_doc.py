"""docs/protocols.md: its commands parse, its recipe texts are read, its metrics are those that there are."""

import re
import shlex
from pathlib import Path

import pytest
import torch
import yaml
from typer.main import get_command

from zoo.cli import app
from zoo.evaluate.metrics import classification_metrics
from zoo.recipe import dump_recipe, find_recipe, parse_recipe

TEXT = (Path(__file__).parents[2] / "docs/protocols.md").read_text(encoding="utf-8")
COMMANDS = [
    shlex.split(line) for block in re.findall(r"```sh\n(.*?)```", TEXT, flags=re.DOTALL) for line in block.splitlines()
]
BLOCKS = re.findall(r"```yaml\n(.*?)```", TEXT, flags=re.DOTALL)


def test_there_is_something_to_test() -> None:
    assert len(COMMANDS) >= 7
    assert len(BLOCKS) == 2


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_command_parses(words: list[str]) -> None:
    assert words[0] == "zoo"
    command = get_command(app).commands[words[1]]  # type: ignore[attr-defined]
    command.make_context(words[1], words[2:], resilient_parsing=False)
    for word in words[2:]:
        if word.startswith(("recipes/", "quickstart/")):
            assert find_recipe(word).is_file()


@pytest.mark.parametrize("block", BLOCKS)
def test_a_block_is_part_of_a_recipe(block: str) -> None:
    length = "" if "train" in yaml.safe_load(block) else "train: {epochs: 30}\n"
    text = f"name: x\nmodel: {{kind: cnn}}\nobjective: {{kind: classification}}\n{length}{block}"
    recipe = parse_recipe(text, "protocols.md", for_training=True)
    assert parse_recipe(dump_recipe(recipe), "again") == recipe


def test_every_metric_is_defined() -> None:
    for name in classification_metrics(torch.randn(6, 3), torch.eye(3)[[0, 1, 2] * 2], "single-label"):
        assert f"`{name}`" in TEXT


def test_a_selected_epoch_flatters_by_what_the_document_says() -> None:
    """The best of 25 draws with a deviation of one point is about two points above their mean."""
    draws = torch.randn(20_000, 25, generator=torch.Generator().manual_seed(0))
    assert draws.amax(dim=1).mean().item() == pytest.approx(2.0, abs=0.05)
