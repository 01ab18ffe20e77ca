"""Finding the recipes that come along."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from zoo.errors import RecipeError
from zoo.recipe import files as recipe_files
from zoo.recipe import find_recipe, head_comment, read_recipe, recipe_names, recipes_folder, resolved
from zoo.recipe.strict_yaml import parse_document


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package with recipes inside it, as a wheel has them, seen from an empty folder."""
    package, elsewhere = tmp_path / "site" / "zoo", tmp_path / "elsewhere"
    for name in ("quickstart/pretrain", "quickstart/ast", "finetune/esc50/ast-base"):
        path = package / "recipes" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("name: x\n")
    elsewhere.mkdir()
    monkeypatch.setattr(recipe_files, "__file__", str(package / "recipe" / "files.py"))
    monkeypatch.chdir(elsewhere)
    return package / "recipes"


def test_a_checkout_has_its_recipes_beside_the_package() -> None:
    assert (recipes_folder() / "pretrain" / "ssast-patch-base.yaml").is_file()
    assert {"pretrain/ssast-patch-base", "finetune/folder/ast-base"} <= set(recipe_names())


def test_an_installed_package_has_them_inside(installed: Path) -> None:
    assert recipes_folder() == installed
    assert recipe_names() == ["finetune/esc50/ast-base", "quickstart/ast", "quickstart/pretrain"]


@pytest.mark.parametrize(
    "name",
    [
        "quickstart/pretrain",
        "quickstart/pretrain.yaml",
        "recipes/quickstart/pretrain.yaml",
        "./recipes/quickstart/pretrain",
    ],
)
def test_by_name_or_by_the_path_of_the_documentation(installed: Path, name: str) -> None:
    assert find_recipe(name) == installed / "quickstart" / "pretrain.yaml"


def test_a_file_that_is_here_comes_first(installed: Path) -> None:
    here = Path("quickstart") / "pretrain.yaml"
    here.parent.mkdir()
    here.write_text("name: mine\n")
    assert find_recipe("quickstart/pretrain.yaml") == here
    assert find_recipe(here.resolve()) == here.resolve()


def test_near_names_are_suggested_and_all_are_listed(installed: Path) -> None:
    with pytest.raises(RecipeError) as error:
        find_recipe("quickstart/pretrian")
    assert str(error.value) == (
        "quickstart/pretrian: no such file or recipe; did you mean 'quickstart/pretrain' or 'quickstart/ast'? "
        "Known: finetune/esc50/ast-base, quickstart/ast, quickstart/pretrain"
    )


@pytest.mark.parametrize("name", ["zzz", "nowhere/x.yaml", "a\0b", "x" * 5000, "two\nlines"])
def test_what_is_nowhere_is_one_short_line(installed: Path, name: str) -> None:
    with pytest.raises(RecipeError) as error:
        find_recipe(name)
    assert "no such file or recipe - Known: finetune/esc50/ast-base, " in str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400


@pytest.mark.parametrize(
    ("name", "inside"),
    [
        ("quickstart", "quickstart/ast, quickstart/pretrain"),
        ("recipes/finetune/", "finetune/esc50/ast-base"),
        ("recipes", "finetune/esc50/ast-base, quickstart/ast, quickstart/pretrain"),
        (".", "finetune/esc50/ast-base, quickstart/ast, quickstart/pretrain"),
    ],
)
def test_a_folder_of_recipes_is_listed(installed: Path, name: str, inside: str) -> None:
    with pytest.raises(RecipeError) as error:
        find_recipe(name)
    assert str(error.value).endswith(f": a folder - expected one recipe - it holds: {inside}")


def test_of_many_recipes_the_folders_are_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name a recipe would be a line that nobody reads; a folder's own content is listed when it is asked for."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RecipeError) as error:
        find_recipe("zzz")
    assert "compare/ast-ablations/ (10 recipes), finetune/audioset/ (13 recipes), " in str(error.value)
    assert len(str(error.value)) < 600
    with pytest.raises(RecipeError) as error:
        find_recipe("finetune/iemocap")
    assert str(error.value).endswith("it holds: finetune/iemocap/ssast-frame, finetune/iemocap/ssast-patch")


def test_a_folder_without_recipes_says_so(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere" / "mine").mkdir()
    with pytest.raises(RecipeError, match=r"^mine: a folder - expected one recipe - it holds: no recipe$"):
        find_recipe("mine")


def test_the_head_comment_is_the_first_block() -> None:
    assert head_comment("# What: x\n#   more\n#\n# Command: y\n\n# not this\nname: x  # nor this\n") == (
        "What: x\n  more\n\nCommand: y"
    )
    assert head_comment("\ufeff\n\n#x\r\nname: y") == "x"
    assert head_comment("name: x\n# later\n") == ""
    assert head_comment("") == ""
    assert head_comment("# yaml-language-server: $schema=a.json\n# What: x\n") == "What: x"


FULL_SIZE = [name for name in recipe_names() if not name.startswith(("quickstart/", "proof/"))]


@pytest.mark.parametrize("name", FULL_SIZE)
def test_full_size_recipes_are_complete_and_say_what_they_are(name: str) -> None:
    text = find_recipe(name).read_text(encoding="utf-8")
    words = ("What:", "Data:", "Hardware:", "Hours:", "Result:", "Command:")
    places = [head_comment(text).find(f"\n{word}") for word in words]
    assert places == sorted(places)
    assert places[0] > 0
    assert re.search(rf"recipes/{name}\.yaml (\\\n +)?data\.train=", head_comment(text))
    assert max(map(len, text.splitlines())) <= 120
    values = parse_document(text, name).value
    assert set(_keys(values)) == set(_keys(resolved(read_recipe(name))))
    watched = [] if values["data"]["validation"] else ["data.eval=clips"]
    read_recipe(name, ["data.train=clips", *watched], for_training=True)


def test_the_table_of_recipes_has_them_all_with_the_numbers_that_they_state() -> None:
    """recipes/README.md: a row for each recipe of full size; a number in it stands in the recipe too."""
    rows = re.findall(r"^\| \[([^\]]+)\]\(([^)]+)\) \| (.*) \|$", (recipes_folder() / "README.md").read_text(), re.M)
    assert [target for _, target, _ in rows] == [f"{name}.yaml" for name in FULL_SIZE]
    for shown, target, result in rows:
        assert target.endswith(f"{shown}.yaml")
        stated = " ".join(head_comment((recipes_folder() / target).read_text(encoding="utf-8")).split())
        for number in re.findall(r"(?<![\d.])\.?\d[\d.]*\d", result.split("|")[-1]):
            assert number in stated, f"{target}: {number}"


def _keys(values: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in values.items():
        yield f"{prefix}{key}"
        if isinstance(value, dict):
            yield from _keys(value, f"{prefix}{key}.")
