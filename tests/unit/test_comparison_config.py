"""A comparison as a YAML file and as options: what it may say, and what is told of mistakes."""

from pathlib import Path

import pytest

from zoo.compare.asked import comparison_asked
from zoo.compare.config import BudgetConfig, is_comparison, read_comparison
from zoo.compare.found_comparisons import comparison_names, find_comparison
from zoo.errors import RecipeError
from zoo.recipe import head_comment, recipe_names, recipes_folder

WHOLE = """name: mine
contenders:
  - {recipe: quickstart/cnn, name: CNN}
  - runs: runs/ast
    name: AST
reference: CNN
seeds: [0, 4]
folds: [1, two]
rule: last
budget: {flops: 1e15}
front_end: {kind: ast, normalise: clip}
set: {data.train: train.csv, optim.lr: 1e-3}
"""


def _asked(*entries: str, seeds: str | None = None, folds: str | None = None, **options: object):
    return comparison_asked(entries, seeds=seeds, folds=folds, **options)


def test_a_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text(WHOLE)
    config = read_comparison(tmp_path / "m.yaml")
    assert config.name == "mine"
    assert config.contenders[1].runs == ("runs/ast",)
    assert config.seeds == (0, 4)
    assert config.folds == ("1", "two")
    assert config.budget == BudgetConfig(flops=1e15)
    assert config.set == {"data.train": "train.csv", "optim.lr": 1e-3}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("seeds: [0, 4]", "sedes: 3", "m.yaml:7: sedes: unknown key; did you mean 'seeds'?"),
        ("seeds: [0, 4]", "seeds: 0", "m.yaml:7: seeds: must be >= 1, got 0"),
        ("folds: [1, two]", "folds: some", "m.yaml:8: folds: found 'some' - expected 'all'"),
        ("budget: {flops: 1e15}", "budget: {flops: 1, clips: 2}", "expected exactly one of clips, flops, seconds"),
        ("    name: AST", "    recipe: quickstart/ast", "recipe beside runs"),
        ("    name: AST", "    nmae: AST", "nmae: unknown key; did you mean 'name'?"),
        ("    name: AST", "    name: CNN", "contenders: found 'CNN' twice"),
        ("    name: AST", "    set: {optim.lr: 1}", "set: found beside runs"),
        ("kind: ast", "kind: kaldi", "front_end"),
        ("rule: last", "rule: best", "m.yaml:9: rule: expected 'validation', 'last' or 'official', got 'best'"),
    ],
)
def test_every_mistake_is_told_by_its_line(old: str, new: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "m.yaml"
    assert old in WHOLE
    path.write_text(WHOLE.replace(old, new))
    with pytest.raises(RecipeError) as refusal:
        read_comparison(path)
    assert message in str(refusal.value)
    assert all(line.startswith(str(path)) or "m.yaml" in line for line in str(refusal.value).splitlines())


def test_recipes_and_runs_are_contenders(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    config, overrides = _asked(
        "quickstart/ast",
        str(tmp_path / "a"),
        str(tmp_path / "a"),
        "train.clips=8",
        str(tmp_path / "b"),
        seeds="3",
        reference="x",
    )
    assert [(one.recipe, one.runs) for one in config.contenders] == [
        ("quickstart/ast", None),
        (None, (str(tmp_path / "a"), str(tmp_path / "b"))),
    ]
    assert (config.seeds, config.reference, overrides) == (3, "x", ["train.clips=8"])


def test_options_replace_what_the_file_says(tmp_path: Path) -> None:
    path = tmp_path / "m.yaml"
    path.write_text(WHOLE)
    config, overrides = _asked(
        str(path), "train.batch_size=2", seeds="7,", folds="all", budget={"clips": 9}, front_end="own"
    )
    assert (config.seeds, config.folds, config.front_end) == ((7,), "all", "own")
    assert config.budget == BudgetConfig(clips=9)
    assert overrides == ["train.batch_size=2"]
    assert _asked(str(path))[0] == read_comparison(path)


def test_entries_and_options_that_do_not_fit_are_told(tmp_path: Path) -> None:
    path = tmp_path / "m.yaml"
    path.write_text(WHOLE)
    with pytest.raises(RecipeError, match="nothing to compare"):
        _asked("a=1")
    with pytest.raises(RecipeError, match="beside other entries"):
        _asked(str(path), "quickstart/ast")
    with pytest.raises(RecipeError, match="expected a count"):
        _asked("quickstart/ast", seeds="few")
    with pytest.raises(RecipeError, match=r"seeds: found 0 - expected: Input should be greater"):
        _asked("quickstart/ast", seeds="0")
    with pytest.raises(RecipeError, match="exactly one of clips, flops, seconds"):
        _asked("quickstart/ast", budget={"clips": 1, "flops": 1.0})


@pytest.mark.parametrize("name", comparison_names())
def test_the_comparisons_that_come_along_are_read(name: str) -> None:
    path = find_comparison(name)
    assert path is not None
    assert is_comparison(str(path))
    config = read_comparison(path)
    assert {one.recipe for one in config.contenders} <= {*recipe_names(), None}
    assert f"zoo compare recipes/{name}.comparison.yaml" in head_comment(path.read_text())
    again = find_comparison(f"recipes/{name}.comparison.yaml")
    assert again is not None
    assert again.samefile(path)


def test_recipes_are_no_comparisons() -> None:
    assert comparison_names()
    assert find_comparison("quickstart/ast") is None
    assert not is_comparison(str(recipes_folder() / "quickstart/ast.yaml"))
