"""The comparisons that come with the zoo, by name."""

from pathlib import Path

from zoo.compare.config import is_comparison
from zoo.recipe import recipes_folder

FOLDER = "comparisons"


def comparisons_folder() -> Path:
    """Where they are: beside the recipes."""
    return recipes_folder().parent / FOLDER


def comparison_names() -> list[str]:
    """Every comparison that comes along, as `zoo compare` takes it: `comparisons/quickstart`."""
    return sorted(f"{FOLDER}/{path.stem}" for path in comparisons_folder().glob("*.yaml"))


def find_comparison(name_or_path: str) -> Path | None:
    """The file of a comparison, given as a path or by its name; None for anything else, such as a recipe."""
    if is_comparison(name_or_path):
        return Path(name_or_path)
    name = Path(name_or_path).as_posix().removeprefix("./").removesuffix(".yaml")
    return comparisons_folder().parent / f"{name}.yaml" if name in comparison_names() else None
