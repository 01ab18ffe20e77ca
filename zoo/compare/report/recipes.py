"""In what the recipes of the contenders differ, and each of them whole."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from zoo.compare.report.collect import Contender
from zoo.compare.report.markup import Html, details, join, section, table, tag
from zoo.recipe import Recipe, recipe_differences

_NOT_TOLD = ("seed", "name")


def recipes_section(contenders: Sequence[Contender]) -> Html:
    """The keys that differ, a column a model, and every resolved recipe folded."""
    known = [(one.name, run) for one in contenders if (run := one.first) is not None]
    texts = [details(name, tag("pre", tag("code", run.recipe_text))) for name, run in known if run.recipe_text]
    if not texts:
        return Html("")
    recipes = {name: run.recipe for name, run in known if run.recipe is not None}
    keys = differing(list(recipes.values()))
    if len(recipes) > 1 and keys:
        rows = [[key, *map(_text, values)] for key, values in keys.items()]
        differences = table(["key", *recipes], rows, class_="recipes")
    else:
        alike = "The recipes differ in name and seed alone." if len(recipes) > 1 else ""
        differences = tag("p", alike, class_="note") if alike else Html("")
    unread = [tag("p", f"{name}: {problem}", class_="note") for name, run in known for problem in run.problems]
    how = "Only the keys in which the models' recipes differ: what else is different may be what makes the difference. "
    how += "A dash is a key that a recipe does not have."
    whole = (tag("h3", "Whole recipes"), join(texts))
    return section("recipes", "What differs in the recipes", how, differences, *unread, *whole)


def differing(recipes: Sequence[Recipe]) -> dict[str, list[Any]]:
    """Key -> its value in every recipe, for the keys that are not the same in all; seed and name left out."""
    if not recipes:
        return {}
    first = recipes[0]
    found = [{key: (a, b) for key, a, b in recipe_differences(first, other)} for other in recipes[1:]]
    keys = [key for one in found for key in one if key not in _NOT_TOLD]
    of_first = {key: pair[0] for one in found for key, pair in one.items()}
    return {
        key: [of_first[key], *(one[key][1] if key in one else of_first[key] for one in found)]
        for key in dict.fromkeys(keys)
    }


def _text(value: Any) -> str:
    """As a recipe has it; of a source, what is chosen of which file."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return ", ".join(_text(item) for item in value)
    if isinstance(value, dict):
        told = {key: item for key, item in value.items() if item is not None}
        return ", ".join(f"{key}: {Path(item).name if key == 'path' else item}" for key, item in told.items())
    return f"{value:g}" if isinstance(value, float) else str(value)
