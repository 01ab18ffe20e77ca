"""Recipes: what is accepted, what every mistake says and where, overrides, and writing one back."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from zoo.data.windows import WindowConfig
from zoo.errors import RecipeError
from zoo.recipe import Recipe, dump_recipe, parse_recipe, read_recipe, recipe_differences
from zoo.recipe.sections import TrainConfig

CLASSIFY = """\
name: tiny
model:
  kind: ast
  embed_dim: 16
  depth: 1
  num_heads: 2
data:
  train: clips
  task: single-label
objective:
  kind: classification
optim:
  lr: 1e-4
train:
  epochs: 2
  batch_size: 4
"""
PRETRAIN = """\
name: tiny
model: {kind: ssast, embed_dim: 16, depth: 1, num_heads: 2, num_masked: 0.5}
data: {train: clips}
objective: {kind: masked-patch}
train: {clips: 1000}
"""


def parse(text: str, *overrides: str, **options: Any) -> Recipe:
    return parse_recipe(text, "recipes/x.yaml", overrides, **options)


def told(text: str, *overrides: str, **options: Any) -> list[str]:
    with pytest.raises(RecipeError) as error:
        parse(text, *overrides, **options)
    return str(error.value).splitlines()


def test_what_is_left_out_has_its_default() -> None:
    recipe = parse(CLASSIFY)
    assert recipe.seed == 0
    assert recipe.model.kind == "ast"
    assert recipe.model.stride == (10, 10)
    assert recipe.optim.lr == 1e-4
    assert recipe.init.path is None
    assert [source.path for source in recipe.data.train or ()] == ["clips"]
    assert recipe.data.eval is None
    assert (recipe.train.precision, recipe.train.device, recipe.train.compile) == ("auto", "auto", False)


def test_a_section_whose_keys_are_all_commented_out_has_its_defaults() -> None:
    assert parse(CLASSIFY + "log:\n  # images: 3\ninit:\n") == parse(CLASSIFY)


def test_a_recipe_is_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        parse(CLASSIFY).seed = 3  # type: ignore[misc]


def test_words_of_speech_commands_are_labels() -> None:
    recipe = parse(CLASSIFY, "data.labels=[no, yes, on, off]")
    assert recipe.data.labels == ("no", "yes", "on", "off")
    assert parse(dump_recipe(recipe)).data.labels == ("no", "yes", "on", "off")


def test_every_mistake_at_once_in_the_order_of_the_file() -> None:
    text = """\
name: tiny
seed: true
model:
  kind: ast
  embed_dims: 16
  depth: '1'
  num_heads: 0
  patch_size: [16]
  num_classes: 1e3
  embed_dim: 64
data:
  train: clips
  task: single_label
  max_bad_share: 1.5
modl: {}
objective:
  kind: clasification
optim:
  lr: 1e-4
  lr: .nan
train:
  epochs: 1
  steps: 3
evaluate:
  metric: loss
  every_clips: -1
