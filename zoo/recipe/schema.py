"""The JSON Schema of recipes, with which an editor completes keys, shows what they mean, and marks what is wrong.

Generated from the config classes; `recipes/recipe.schema.json` is this, and `zoo schema --out` writes it again. The
rules between keys are not in it: `zoo check` knows them all.
"""

import json
from typing import Any

from zoo.recipe.recipe import Recipe

SCHEMA_FILE = "recipe.schema.json"
"""Its name in the folder of the recipes."""
EDITOR_LINE = "# yaml-language-server: $schema="
"""How a recipe's first line begins that tells an editor where the schema is."""


def recipe_schema() -> dict[str, Any]:
    """The schema as plain values, of JSON Schema's draft 2020-12."""
    schema = _without_titles(Recipe.model_json_schema(by_alias=True))
    for union in _found("discriminator", schema):
        for reference in union["discriminator"]["mapping"].values():
            section = schema["$defs"][reference.rpartition("/")[2]]
            section["required"] = sorted({*section.get("required", []), union["discriminator"]["propertyName"]})
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Recipe of the spectrogram transformer zoo",
    }
    return head | schema


def schema_text() -> str:
    """The content of the file."""
    return json.dumps(recipe_schema(), indent=1, ensure_ascii=False) + "\n"


def _without_titles(part: Any) -> Any:
    """pydantic makes a title of every name, which an editor would show in front of the description."""
    if isinstance(part, dict):
        return {
            key: _without_titles(value)
            for key, value in part.items()
            if not (key == "title" and isinstance(value, str))
        }
    return [_without_titles(value) for value in part] if isinstance(part, list) else part


def _found(key: str, part: Any) -> list[dict[str, Any]]:
    """Every object inside that has the key."""
    inner = list(part.values()) if isinstance(part, dict) else part if isinstance(part, list) else []
    here = [part] if isinstance(part, dict) and key in part else []
    return here + [found for value in inner for found in _found(key, value)]
