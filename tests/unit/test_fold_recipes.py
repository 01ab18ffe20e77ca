"""The recipe of every fold: who trains, who is watched, who judges, under each of the three rules."""

import csv
from pathlib import Path

import pytest

from zoo.compare.folds import Rule, fold_recipes
from zoo.errors import DataError, RecipeError
from zoo.recipe import Recipe, dump_recipe, parse_recipe
from zoo.run import find_data

RECIPE = """
name: folds
model: {kind: cnn, channels: [4, 8], n_frames: 48}
data: {train: TRAIN, eval: null, task: single-label}
objective: {kind: classification}
train: {epochs: 2, batch_size: 4}
"""
RULES: tuple[Rule, ...] = ("validation", "last", "official")


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Of 10 folds with 12 clips each; class `rare` is in fold 10 alone. No audio: none is read."""
    path = tmp_path / "meta.csv"
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["path", "label", "fold", "group"])
        for number in range(120):
            fold = number // 12 + 1
            label = "rare" if fold == 10 and number % 12 < 3 else "ab"[number % 2]
            table.writerow([f"{number}.wav", label, fold, f"group {number // 3}"])
    return path


def _recipe(manifest: Path, *overrides: str) -> Recipe:
    return parse_recipe(RECIPE.replace("TRAIN", str(manifest)), "x.yaml", overrides)


@pytest.mark.parametrize("rule", RULES)
def test_every_clip_is_judged_once_by_a_run_that_has_not_seen_it(manifest: Path, rule: Rule) -> None:
    recipes = fold_recipes(_recipe(manifest), rule)
    assert list(recipes) == [str(fold) for fold in range(1, 11)]  # 10 comes last
    judged: list[str] = []
    for fold, recipe in recipes.items():
        assert (recipe.name, recipe.seed) == ("folds", 0)
        assert parse_recipe(dump_recipe(recipe), "again") == recipe
        found = find_data(recipe)
        assert found.judged is not None
        assert found.train is not None
        assert {clip.fold for clip in found.judged.clips} == {fold}
        seen = {clip.id for clip in found.train.clips}
        watched = {clip.id for clip in found.eval.clips} if found.eval is not None and rule != "official" else set()
        ours = {clip.id for clip in found.judged.clips}
        assert not ours & (seen | watched)
        assert not seen & watched
        assert len(seen | watched | ours) == 120
        assert found.labels is not None
        assert found.labels.names == ("a", "b", "rare")  # in every fold, whoever has seen it
        judged += ours
    assert len(judged) == len(set(judged)) == 120


def test_what_the_rules_watch_and_select(manifest: Path) -> None:
    first = {rule: fold_recipes(_recipe(manifest), rule)["1"] for rule in RULES}
    assert {rule: one.evaluate.select for rule, one in first.items()} == {
        "validation": "best",
        "last": "last",
        "official": "last",
    }
    assert {rule: one.evaluate.every_epochs for rule, one in first.items()} == {
        "validation": 1,
        "last": None,
        "official": 1,
    }
    found = {rule: find_data(one) for rule, one in first.items()}
    validation = found["validation"]
    assert validation.eval is not None
    assert validation.train is not None
    assert len(validation.eval) == pytest.approx(0.1 * 108, abs=3)
    # Whole groups are set aside, where there are some.
    assert not {clip.group for clip in validation.eval.clips} & {clip.group for clip in validation.train.clips}
    assert found["last"].eval is None
    assert found["official"].test is None
    assert (found["last"].num_train, found["official"].num_train) == (108, 108)


def test_what_the_recipe_says_is_kept(manifest: Path) -> None:
    recipe = _recipe(manifest, "data.validation={share: 0.25, by: clip}", "evaluate.every_clips=50")
    for rule in ("validation", "last"):
        one = fold_recipes(recipe, rule)["3"]
        assert one.data.validation == recipe.data.validation
        assert one.evaluate.every_clips == 50
        assert one.evaluate.every_epochs is None
    assert fold_recipes(recipe, "official")["3"].data.validation is None
    named = _recipe(manifest, "data.labels=[b, rare, a]")
    assert fold_recipes(named)["1"].data.labels == ("b", "rare", "a")


def test_some_folds_only_train_on_all_others(manifest: Path) -> None:
    recipes = fold_recipes(_recipe(manifest), "last", ["10", "2"])
    assert list(recipes) == ["2", "10"]
    assert find_data(recipes["2"]).num_train == 108
    with pytest.raises(DataError, match=r"meta\.csv: no fold 11 - the folds are 1, 2"):
        fold_recipes(_recipe(manifest), "last", ["11"])


def test_folds_made_by_the_recipe(manifest: Path) -> None:
    recipes = fold_recipes(_recipe(manifest, "data.train.folds={num: 3, by: group}"), "last")
    assert list(recipes) == ["1", "2", "3"]
    parts = [find_data(recipe).judged for recipe in recipes.values()]
    groups = [{clip.group for clip in part.clips} for part in parts if part is not None]
    assert not groups[0] & groups[1]
    assert not groups[1] & groups[2]
    assert sum(len(part) for part in parts if part is not None) == 120


def test_a_recipe_of_some_folds_is_crossed_over_these(manifest: Path) -> None:
    recipes = fold_recipes(_recipe(manifest, "data.train.fold=[1, 2, 3]"), "last")
    assert list(recipes) == ["1", "2", "3"]
    assert find_data(recipes["1"]).num_train == 24
    assert list(fold_recipes(_recipe(manifest, "data.train.not_fold=[9, 10]"), "last"))[-1] == "8"


@pytest.mark.parametrize(
    ("overrides", "rule", "text"),
    [
        (["data.eval=other.csv"], "last", "data.eval: found beside folds - .* - set data.eval=null"),
        (["data.test=other.csv"], "last", "data.test: found beside folds - .* - set data.test=null"),
        (["data.train=[META, b.csv]"], "last", "data.train: found 2 sources - expected one source"),
        (["data.train=null"], "last", "data.train: found nothing - expected one source"),
        (["data.train.fold=4"], "last", "one fold, 4 - expected two or more"),
        (["evaluate.patience=3"], "last", "evaluate.patience: found early stopping with rule 'last'"),
        (["evaluate.patience=3"], "official", "evaluate.patience: found early stopping with rule 'official'"),
    ],
)
def test_what_is_refused(manifest: Path, overrides: list[str], rule: Rule, text: str) -> None:
    recipe = _recipe(manifest, *(one.replace("META", str(manifest)) for one in overrides))
    with pytest.raises((RecipeError, DataError), match=text):
        fold_recipes(recipe, rule)


def test_early_stopping_by_clips_set_aside_is_fine(manifest: Path) -> None:
    fold_recipes(_recipe(manifest, "evaluate.patience=3"), "validation")
    fold_recipes(_recipe(manifest, "evaluate.patience=3", "data.validation={share: 0.1}"), "last")


def test_clips_without_folds_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "bare.csv"
    path.write_text("path,label\na.wav,x\nb.wav,y\n")
    with pytest.raises(DataError, match=r"bare\.csv: no fold \(2 of 2 clips have none\) .*data\.train\.folds="):
        fold_recipes(_recipe(path), "last")


def test_pretraining_is_refused(manifest: Path) -> None:
    text = RECIPE.replace("{kind: classification}", "{kind: masked-patch}").replace(
        "{kind: cnn, channels: [4, 8], n_frames: 48}", "{kind: ssast, embed_dim: 16, depth: 1, num_heads: 2}"
    )
    recipe = parse_recipe(text.replace("TRAIN", str(manifest)).replace(", task: single-label", ""), "x.yaml")
    with pytest.raises(RecipeError, match=r"objective\.kind: found 'masked-patch' - expected 'classification'"):
        fold_recipes(recipe)
