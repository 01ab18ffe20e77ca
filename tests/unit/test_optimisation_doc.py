"""docs/optimisation.md: every block is a part of a recipe, and every field has its row and its default."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from zoo.recipe import Recipe, dump_recipe, parse_recipe
from zoo.train.averaging import EmaConfig, EpochsConfig, SwaConfig
from zoo.train.length import Length
from zoo.train.optim import AdamConfig, AdamWConfig
from zoo.train.schedule import ConstantConfig, CosineConfig, PasstConfig, StepConfig

TEXT = (Path(__file__).resolve().parents[2] / "docs/optimisation.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
FRAME = """\
name: tiny
model: {kind: ast, embed_dim: 16, depth: 6, num_heads: 2}
data: {task: single-label}
objective: {kind: classification}
"""


def _recipe(block: str) -> Recipe:
    return parse_recipe(FRAME + block, "docs/optimisation.md")


def test_there_are_blocks() -> None:
    assert len(BLOCKS) == 14


@pytest.mark.parametrize("block", BLOCKS)
def test_a_block_is_a_part_of_a_recipe_that_can_be_built(block: str) -> None:
    recipe = _recipe(block)
    assert parse_recipe(dump_recipe(recipe), "again") == recipe
    assert yaml.safe_load(block).keys() <= {"optim", "schedule", "train"}
    model = recipe.model.build()
    recipe.optim.build(model)
    recipe.train.average.build(model)
    epochs, batch_size = recipe.train.epochs or 1, recipe.train.batch_size
    steps = recipe.train.steps or 2_000 * epochs
    schedule = recipe.schedule.build(Length(steps * batch_size, batch_size, steps // epochs * batch_size))
    assert 0 <= schedule(0) <= 1


def test_the_released_optimisers() -> None:
    """5e-7 in the gradient of all parameters for AST and SSAST; AdamW, 1e-4 of everything for PaSST."""
    released = [_recipe(block).optim for block in BLOCKS[:11]]
    assert [optim.kind for optim in released] == ["adam"] * 8 + ["adamw"] * 3
    assert all(optim.decay == "all" for optim in released)
    assert {optim.weight_decay for optim in released[:7]} == {5e-7}
    assert {optim.betas for optim in released[:7]} == {(0.95, 0.999)}
    assert {optim.weight_decay for optim in released[8:]} == {1e-4}
    assert {optim.betas for optim in released[8:]} == {(0.9, 0.999)}


def _defaults(*configs: type[Any]) -> dict[str, str]:
    """As the document writes them; of a field that several have, the first one's."""
    found: dict[str, str] = {}
    for config in configs:
        for name, field in config.model_fields.items():
            value = list(field.default) if isinstance(field.default, tuple) else field.default
            text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False).splitlines()[0]
            found.setdefault(name, f"`{text}`")
    return found


def _rows() -> list[dict[str, str]]:
    """Field to default, of every table in turn."""
    tables = re.findall(r"(?:^\|.*\|\n)+", TEXT, re.MULTILINE)
    return [dict(re.findall(r"^\| `(\w+)` \| (`[^`]*`) \|", table, re.MULTILINE)) for table in tables]


def test_every_field_has_its_row_and_default() -> None:
    optim, cosine, step, passt, average = _rows()
    assert optim == _defaults(AdamWConfig, AdamConfig)
    assert f"Of `adam`: `{AdamConfig().weight_decay}`" in TEXT
    for table, config in ((cosine, CosineConfig), (step, StepConfig), (passt, PasstConfig)):
        assert table == {name: default for name, default in _defaults(config).items() if name != "kind"}
    assert set(ConstantConfig.model_fields) == {"kind", "warmup_clips"}
    assert not average  # its defaults stand in one cell, see below
    for config in (EmaConfig, SwaConfig):
        values = [f"`{name}: {str(value).lower()}`" for name, value in config().model_dump().items() if name != "kind"]
        assert f"| `{config().kind}` | {', '.join(values)} |" in TEXT
    assert [name for name in EpochsConfig.model_fields if name != "kind"] == ["first", "last"]


def test_the_shares_that_the_document_states() -> None:
    assert "the input learns at 2.4 % of `lr`, the lowest block at 3.2 %, the highest at 75 %" in TEXT
    assert [round(100 * 0.75**n, 1) for n in (13, 12, 1)] == [2.4, 3.2, 75.0]
    factor = PasstConfig().build(Length(1000, 10, 100))
    assert [round(100 * factor(100 * epoch), 1) for epoch in range(5)] == [1.7, 4.1, 16.5, 44.9, 81.9]