"""
    found = told(text, "log.images=x", "what")
    places = [re.match(r"(recipes/x\.yaml:\d+|<command line>): ([\w.\[\]]+)", line) for line in found]
    assert [place and place.groups() for place in places] == [
        ("recipes/x.yaml:2", "seed"),
        ("recipes/x.yaml:5", "model.embed_dims"),
        ("recipes/x.yaml:6", "model.depth"),
        ("recipes/x.yaml:7", "model.num_heads"),
        ("recipes/x.yaml:8", "model.patch_size"),
        ("recipes/x.yaml:9", "model.num_classes"),
        ("recipes/x.yaml:13", "data.task"),
        ("recipes/x.yaml:14", "data.max_bad_share"),
        ("recipes/x.yaml:15", "modl"),
        ("recipes/x.yaml:17", "objective.kind"),
        ("recipes/x.yaml:20", "optim.lr"),  # given twice
        ("recipes/x.yaml:20", "optim.lr"),  # not finite
        ("recipes/x.yaml:23", "train.steps"),
        ("recipes/x.yaml:26", "evaluate.every_clips"),
        None,  # <command line>: 'what'
        ("<command line>", "log.images"),
    ]
    assert found[1].startswith(
        "recipes/x.yaml:5: model.embed_dims: unknown key; did you mean 'embed_dim'? Known: kind, "
    )
    assert found[14] == "<command line>: 'what' - expected KEY=VALUE, as in optim.lr=1e-4"


def test_missing_keys_are_at_their_section() -> None:
    assert told("# A comment.\n\nseed: 1\ntrain:\n  batch_size: 3\nmodel:\n  kind: ast\n") == [
        "recipes/x.yaml:3: name: required key is missing",
        "recipes/x.yaml:3: objective: required section is missing",
        "recipes/x.yaml:4: train: no length - expected exactly one of epochs, clips, steps - set one",
        "recipes/x.yaml:6: model.embed_dim: required key is missing",
        "recipes/x.yaml:6: model.depth: required key is missing",
        "recipes/x.yaml:6: model.num_heads: required key is missing",
    ]


def test_keys_in_the_wrong_place_are_pointed_home() -> None:
    assert told(CLASSIFY + "lr: 3\n")[0].startswith(
        "recipes/x.yaml:17: lr: unknown key; did you mean 'optim.lr'? Known: name, seed, model, "
    )
    assert "train.n_fft: unknown key; did you mean 'front_end.n_fft'?" in told(CLASSIFY + "  n_fft: 512\n")[0]
    assert "optims: unknown key; did you mean 'optim'?" in told(CLASSIFY, "optims.lr=3")[0]


def test_the_kinds_of_models_are_listed() -> None:
    (line,) = told(CLASSIFY.replace("kind: ast", "kind: past"))
    assert line.startswith("recipes/x.yaml:3: model.kind: unknown kind 'past'; did you mean 'passt'? Known: ast, ")
    assert {"ast", "ssast", "passt", "cnn", "ast-minimal", "ast-sinusoidal"} <= set(re.split(r"[ ,]+", line))


@pytest.mark.parametrize("size", [10**7, 10**30, 10**200])
def test_absurd_sizes_are_refused_at_once(size: int) -> None:
    for key in ("model.depth", "model.embed_dim", "train.batch_size", "front_end.n_fft", "model.n_frames"):
        assert any(f"{key}: must be <= " in line for line in told(CLASSIFY, f"{key}={size}"))


@pytest.mark.parametrize("name", ["a/b", "..", ".hidden", "a\\b", " a", "a\nb", "", "x" * 61, "con:"])
def test_a_name_names_a_folder(name: str) -> None:
    text = CLASSIFY.replace("name: tiny", f"name: {json.dumps(name)}")
    assert told(text)[0].startswith("recipes/x.yaml:1: name: ")


@pytest.mark.parametrize("name", ["a", "AST (ours) 2", "наш запуск", "x" * 60])
def test_names_may_be_in_any_language(name: str) -> None:
    assert parse(CLASSIFY, f"name={name}").name == name


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "recipes/x.yaml:1: found nothing - expected sections like 'model:' and 'train:'"),
        ("# only\n", "recipes/x.yaml:1: found nothing - expected sections like 'model:' and 'train:'"),
        ("- a\n- b\n", "recipes/x.yaml:1: found a list - expected sections like 'model:' and 'train:'"),
        ("model", "recipes/x.yaml:1: found text - expected sections like 'model:' and 'train:'"),
        ("name: x\n\tseed: 1", "recipes/x.yaml:2: not YAML: a tab - YAML wants spaces"),
    ],
)
def test_what_is_no_recipe_at_all_is_one_line(text: str, line: str) -> None:
    assert told(text) == [line]


def test_files_are_read_and_their_mistakes_located(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "my.yaml"
    path.write_text(CLASSIFY)
    assert read_recipe(path, ["optim.lr=1e-3"]) == read_recipe("my.yaml", ["optim.lr=1e-3"])
    path.write_bytes(CLASSIFY.encode() + b"# caf\xe9\n")
    with pytest.raises(RecipeError, match=r"^my\.yaml:17: not UTF-8"):
        read_recipe(path)
    with pytest.raises(RecipeError, match=r"^none\.yaml: no such file or recipe"):
        read_recipe("none.yaml")
    with pytest.raises(RecipeError, match=r"a folder - expected one recipe - it holds: my\.yaml"):
        read_recipe(tmp_path)


def test_training_data_is_asked_for_when_training() -> None:
    text = CLASSIFY.replace("train: clips", "train: null")
    assert parse(text).data.train is None
    assert told(text, for_training=True) == [
        "recipes/x.yaml:8: data.train: found nothing - expected a folder or a manifest - add data.train=PATH"
    ]
    parse(text, "data.train=clips", for_training=True)


# Overrides


def test_overrides_are_read_as_yaml_values() -> None:
    recipe = parse(
        CLASSIFY,
        "optim.lr=3e-4",
        "model.patch_size=[8, 4]",
        "data.eval=[a.csv, {path: b, fold: [1, 2]}]",
        "init.from=runs/x=y",
        "log.images=0",
        "data.task = multi-label",
        "train.compile=true",
    )
    assert recipe.optim.lr == 3e-4
    assert recipe.model.patch_size == (8, 4)
    assert [(source.path, source.fold) for source in recipe.data.eval or ()] == [("a.csv", None), ("b", (1, 2))]
    assert recipe.init.path == "runs/x=y"
    assert recipe.train.compile is True


def test_mistakes_in_overrides_are_told_with_the_others() -> None:
    found = told(
        CLASSIFY + "  seeds: 1\n",
        "optim.lr",
        "=3",
        "a..b=3",
        "name=",
        "optim.lr=fast",
        "model.embed_dims=3",
        "data.labels=[a, b",
        "optim.eps=.inf",
        "augment.freq_mask=1",
        "augment.freq_mask=2",
    )
    assert found[0].startswith("recipes/x.yaml:17: train.seeds: unknown key")
    assert found[1:7] == [
        "<command line>: 'optim.lr' - expected KEY=VALUE, as in optim.lr=1e-4",
        "<command line>: '=3' - expected KEY=VALUE, as in optim.lr=1e-4",
        "<command line>: 'a..b=3' - expected KEY=VALUE, as in optim.lr=1e-4",
        "<command line>: name: no value after '=' - write name=null for none, or name=\"''\" for empty text",
        "<command line>: data.labels: not YAML: a '[' or a '{' that is never closed",
        "<command line>: optim.eps: .inf is no finite number - write a finite one (or quote it, if text is meant)",
    ]
    assert found[7] == "<command line>: augment.freq_mask: given twice, with different values - keep one"
    assert found[8].startswith("<command line>: model.embed_dims: unknown key; did you mean 'embed_dim'?")
    assert found[9:] == ["<command line>: optim.lr: expected a number, got 'fast'"]


def test_an_override_heals_what_it_replaces() -> None:
    assert parse(CLASSIFY.replace("1e-4", "fast"), "optim.lr=1e-4") == parse(CLASSIFY)


def test_the_same_override_twice_is_no_contradiction() -> None:
    assert parse(CLASSIFY, "seed=3", "seed=3").seed == 3


@pytest.mark.parametrize("length", ["epochs", "clips", "steps"])
def test_an_override_of_the_length_replaces_the_others(length: str) -> None:
    for start in ("epochs: 2", "steps: 9", "clips: 100\n  epochs: null"):
        train = parse(CLASSIFY.replace("epochs: 2", start), f"train.{length}=7").train
        assert {name: getattr(train, name) for name in ("epochs", "clips", "steps")} == {
            "epochs": None, "clips": None, "steps": None, length: 7,
        }  # fmt: skip


def test_an_override_of_the_interval_replaces_the_other() -> None:
    text = CLASSIFY + "evaluate: {every_epochs: 1}\n"
    assert parse(text, "evaluate.every_clips=50").evaluate.every_epochs is None
    assert parse(text, "evaluate.every_clips=null").evaluate.every_epochs == 1


def test_two_lengths_on_the_command_line_contradict_each_other() -> None:
    assert told(CLASSIFY, "train.steps=3", "train.clips=5") == [
        "<command line>: train.steps: found beside clips - expected exactly one - keep one"
    ]


def test_a_plain_path_is_a_source() -> None:
    recipe = parse(CLASSIFY, "data.train=/my data/take #3: final")
    assert [source.path for source in recipe.data.train or ()] == ["/my data/take #3: final"]
    recipe = parse(CLASSIFY, "data.train.fold=[1, 2]")  # the file has a plain path
    assert [(source.path, source.fold) for source in recipe.data.train or ()] == [("clips", (1, 2))]
    assert told(CLASSIFY.replace("train: clips", "train: [a, b]"), "data.train.fold=1") == [
        "<command line>: data.train.fold: inside a list - override the list as a whole"
    ]


def test_an_override_may_set_a_whole_section() -> None:
    recipe = parse(CLASSIFY, "model={kind: cnn, channels: [4, 8]}", "train={steps: 5}")
    assert recipe.model.kind == "cnn"
    assert (recipe.train.steps, recipe.train.batch_size) == (5, 32)


def test_a_change_of_kind_keeps_keys_and_says_which_do_not_fit() -> None:
    found = told(CLASSIFY, "model.kind=cnn")
    for line, number, key in zip(found, (4, 5, 6), ("embed_dim", "depth", "num_heads"), strict=True):
        assert line.startswith(f"recipes/x.yaml:{number}: model.{key}: unknown key")
        assert line.endswith("Known: kind, num_classes, n_mels, n_frames, channels")


# Rules between sections


@pytest.mark.parametrize(
    ("text", "overrides", "line"),
    [
        (CLASSIFY, ["train.steps=3", "train.epochs=3"], "train.steps: found beside epochs"),
        (CLASSIFY, ["objective.kind=masked-patch"], "model.kind: found 'ast' with objective 'masked-patch'"),
        (PRETRAIN, ["model.stride=[10, 10]"], "model.stride: found 10x10 with patch_size 16x16"),
        (PRETRAIN, ["model.num_masked=5000"], "model.num_masked: "),
        (PRETRAIN, ["model.masks_per_clip=0"], "model.masks_per_clip: must be >= 1, got 0"),
        (PRETRAIN, ["model.encode=visible", "model.decoder_dim=7"], "model.decoder_dim: found 7 with num_heads 2"),
        (
            PRETRAIN,
            ["model.separate_masks=true", "objective.classify_weight=0"],
            "model.separate_masks: found true with objective.classify_weight 0",
        ),
        (PRETRAIN, ["evaluate.metric=accuracy"], "evaluate.metric: found 'accuracy' with objective 'masked-patch'"),
        (PRETRAIN, ["schedule.warmup_clips=2000"], "schedule.warmup_clips: found 2000 for a run of 1000 clips"),
        (CLASSIFY, ["schedule={kind: passt}"], "schedule.warmup_epochs: found 5 for a run of 2 epochs"),
        (
            CLASSIFY,
            ["schedule={kind: step}", "train.steps=9"],
            "schedule.warmup_steps: found 1000 for a run of 9 steps",
        ),
        (CLASSIFY, ["schedule={kind: step, warmup_steps: 9}"], "schedule.warmup_stair: found 50 with warmup_steps 9"),
        (CLASSIFY, ["schedule.kind=plateau"], "schedule.kind: unknown kind 'plateau'"),
        (CLASSIFY, ["optim.kind=sgd"], "optim.kind: unknown kind 'sgd'"),
        (CLASSIFY, ["optim.freeze=0"], "optim.freeze: must be >= 1, got 0"),
        (CLASSIFY, ["optim.freeze=head"], "optim.freeze: expected 'none' or 'backbone' or an integer, got 'head'"),
        (CLASSIFY, ["optim.layer_decay=2"], "optim.layer_decay: must be <= 1, got 2"),
        (CLASSIFY, ["optim.decay=none"], "optim.decay: expected 'matrices' or 'all', got 'none'"),
        (CLASSIFY, ["train.average={kind: epochs, first: 1, last: 5}"], "train.average.last: found 5 for a run of 2 "),
        (CLASSIFY, ["train.average=swa"], "train.average.start: found 50 for a run of 2 epochs"),
        (CLASSIFY, ["train.average={kind: epochs, first: 2, last: 1}"], "train.average.last: found 1 with first 2"),
        (CLASSIFY, ["train.average={kind: ema, decay: 1}"], "train.average.decay: must be < 1, got 1"),
        (CLASSIFY, ["data.task=null"], "data.task: found none for objective 'classification'"),
        (CLASSIFY, ["data.task=multi-label", "evaluate.metric=accuracy"], "evaluate.metric: found 'accuracy'"),
        (CLASSIFY, ["data.task=multi-label", "objective.loss=ce"], "objective.loss: found 'ce' with data.task"),
        (CLASSIFY, ["front_end.n_mels=64"], "front_end.n_mels: found 64 with model.n_mels 128"),
        (CLASSIFY, ["augment.freq_mask=128"], "augment.freq_mask: found 128 with front_end.n_mels 128"),
        (CLASSIFY, ["data.labels=[a, b]", "model.num_classes=3"], "model.num_classes: found 3 with 2 names"),
        (CLASSIFY, ["model.n_frames=8"], "model.patch_size: found 16x16"),
        (CLASSIFY, ["model.embed_dim=17"], "model.embed_dim: found 17 with num_heads 2"),
        (CLASSIFY, ["model.kind=passt", "model.patchout_freq=12"], "model.patchout_freq: "),
        (CLASSIFY, ["evaluate.every_epochs=1", "evaluate.every_clips=1"], "evaluate.every_clips: found beside"),
        (CLASSIFY, ["front_end.n_fft=256"], "front_end.n_fft: "),
        (CLASSIFY, ["evaluate.long_clips=whole", "data.padding=as_source"], "evaluate.long_clips: found 'whole' with"),
    ],
)
def test_contradictions_are_at_their_key(text: str, overrides: list[str], line: str) -> None:
    assert any(f": {line}" in found for found in told(text, *overrides))
    assert len(told(text, *overrides)) == 1


def test_contradictions_are_told_with_mistakes_in_other_sections() -> None:
    found = told(CLASSIFY + "  device: tpu\nfront_end: {n_mels: 64}\naugment: {freq_mask: 64}\noptim: 3\n")
    assert [line.split(": ")[1] for line in found] == ["train.device", "front_end.n_mels", "augment.freq_mask", "optim"]


def test_python_callers_meet_the_same_rules() -> None:
    sections = {name: getattr(parse(CLASSIFY), name) for name in ("model", "data", "objective", "train")}
    with pytest.raises(ValidationError, match=r"front_end\.n_mels: found 64 with model\.n_mels 128"):
        Recipe(name="x", front_end={"n_mels": 64}, **sections)
    assert Recipe(name="x", front_end={"n_mels": 128}, **sections).front_end.n_mels == 128


def test_the_number_of_classes_follows_the_data_unless_it_is_stated() -> None:
    assert parse(CLASSIFY, "data.labels=[a, b]").model.model_fields_set.isdisjoint({"num_classes"})
    assert "num_classes" not in dump_recipe(parse(CLASSIFY))
    assert "num_classes: 2" in dump_recipe(parse(CLASSIFY, "data.labels=[a, b]", "model.num_classes=2"))


@pytest.mark.parametrize(
    ("text", "overrides", "expected"),
    [
        (CLASSIFY, [], WindowConfig(long_clips="windows", overlap=0.5, max_seconds=60.0)),
        (PRETRAIN, [], WindowConfig(long_clips="beginning")),
        (PRETRAIN, ["evaluate.long_clips=windows", "evaluate.overlap=0"], WindowConfig(overlap=0.0)),
        (
            CLASSIFY,
            ["evaluate.long_clips=whole", "evaluate.max_seconds=9"],
            WindowConfig(long_clips="whole", max_seconds=9.0),
        ),
    ],
)
def test_what_is_done_with_long_clips(text: str, overrides: list[str], expected: WindowConfig) -> None:
    assert parse(text, *overrides).windows == expected


def test_what_is_allowed() -> None:
    parse(CLASSIFY, "train.precision=bf16", "train.device=cpu")
    parse(CLASSIFY, "data.eval=null")
    parse(CLASSIFY, "objective.loss=bce")
    parse(PRETRAIN, "evaluate.metric=loss", "schedule.warmup_clips=1000")
    parse(CLASSIFY, "data.task=multi-label", "evaluate.metric=mAP")


@pytest.mark.parametrize(
    ("text", "overrides", "metric"),
    [
        (PRETRAIN, [], "loss"),
        (CLASSIFY, [], "accuracy"),
        (CLASSIFY, ["data.task=multi-label"], "mAP"),
        (CLASSIFY, ["evaluate.metric=f1"], "f1"),
    ],
)
def test_the_metric_that_decides(text: str, overrides: list[str], metric: str) -> None:
    assert parse(text, *overrides).metric == metric


# Writing


@pytest.mark.parametrize("text", [CLASSIFY, PRETRAIN])
def test_a_dump_is_complete_and_reads_back_equal(text: str) -> None:
    recipe = parse(text)
    dumped = dump_recipe(recipe)
    assert parse(dumped) == recipe
    assert dump_recipe(parse(dumped)) == dumped
    values = yaml.safe_load(dumped)
    assert list(values) == list(Recipe.model_fields)
    assert values["init"]["from"] is None
    assert set(values["init"]) == {"from", "positions", "channels", "cls", "patches", "front_end", "own"}
    assert values["model"]["patch_size"] == [16, 16]
    assert set(values["train"]) == set(TrainConfig.model_fields)


@pytest.mark.parametrize(
    "word", ["1e-4", "no", "null", "010", "1:30", "2024-01-01", "-", "a: b", "#x", "é", "🎵", ".nan"]
)
def test_text_that_looks_like_something_else_stays_text(word: str) -> None:
    recipe = parse(CLASSIFY).model_copy(update={"init": parse(CLASSIFY).init.model_copy(update={"path": word})})
    assert parse(dump_recipe(recipe)).init.path == word
    assert yaml.safe_load(dump_recipe(recipe))["init"]["from"] == word


def test_differences_are_by_key() -> None:
    a = parse(CLASSIFY)
    assert recipe_differences(a, a) == []
    b = parse(CLASSIFY, "optim.lr=3e-4", "model.patch_size=[8, 8]", "train.steps=5", "data.train=other")
    all_of_it = dict.fromkeys(("fold", "not_fold", "split", "folds"))
    assert recipe_differences(a, b) == [
        ("model.patch_size", [16, 16], [8, 8]),
        ("data.train", [{"path": "clips", **all_of_it}], [{"path": "other", **all_of_it}]),
        ("optim.lr", 1e-4, 3e-4),
        ("train.epochs", 2, None),
        ("train.steps", None, 5),
    ]
    cnn = parse(CLASSIFY, "model={kind: cnn}")
    assert ("model.channels", None, [16, 32]) in recipe_differences(a, cnn)
    assert ("model.depth", 1, None) in recipe_differences(a, cnn)
