"""The comparisons that come with the zoo, by name: `recipes/compare/NAME.comparison.yaml`, beside the recipes."""

from pathlib import Path

from zoo.compare.config import is_comparison
from zoo.recipe import COMPARISON, recipes_folder


def comparison_names() -> list[str]:
    """Every comparison that comes along, as `zoo compare` takes it: `compare/quickstart`."""
    folder = recipes_folder()
    found = (path.relative_to(folder).as_posix() for path in folder.rglob(f"*{COMPARISON}"))
    return sorted(name.removesuffix(COMPARISON) for name in found)


def find_comparison(name_or_path: str) -> Path | None:
    """The file of a comparison, given as a path or by its name; None for anything else, such as a recipe."""
    if is_comparison(name_or_path):
        return Path(name_or_path)
    name = Path(name_or_path).as_posix().removeprefix("./").removeprefix("recipes/").removesuffix(COMPARISON)
    return recipes_folder() / f"{name}{COMPARISON}" if name in comparison_names() else None
