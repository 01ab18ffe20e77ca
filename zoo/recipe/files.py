"""The recipes that come with the zoo, by name."""

import difflib
import os
from collections import Counter
from pathlib import Path

from zoo.errors import RecipeError
from zoo.recipe.document import shortened
from zoo.recipe.strict_yaml import shown_path

COMPARISON = ".comparison.yaml"
"""How the files end that lie among the recipes and name several of them (`zoo compare`)."""
PROOF = ".proof.yaml"
"""And those of `zoo proof`."""
_FEW = 15
"""Names that a message lists."""


def recipes_folder() -> Path:
    """Where the recipes are: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "recipes"
    return inside if inside.is_dir() else package.parent / "recipes"


def recipe_files() -> list[Path]:
    """The file of every recipe that comes along."""
    return sorted(path for path in recipes_folder().rglob("*.yaml") if not path.name.endswith((COMPARISON, PROOF)))


def recipe_names() -> list[str]:
    """Every recipe that comes along, as `find_recipe` takes it: `quickstart/pretrain`."""
    folder = recipes_folder()
    return sorted(path.relative_to(folder).with_suffix("").as_posix() for path in recipe_files())


def find_recipe(name_or_path: str | Path) -> Path:
    """The file of a recipe, given as a path or by its name, like `quickstart/pretrain`.

    A path below `recipes/`, as the documentation has it, is found wherever the zoo is installed.

    Raises:
        RecipeError: there is no such file or name; what is near and what is known is listed.
    """
    text = os.fspath(name_or_path)
    if os.path.isfile(text):
        return Path(text)
    name = Path(text).as_posix().removeprefix("./").removeprefix("recipes/").removesuffix(".yaml")
    known = recipe_names()
    if name in known:
        return recipes_folder() / f"{name}.yaml"
    where = shortened(shown_path(text), 200) or "''"
    inside = known if name in ("recipes", ".") else [other for other in known if other.startswith(f"{name}/")]
    if inside or os.path.isdir(text):
        inside = inside or sorted(entry.name for entry in Path(text).glob("*.yaml")) or ["no recipe"]
        raise RecipeError(f"{where}: a folder - expected one recipe - it holds: {_listed(inside)}")
    if os.path.exists(text):
        return Path(text)  # a pipe or a device: readable, like a file
    near = difflib.get_close_matches(name[:200], known, n=3, cutoff=0.5)
    hint = f"; did you mean {' or '.join(repr(other) for other in near)}?" if near else " -"
    raise RecipeError(f"{where}: no such file or recipe{hint} Known: {_listed(known) or 'none'}")


def _listed(names: list[str]) -> str:
    """All names; of many, the folders that hold them, each of which says what is in it when it is asked for."""
    if len(names) <= _FEW:
        return ", ".join(names)
    folders = Counter(name.rpartition("/")[0] for name in names)
    return ", ".join(f"{folder}/ ({count} recipes)" if count > 1 else f"{folder}/" for folder, count in folders.items())


def head_comment(text: str) -> str:
    """What a recipe says about itself: its first block of comment lines, without the `#`."""
    lines: list[str] = []
    for line in text.lstrip("\ufeff\n\r ").splitlines():
        if not line.startswith("#"):
            break
        if line.startswith("# yaml-language-server:"):
            continue  # said to an editor
        lines.append(line.removeprefix("#").removeprefix(" ").rstrip())
    return "\n".join(lines).strip()
