"""The schema that editors use: up to date, well formed, for every recipe that comes along and against mistakes."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from zoo.cli import main
from zoo.recipe import Recipe, recipe_files, recipes_folder, resolved
from zoo.recipe.recipe import read_recipe
from zoo.recipe.schema import EDITOR_LINE, SCHEMA_FILE, recipe_schema
from zoo.recipe.strict_yaml import parse_document

RECIPES = recipe_files()
SCHEMA = recipe_schema()
TYPES: dict[str, Any] = {
    "object": dict,
    "array": list,
    "string": str,
    "number": int | float,
    "integer": int,
    "null": None,
}


def mistakes(value: Any, schema: dict[str, Any], where: str = "") -> Iterator[str]:
    """A small validator of the words that the schema uses, by the text of draft 2020-12; another word is a KeyError."""
    for word, rule in schema.items():
        yield from CHECKS[word](value, rule, schema, where)


def _fits(value: Any, name: str) -> bool:
    if name in ("null", "boolean"):
        return value is None if name == "null" else isinstance(value, bool)
    return isinstance(value, TYPES[name]) and not isinstance(value, bool)


def _type(value: Any, rule: Any, _: Any, where: str) -> Iterator[str]:
    if not _fits(value, rule):
        yield f"{where}: no {rule}"


def _properties(value: Any, rule: Any, _: Any, where: str) -> Iterator[str]:
    for key in set(rule) & set(value if isinstance(value, dict) else ()):
        yield from mistakes(value[key], rule[key], f"{where}.{key}")


def _additional(value: Any, rule: Any, schema: Any, where: str) -> Iterator[str]:
    for key in set(value if isinstance(value, dict) else ()) - set(schema.get("properties", ())):
        if rule is False:
            yield f"{where}.{key}: unknown"
        elif isinstance(rule, dict):
            yield from mistakes(value[key], rule, f"{where}.{key}")


def _any(value: Any, rule: Any, _: Any, where: str) -> Iterator[str]:
    found = [list(mistakes(value, one, where)) for one in rule]
    if all(found):
        yield f"{where}: none of {len(rule)} ({found})"


def _one(value: Any, rule: Any, _: Any, where: str) -> Iterator[str]:
    found = [list(mistakes(value, one, where)) for one in rule]
    if sum(not one for one in found) != 1:
        yield f"{where}: not exactly one of {len(rule)} ({found})"


def _list(value: Any, rule: Any, schema: Any, where: str) -> Iterator[str]:
    rest = value[len(schema.get("prefixItems", ())) :] if isinstance(value, list) else []
    for item in rest:
        yield from mistakes(item, rule, f"{where}[]")


def _prefix(value: Any, rule: Any, _: Any, where: str) -> Iterator[str]:
    for item, one in zip(value if isinstance(value, list) else (), rule, strict=False):
        yield from mistakes(item, one, f"{where}[]")


def _reference(value: Any, rule: Any, _: Any, where: str) -> Iterator[str]:
    yield from mistakes(value, SCHEMA["$defs"][rule.removeprefix("#/$defs/")], where)


def _number(test: Any) -> Any:
    def check(value: Any, rule: Any, _: Any, where: str) -> Iterator[str]:
        if _fits(value, "number") and not test(value, rule):
            yield f"{where}: {value} against {rule}"

    return check


def _length(kind: type, test: Any) -> Any:
    def check(value: Any, rule: Any, _: Any, where: str) -> Iterator[str]:
        if isinstance(value, kind) and not test(len(value), rule):
            yield f"{where}: length {len(value)} against {rule}"

    return check


def _nothing(*_: Any) -> Iterator[str]:
    yield from ()


CHECKS: dict[str, Any] = {
    "type": _type,
    "properties": _properties,
    "additionalProperties": _additional,
    "required": lambda v, r, s, w: (f"{w}.{k}: missing" for k in r if isinstance(v, dict) and k not in v),
    "anyOf": _any,
    "oneOf": _one,
    "items": _list,
    "prefixItems": _prefix,
    "$ref": _reference,
    "enum": lambda v, r, s, w: [] if v in r else [f"{w}: not in {r}"],
    "const": lambda v, r, s, w: [] if v == r else [f"{w}: not {r}"],
    "minimum": _number(lambda v, r: v >= r),
    "maximum": _number(lambda v, r: v <= r),
    "exclusiveMinimum": _number(lambda v, r: v > r),
    "exclusiveMaximum": _number(lambda v, r: v < r),
    "minLength": _length(str, lambda n, r: n >= r),
    "maxLength": _length(str, lambda n, r: n <= r),
    "minItems": _length(list, lambda n, r: n >= r),
    "maxItems": _length(list, lambda n, r: n <= r),
    **dict.fromkeys(["$schema", "$defs", "title", "description", "default", "discriminator"], _nothing),
}


def test_the_file_is_up_to_date(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """If not: zoo schema --out recipes/recipe.schema.json"""
    committed = (recipes_folder() / SCHEMA_FILE).read_text(encoding="utf-8")
    assert json.loads(committed) == SCHEMA
    main(["schema", "--out", str(tmp_path / "new" / "schema.json")])
    assert (tmp_path / "new" / "schema.json").read_text(encoding="utf-8") == committed
    main(["schema"])
    assert capsys.readouterr().out == committed


def test_it_is_well_formed() -> None:
    """Only words of the draft, each with a value of its kind, and no reference into nothing."""

    def walk(schema: Any) -> None:
        assert set(schema) <= set(CHECKS), set(schema) - set(CHECKS)
        assert schema.get("type", "object") in {*TYPES, "boolean"}
        if "$ref" in schema:
            assert schema["$ref"].removeprefix("#/$defs/") in SCHEMA["$defs"]
        for word in ("properties", "$defs"):
            for inner in schema.get(word, {}).values():
                walk(inner)
        for word in ("anyOf", "oneOf", "prefixItems"):
            for inner in schema.get(word, []):
                walk(inner)
        for word in ("items", "additionalProperties"):
            if isinstance(schema.get(word), dict):
                walk(schema[word])

    walk(SCHEMA)
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipes_are_right_and_name_it(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    first = text.splitlines()[0]
    assert first.startswith(EDITOR_LINE)
    assert (path.parent / first.removeprefix(EDITOR_LINE)).resolve() == (recipes_folder() / SCHEMA_FILE).resolve()
    assert list(mistakes(parse_document(text, path.name).value, SCHEMA)) == []
    assert list(mistakes(resolved(read_recipe(path)), SCHEMA)) == []


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (("model", "embed_dims"), 128),
        (("optims",), {}),
        (("train", "batch_size"), 0),
        (("train", "batch_size"), "8"),
        (("train", "batch_size"), 8.5),
        (("model", "kind"), "vit"),
        (("model", "kind"), None),
        (("model", "patch_size"), [16, 16, 16]),
        (("model", "num_masked"), 4),
        (("objective", "class_weights"), "even"),
        (("objective", "class_weights"), [1.0, -1.0]),
        (("optim", "lr"), True),
        (("init",), {"path": "x"}),
        (("data", "train"), [1]),
        (("seed",), -1),
        (("name",), ""),
    ],
)
def test_mistakes_are_marked(keys: tuple[str, ...], value: Any) -> None:
    text = (recipes_folder() / "quickstart" / "ast.yaml").read_text(encoding="utf-8")
    recipe = copy.deepcopy(parse_document(text, "ast.yaml").value)
    section = recipe
    for key in keys[:-1]:
        section = section[key]
    section[keys[-1]] = value
    assert list(mistakes(recipe, SCHEMA))


def test_a_missing_kind_is_marked() -> None:
    text = (recipes_folder() / "quickstart" / "cnn.yaml").read_text(encoding="utf-8")
    recipe = parse_document(text, "cnn.yaml").value
    del recipe["model"]["kind"]
    assert any("model" in found for found in mistakes(recipe, SCHEMA))


def test_keys_are_explained() -> None:
    """In the words of the config classes, and nearly all of them."""
    train = SCHEMA["$defs"]["TrainConfig"]["properties"]
    assert train["batch_size"]["description"].startswith("Clips per step, ")
    keys = [key for section in SCHEMA["$defs"].values() for key in section.get("properties", {}).items()]
    silent = [name for name, key in keys if "description" not in key and name != "kind"]
    assert len(silent) < 0.15 * len(keys)
    assert set(SCHEMA["properties"]) == set(Recipe.model_fields)
