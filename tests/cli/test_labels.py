"""Labels, balance and folds through the command line: official JSON, resumed in the middle of an epoch, and leaks."""

import csv
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file

import zoo as package
from tests.cli.conftest import TINY
from zoo.cli import main
from zoo.recipe import read_recipe
from zoo.run import find_data, train
from zoo.train.plan import Report
from zoo.use.pack import pack_manifest

Zoo = Callable[..., SimpleNamespace]

TABLE = 'index,mid,display_name\n0,/m/a,Low\n1,/m/b,"High, clear"\n2,/m/c,Middle\n'


@pytest.fixture
def zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Zoo:
    """Runs a command in this process, in a temporary folder, and checks the exit code: a new process takes seconds."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object, code: int = 0) -> SimpleNamespace:
        capsys.readouterr()
        found = 0
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as stop:
            found = int(stop.code or 0)
        out, err = capsys.readouterr()
        assert found == code, f"{arguments}: exit {found}\n{out}\n{err}"
        return SimpleNamespace(stdout=out, stderr=err)

    return run


@pytest.fixture
def official(tone_folder: Callable[..., Path], tmp_path: Path) -> Path:
    """Nine clips in the layout of the released code: seven low, three high, one of them both, one unknown."""
    folder = tone_folder(clips=7)
    files = [folder / f"low/low_{i}.wav" for i in range(7)] + [folder / f"high/high_{i}.wav" for i in range(2)]
    labels = ["/m/a"] * 6 + ["/m/a,/m/b"] + ["/m/b,/m/x", "/m/b"]
    entries = [{"wav": str(file), "labels": label} for file, label in zip(files, labels, strict=True)]
    (tmp_path / "train.json").write_text(json.dumps({"data": entries}))
    (tmp_path / "class_labels_indices.csv").write_text(TABLE)
    return tmp_path


ARGUMENTS = [
    "quickstart/cnn",
    "data.train=train.json",
    "data.eval=train.json",
    "data.labels=class_labels_indices.csv",
    "data.task=multi-label",
    "data.unknown_labels=ignore",
    "data.sampling=balanced",
    "data.sampling.clips_per_epoch=14",
    "objective.class_weights=balanced",
    "evaluate.metric=mAP",
    "augment.time_roll=0",
    *TINY,
]


def test_balanced_multi_label_training(zoo: Zoo, official: Path) -> None:
    zoo("finetune", *ARGUMENTS, "train.epochs=2", "evaluate.every_clips=null", "--out", "run")
    summary = json.loads((official / "run/summary.json").read_text())
    assert summary["clips"] == 24  # of 14 draws an epoch, three batches of 4
    assert summary["epochs"] == 2
    unknown = {"names": {"/m/x": 1}, "clips_left_out": 0, "clips_without_label": 0}
    assert summary["unknown_labels"] == {"train": unknown, "eval": unknown}
    assert any("unknown labels ignored: /m/x × 1" in line for line in summary["warnings"])
    assert any("1 of 3 classes have no training clip: Middle" in line for line in summary["warnings"])
    assert any("rare classes count twice" in line for line in summary["warnings"])
    yes, no = summary["class_weights"]["positive"], summary["class_weights"]["negative"]
    assert [a / b for a, b in zip(yes, no, strict=True)] == pytest.approx([2 / 7, 6 / 3, 1], rel=1e-4)
    config = json.loads((official / "run/checkpoints/last/config.json").read_text())
    assert config["labels"] == ["Low", "High, clear", "Middle"]
    assert config["label_aliases"] == {"/m/a": "Low", "/m/b": "High, clear", "/m/c": "Middle"}
    assert (official / "run/labels.csv").read_text() == TABLE
    assert package.load(official / "run").labels == ("Low", "High, clear", "Middle")

    # The checkpoint knows the clips' words: mids, indices, names.
    assert "'/m/x' (1 clip)" in zoo("evaluate", "run", "train.json", code=2).stderr
    result = json.loads(zoo("evaluate", "run", "train.json", "--unknown-labels", "ignore", "--json").stdout)
    assert result["unknown_labels"]["names"] == {"/m/x": 1}
    assert result["metrics"]["mAP"] == pytest.approx(summary["metrics"]["mAP"])
    rows = [["path", "labels"], ["tones/low/low_0.wav", "0"], ["tones/high/high_0.wav", '["High, clear"]']]
    with (official / "by_index.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    assert json.loads(zoo("evaluate", "run", "by_index.csv", "--json").stdout)["num_eval_clips"] == 2


def test_a_run_stopped_in_the_middle_of_an_epoch_goes_on_bit_for_bit(official: Path) -> None:
    """Clips drawn again, and how often, are those of a run that was never stopped."""
    files = ("train.json", "class_labels_indices.csv")
    arguments = [one.replace("=", f"={official}/") if one.endswith(files) else one for one in ARGUMENTS[1:]]
    arguments += ["train.clips=40", "log.checkpoint_minutes=1e-6"]
    recipe = read_recipe(ARGUMENTS[0], arguments)
    train(recipe, official / "whole", command="finetune")

    def stop(news: Report) -> None:
        if news.step == 5:  # the second of the three batches of epoch 1
            raise InterruptedError

    with pytest.raises(InterruptedError):
        train(recipe, official / "cut", command="finetune", on_progress=stop)
    assert not (official / "cut/summary.json").exists()
    workers = read_recipe(ARGUMENTS[0], [*arguments, "data.num_workers=2"])
    train(workers, official / "cut", command="finetune", resume=True)
    ours, theirs = (load_file(official / name / "checkpoints/last/model.safetensors") for name in ("cut", "whole"))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_other_weights_or_labels_are_another_run(zoo: Zoo, official: Path) -> None:
    weights = official / "train_weight.csv"
    weights.write_text("1\n" * 9)
    arguments = ["finetune", *ARGUMENTS[:6], "data.sampling={kind: weighted, file: train_weight.csv}", *TINY]
    arguments += ["evaluate.metric=mAP", "train.clips=8", "evaluate.every_clips=null", "--out", "run"]
    zoo(*arguments)
    zoo(*arguments, "--resume")
    weights.write_text("2\n" * 9)
    assert "data.sampling.file has changed since this run began" in zoo(*arguments, "--resume", code=2).stderr
    weights.write_text("1\n" * 9)
    (official / "class_labels_indices.csv").write_text(TABLE.replace("Low", "Lower"))
    assert "the labels have changed since this run began" in zoo(*arguments, "--resume", code=2).stderr
    weights.write_text("1\n" * 8)
    assert "8 weights - expected 9" in zoo(*arguments, "--resume", code=2).stderr


def test_a_table_for_a_checkpoint_that_has_none(zoo: Zoo, official: Path) -> None:
    zoo("finetune", *ARGUMENTS, "train.clips=4", "evaluate.every_clips=null", "--out", "run")
    path = official / "run/checkpoints/last/config.json"
    config = json.loads(path.read_text())
    for key in ("labels", "label_aliases", "label_indices", "task"):
        del config[key]
    path.write_text(json.dumps(config))
    arguments = ["evaluate", "run", "train.json", "--unknown-labels", "ignore"]
    assert "give --labels FILE and --task" in zoo(*arguments, code=2).stderr
    given = ["--labels", "class_labels_indices.csv", "--task", "multi-label"]
    assert "unknown labels ignored: /m/x × 1" in zoo(*arguments, *given).stdout
    (official / "short.csv").write_text("index,mid,name\n0,/m/a,Low\n1,/m/b,High\n")
    text = zoo(*arguments, "--labels", "short.csv", "--task", "multi-label", code=2).stderr
    assert "short.csv: 2 names - expected 3, the outputs of" in text
    path.write_text(json.dumps({**config, "labels": ["Low", "High", "Middle"], "task": "multi-label"}))
    text = zoo(*arguments, *given[:2], code=2).stderr
    assert "'High, clear' at index 1 - expected 'High', as" in text


def test_check_tells_classes_folds_balance_and_leaks(
    zoo: Zoo, tone_folder: Callable[..., Path], tmp_path: Path
) -> None:
    tone_folder(clips=6)
    with (tmp_path / "m.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label", "group"])
        for i in range(6):
            writer.writerow([f"tones/low/low_{i}.wav", "low", f"speaker {i // 2}"])
        for i in range(3):
            writer.writerow([f"tones/high/high_{i}.wav", "high", f"speaker {i}"])
    shared = ["check", "quickstart/cnn", *TINY, "data.sampling=balanced", "--json"]
    folds = "folds: {num: 3, by: label}"
    sources = [f"data.train={{path: m.csv, {folds}, not_fold: 3}}", f"data.eval={{path: m.csv, {folds}, fold: 3}}"]
    (report,) = json.loads(zoo(*shared, *sources).stdout)
    assert (report["train_clips"], report["eval_clips"], report["eval_clips_also_trained_on"]) == (6, 3, 0)
    assert report["train_clips_per_class"] == {"least": "2 (high)", "median": "3", "most": "4 (low)"}
    assert (report["train_clips_per_fold"], report["eval_clips_per_fold"]) == ({"1": 3, "2": 3}, {"3": 3})
    assert report["sampling"]["kind"] == "balanced"
    assert report["share_of_draws_per_class"]["most"] in ("0.5006 (low)", "0.5006 (high)")
    assert any(line.startswith("leak: ") and "are trained on and evaluated on" in line for line in report["warnings"])
    by_group = [source.replace("by: label", "by: group") for source in sources]
    (report,) = json.loads(zoo(*shared, *by_group, "objective.class_weights=balanced").stdout)
    assert not any(line.startswith("leak: ") for line in report["warnings"])
    assert report["class_weights"]["least"].endswith("(low)")
    assert "class_weights" in zoo(*shared[:-1], *by_group, "objective.class_weights=balanced").stdout


@pytest.mark.parametrize("packed", [False, True], ids=["files", "a pack"])
def test_pretraining_has_the_folds_of_fine_tuning(
    tone_folder: Callable[..., Path], tmp_path: Path, packed: bool
) -> None:
    """Without labels too: else what is evaluated later could have been seen."""
    tone_folder(clips=6)
    with (tmp_path / "m.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label", "group"])
        for name in ("low", "high"):
            writer.writerows([f"tones/{name}/{name}_{i}.wav", name, f"{i // 2}{name[: i % 3]}"] for i in range(6))
    place = tmp_path / "m.csv"
    if packed:
        pack_manifest(str(place), tmp_path / "pack", workers=0)
        place = tmp_path / "pack"
    for by in ("group", "label", "clip"):
        source = f"data.train={{path: {place}, folds: {{num: 4, by: {by}, seed: 7}}}}"
        found = [find_data(read_recipe(f"quickstart/{name}", [source])).train for name in ("pretrain", "ssast")]
        assert found[0] is not None
        assert found[1] is not None
        folds = [[(clip.id, clip.fold) for clip in one.clips] for one in found if one is not None]
        assert folds[0] == folds[1]
        assert {fold for _, fold in folds[0]} == {"1", "2", "3", "4"}
        assert {clip.labels for clip in found[0].clips} == {()}


def test_split_writes_the_folds_of_a_recipe(zoo: Zoo, tone_folder: Callable[..., Path], tmp_path: Path) -> None:
    data = tone_folder(clips=6)
    with (tmp_path / "m.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["filename", "category", "group"])
        writer.writerows([f"tones/{n}/{n}_{i}.wav", n, f"g{i // 2}"] for n in ("low", "high") for i in range(6))
    arguments = ["split", "m.csv", "out.csv", "--folds", "3", "--by", "group", "--column", "labels=category"]
    report = json.loads(zoo(*arguments, "--json").stdout)
    assert [(row["clips"], row["groups"], row["labels"]) for row in report["folds"]] == [
        (4, 1, {"high": 2, "low": 2})
    ] * 3
    with (tmp_path / "out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[0].keys() == {"id", "path", "labels", "fold", "group"}
    assert rows[0]["path"] == "tones/low/low_0.wav"
    assert Counter(row["fold"] for row in rows) == {"1": 4, "2": 4, "3": 4}
    made, check = "path: m.csv, folds: {num: 3, by: group}", ["check", "quickstart/cnn", "--json"]
    written = zoo(*check, "data.train={path: out.csv, not_fold: 1}", "data.eval={path: out.csv, fold: 1}").stdout
    direct = [f"data.train={{{made}, not_fold: 1}}", f"data.eval={{{made}, fold: 1}}", "data.columns.labels=category"]
    direct = zoo(*check, *direct).stdout
    assert written == direct
    assert "there already" in zoo(*arguments, code=2).stderr
    shown = zoo("split", data, "folder.jsonl", "--by", "label", "--folds", "2").stdout
    assert "12 clips in 2 folds by label" in shown
    assert "wrote folder.jsonl" in shown
    assert "7 clips" not in shown
    for wrong, words in (
        (["m.csv", "out.tsv", "--by", "clip"], "expected .csv or .jsonl"),
        (["m.csv", "o.csv", "--by", "label"], "no column 'labels' or 'label'"),
        (["m.csv", "o.csv", "--by", "group", "--folds", "4"], "3 groups for 4 folds"),
        (["m.csv", "o.csv", "--by", "clip", "--column", "labels"], "OURS=THEIRS"),
        (["m.csv", "o.csv", "--by", "clip", "--column", "lable=x"], "did you mean 'label'"),
        ([str(data), "o.csv", "--by", "group"], "no group (12 of 12 clips have none)"),
    ):
        text = zoo("split", *wrong, code=2).stderr
        assert words in text
        assert "Traceback" not in text
