"""docs/augmentation.md: every block is a part of a recipe, and every field has its row and its default."""

import re
from pathlib import Path

import pytest
import yaml

from zoo.audio.augment import AugmentConfig, MixupConfig
from zoo.recipe import Recipe, parse_recipe

TEXT = (Path(__file__).resolve().parents[2] / "docs/augmentation.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
FRAME = """\
name: tiny
model: {kind: ast, embed_dim: 16, depth: 1, num_heads: 2}
objective: {kind: classification}
train: {steps: 2}
"""


def _recipe(block: str) -> Recipe:
    """The block in a small recipe, which lacks only what is not about augmentation."""
    data = yaml.safe_load(block).get("data")
    text = FRAME + (block if data else f"{block}data: {{}}\n")
    return parse_recipe(text, "docs/augmentation.md", ["data.task=single-label"])


def test_there_are_blocks() -> None:
    assert len(BLOCKS) == 9


@pytest.mark.parametrize("block", BLOCKS)
def test_a_block_is_a_part_of_a_recipe(block: str) -> None:
    recipe = _recipe(block)
    assert recipe.augment.is_off == ("augment: {}" in block)
    if "padding: as_source" in block and "_mask" in block:
        assert recipe.augment.spec_augment == "as_source"


@pytest.mark.parametrize("config", [AugmentConfig, MixupConfig])
def test_every_field_has_its_row_and_default(config: type[AugmentConfig] | type[MixupConfig]) -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| (\S+) \|", TEXT, re.MULTILINE))
    for name, field in config.model_fields.items():
        default = "required" if field.is_required() else f"`{yaml.safe_dump(field.default).splitlines()[0]}`"
        assert rows[name] == default, name
    assert set(rows) == {*AugmentConfig.model_fields, *MixupConfig.model_fields}
