"""Every recipe text of docs/labels.md is read, and says what the rules of recipes refuse."""

import re
from pathlib import Path

import pytest
import yaml

from zoo.errors import RecipeError
from zoo.recipe import dump_recipe, parse_recipe

TEXT = (Path(__file__).parents[2] / "docs/labels.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```yaml\n(.*?)```", TEXT, flags=re.DOTALL)

HEAD = "name: x\nmodel: {kind: cnn}\ntrain: {epochs: 1}\n"
FINETUNE = "objective: {kind: classification}\n"
SMALL = "model: {kind: ssast, embed_dim: 16, depth: 1, num_heads: 2}\n"
PRETRAIN = f"name: x\n{SMALL}train: {{epochs: 1}}\nobjective: {{kind: masked-patch}}\n"


@pytest.mark.parametrize("block", BLOCKS)
def test_a_block_of_the_document(block: str) -> None:
    rest = "data: {task: single-label}\n" if "objective" in block else FINETUNE
    recipe = parse_recipe(HEAD + rest + block, "labels.md")
    assert parse_recipe(dump_recipe(recipe), "again") == recipe
    sections = yaml.safe_load(block)
    assert sections.keys() <= {"data", "objective"}


def test_there_are_blocks() -> None:
    assert len(BLOCKS) >= 9


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            PRETRAIN + "data: {sampling: balanced}\n",
            "x.yaml:5: data.sampling: found 'balanced' with objective 'masked-patch' - expected 'shuffle', since "
            "balancing would let labels into pretraining - leave it out",
        ),
        (
            HEAD + "objective: {kind: classification, class_weights: [1, 2]}\n"
            "data: {task: single-label, labels: [a, b, c]}\n",
            "x.yaml:4: objective.class_weights: found 2 weights with 3 names in data.labels - expected as many - put "
            "one of the lists right",
        ),
        (
            HEAD + FINETUNE + "data: {task: single-label, sampling: balance}\n",
            "x.yaml:5: data.sampling.kind: unknown kind 'balance'; did you mean 'balanced'? "
            "Known: shuffle, balanced, weighted",
        ),
        (
            HEAD + FINETUNE + "data: {task: single-label, sampling: {kind: balanced, ofset: 1}}\n",
            "x.yaml:5: data.sampling.ofset: unknown key; did you mean 'offset'? "
            "Known: clips_per_epoch, replacement, kind, offset",
        ),
        (
            HEAD + FINETUNE + "data: {task: single-label, unknown_labels: drop}\n",
            "x.yaml:5: data.unknown_labels: expected 'error' or 'ignore', got 'drop'",
        ),
        (
            HEAD + FINETUNE + "data:\n  task: single-label\n  train: {path: a.csv, fold: 1, not_fold: 2}\n",
            "x.yaml:7: data.train.not_fold: found beside fold - expected at most one - keep one",
        ),
        (
            HEAD + FINETUNE + "data:\n  task: single-label\n  train: {path: a.csv, folds: {num: 1, by: speaker}}\n",
            "x.yaml:7: data.train.folds.num: must be >= 2, got 1\n"
            "x.yaml:7: data.train.folds.by: expected 'label', 'group' or 'clip', got 'speaker'",
        ),
        (
            HEAD + "objective: {kind: classification, class_weights: balance}\ndata: {task: single-label}\n",
            "x.yaml:4: objective.class_weights: expected 'none' or 'balanced' or a list, got 'balance'; did you mean "
            "'balanced'?",
        ),
    ],
)
def test_what_a_recipe_refuses(text: str, expected: str) -> None:
    with pytest.raises(RecipeError) as caught:
        parse_recipe(text, "x.yaml")
    assert str(caught.value) == expected


def test_overrides() -> None:
    text = HEAD + FINETUNE + "data: {task: single-label, sampling: balanced, train: a.csv}\n"
    sampling = parse_recipe(text, "x", ["data.sampling.offset=100"]).data.sampling
    assert sampling.model_dump() == {"kind": "balanced", "offset": 100, "clips_per_epoch": None, "replacement": True}
    train = parse_recipe(text, "x", ["data.train.folds={num: 5, by: label}", "data.train.not_fold=5"]).data.train
    assert train is not None
    assert train[0].model_dump(exclude_defaults=True) == {
        "path": "a.csv",
        "folds": {"num": 5, "by": "label"},
        "not_fold": (5,),
    }
    assert parse_recipe(PRETRAIN, "x", ["data.sampling={kind: weighted, file: w.csv}"]).data.sampling.kind == "weighted"
