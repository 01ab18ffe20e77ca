"""What the README tells a stranger to type is what there is."""

import re
import shlex
from pathlib import Path

import pytest
from typer.main import get_command

from zoo.cli import app
from zoo.recipe import find_recipe

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
COMMANDS = [
    shlex.split(line, comments=True)
    for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
    if line.startswith("zoo ")
]


def test_the_two_commands_stand_at_the_top() -> None:
    quickstart, tests = re.findall(r"```sh\n(python3 -m venv .*?)\n```", README)
    assert quickstart.endswith(".venv/bin/zoo quickstart")
    assert tests.endswith(".venv/bin/python -m pytest -n 2 --dist worksteal")
    for command in (quickstart, tests):
        assert "-c constraints.txt" in command
    assert README.index(tests) < README.index("## ")


def test_the_gate_runs_the_readmes_tests() -> None:
    gate = (ROOT / ".ci/run").read_text()
    assert "--constraint constraints.txt --editable '.[dev,quickstart]'" in gate
    assert gate.rstrip().endswith("python -m pytest -n 2 --dist worksteal")


def test_readme_names_commands() -> None:
    assert {command[1] for command in COMMANDS} >= {
        "quickstart",
        "check",
        "pretrain",
        "finetune",
        "evaluate",
        "compare",
    }


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: " ".join(words[:3]))
def test_its_commands_parse(words: list[str]) -> None:
    """Options and their number fit the command, and recipes that are named exist."""
    program = get_command(app)
    command = program.commands[words[1]]
    command.make_context(words[1], words[2:], resilient_parsing=False)
    for word in words[2:]:
        if word.startswith(("recipes/", "quickstart/")) and "=" not in word:
            assert find_recipe(word).is_file()


def test_every_command_has_help_with_an_example() -> None:
    for name, command in get_command(app).commands.items():
        assert "Example:" in (command.help or ""), name


def test_files_it_links_to_are_there() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        if "://" not in target:
            assert (ROOT / target).exists(), target
