"""A probe during pretraining: it changes nothing, fires when it should, and says what is wrong before training."""

import json
import logging
import shutil
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

import zoo
from zoo.errors import DataError, RecipeError
from zoo.recipe import parse_recipe, read_recipe
from zoo.run import train
from zoo.run.pretext_probe import due_at, find_probe
from zoo.train.checkpoint import load_checkpoint
from zoo.train.interrupt import Interrupted
from zoo.train.plan import Plan, Report
from zoo.use.inspect import check_recipe

RECIPE = """
name: pre
model:
  {kind: ssast, n_frames: 48, embed_dim: 16, depth: 2, num_heads: 2, patch_size: [16, 16], stride: [16, 16],
   num_masked: 8, dropout: 0.1}
objective: {kind: masked-patch}
data: {train: DATA/clips, eval: DATA/clips, num_workers: 0}
train: {clips: 24, batch_size: 4, precision: fp32, device: cpu}
evaluate: {every_clips: 4}
log: {every_clips: 8, images: 0}
"""
SELDOM = "evaluate.probe={train: {path: DATA/meta.csv, fold: 1}, test: {path: DATA/meta.csv, fold: 2}, every_clips: 10}"
PROBE = "evaluate.probe={train: DATA/clips, share: 0.34}"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three kinds of sound that are easily told apart, six clips of each, beside clips of the same in two folds."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("probe")
    time = np.arange(8_000) / 16_000
    rng = np.random.default_rng(0)
    rows = ["path,label,fold"]
    for number, label in enumerate(("low", "high", "noise")):
        (folder / "clips" / label).mkdir(parents=True)
        for clip in range(6):
            wave = 0.3 * np.sin(2 * np.pi * 300 * 4**number * time + clip) if label != "noise" else 0
            wave = wave + (0.2 if label == "noise" else 0.001) * rng.standard_normal(time.size)
            soundfile.write(folder / "clips" / label / f"{clip}.wav", wave.astype(np.float32), 16_000)
            rows.append(f"clips/{label}/{clip}.wav,{label},{1 + clip % 2}")
    (folder / "meta.csv").write_text("\n".join(rows) + "\n")
    return folder


def run(data: Path, out: Path, *overrides: str, **more: Any) -> dict[str, Any]:
    given = [override.replace("DATA", str(data)) for override in overrides]
    recipe = parse_recipe(RECIPE.replace("DATA", str(data)), "x.yaml", given, for_training=True)
    return train(recipe, out, command="pretrain", **more)


def lines(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


@dataclass(frozen=True)
class Runs:
    """The same run without a probe, with one at every evaluation, and with one now and then."""

    without: Path
    probed: Path
    seldom: Path
    summary: dict[str, Any]


@pytest.fixture(scope="module")
def runs(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    folder = tmp_path_factory.mktemp("runs")
    run(data, folder / "without")
    summary = run(data, folder / "probed", PROBE)
    run(data, folder / "seldom", SELDOM)
    return Runs(folder / "without", folder / "probed", folder / "seldom", summary)


def probed_at(out: Path) -> list[int]:
    return [line["clips"] for line in lines(out) if "eval/probe_knn" in line]


TIMED = ("perf/", "data/seconds", "seconds")


def same_but(path: Path, *left_out: str) -> list[dict[str, Any]]:
    return [
        {tag: value for tag, value in line.items() if not tag.startswith((*TIMED, *left_out))} for line in lines(path)
    ]


def test_it_changes_nothing(runs: Runs) -> None:
    """Neither a weight nor a number of the training or of the evaluation, with dropout and all, to the last bit."""
    theirs, _ = load_checkpoint(runs.without / "checkpoints" / "last")
    for folder in (runs.probed, runs.seldom):
        ours, _ = load_checkpoint(folder / "checkpoints" / "last")
        assert all(torch.equal(ours[name], theirs[name]) for name in ours.keys() | theirs.keys())
        assert same_but(folder, "eval/probe_") == same_but(runs.without)
    assert probed_at(runs.without) == []


def test_it_is_logged_with_its_chance_and_told_in_the_summary(runs: Runs) -> None:
    assert probed_at(runs.probed) == [4, 8, 12, 16, 20, 24]
    for line in lines(runs.probed):
        if "eval/loss" in line:
            assert line["eval/probe_chance"] == pytest.approx(1 / 3)
            assert all(0 <= line[f"eval/probe_{kind}"] <= 1 for kind in ("knn", "linear"))
    last = lines(runs.probed)[-1]
    assert last["eval/probe_linear"] > 0.8  # three sounds that are easily told apart
    summary = runs.summary
    assert summary["metrics"]["probe_linear"] == last["eval/probe_linear"]
    assert summary["metrics"]["mean_patch_loss"] == last["eval/mean_patch_loss"]
    assert summary["chance"]["probe_knn"] == pytest.approx(1 / 3)
    assert summary["health"] == {tag: value for tag, value in last.items() if tag.startswith("health/")}
    about = summary["probe"]
    assert (about["clips"], about["metric"], about["classes"]) == (24, "accuracy", 3)
    assert about["num_train_clips"] + about["num_test_clips"] == 18
    assert about["linear"] == last["eval/probe_linear"]


def test_it_is_the_probe_of_frozen_features(data: Path, runs: Runs) -> None:
    """The numbers of `zoo probe` on the checkpoint, at the same settings and on the same fold."""
    given = {"kinds": ("linear", "knn"), "inverse_regularisation": 0.1, "neighbours": 20, "untrained": False}
    loaded = zoo.load(runs.seldom)
    loaded = getattr(loaded, "backbone", loaded)
    report = zoo.probe(runs.seldom, data / "meta.csv", fold=["2"], pool="mean", cache=runs.seldom / "cache", **given)
    last = lines(runs.seldom)[-1]
    for row in report:
        assert row.metrics["accuracy"] == pytest.approx(last[f"eval/probe_{row.kind}"])


@pytest.mark.parametrize("stop_at", [4, 12])
def test_a_resumed_run_probes_at_the_same_clips(data: Path, runs: Runs, stop_at: int, tmp_path: Path) -> None:
    """Every 10 clips, of evaluations every 4: at the first one after 10, after 20, and at the end."""
    assert probed_at(runs.seldom) == [12, 20, 24]

    def stop(report: Report) -> None:
        if report.clips == stop_at:
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(Interrupted):
        run(data, tmp_path / "cut", SELDOM, on_progress=stop)
    assert probed_at(tmp_path / "cut") == [at for at in (12, 20) if at <= stop_at + 4]  # a step later
    run(data, tmp_path / "cut", SELDOM, resume=True)
    assert same_but(tmp_path / "cut") == same_but(runs.seldom)


def test_it_may_be_added_to_a_run_that_goes_on(data: Path, runs: Runs, tmp_path: Path) -> None:
    shutil.copytree(runs.without, tmp_path / "run")
    run(data, tmp_path / "run", PROBE, resume=True)


@pytest.mark.parametrize(("period", "every", "step"), [(4, 10, 4), (4, 4, 3), (10, 30, 40), (7, 3, 2), (96, 1000, 24)])
def test_due_at_the_first_evaluation_after_another_so_many_clips(period: int, every: int, step: int) -> None:
    """Against a run that is walked through, with a memory."""
    total = 3000
    is_due = due_at(every, Plan(total, 0, clips_per_step=step, evaluate_every_clips=period))
    passed = 0
    for clips in range(step, total + step, step):
        if clips // period == (clips - step) // period and clips < total:
            continue  # no evaluation here
        nominal = clips // period * period // every
        assert is_due(clips) == (nominal > passed or clips >= total), clips
        passed = nominal


def test_without_a_period_always() -> None:
    assert due_at(None, Plan(100, 0, clips_per_step=4, evaluate_every_clips=10))(12)
    assert due_at(30, Plan(100, 0, clips_per_step=4))(100)


def test_without_held_out_clips_the_probe_alone_is_evaluated(data: Path, tmp_path: Path) -> None:
    summary = run(data, tmp_path / "run", "data.eval=null", "train.clips=8", PROBE)
    assert probed_at(tmp_path / "run") == [4, 8]
    assert summary["metrics"] == {}
    assert summary["probe"]["clips"] == 8


def test_several_labels_are_measured_by_map(data: Path, tmp_path: Path) -> None:
    text = (data / "meta.csv").read_text().replace("label,", "labels,").replace(",high,", ",high;low,")
    (data / "several.csv").write_text(text)
    given = "train: DATA/several.csv, share: 0.34, task: multi-label, max_clips: 9, labels: [low, high, noise, odd]"
    summary = run(data, tmp_path / "run", "train.clips=4", f"evaluate.probe={{{given}}}")
    assert summary["probe"]["metric"] == "mAP"
    assert (summary["probe"]["num_train_clips"], summary["probe"]["classes"]) == (9, 4)
    assert 0 <= summary["probe"]["knn"] <= 1


def test_bad_files_are_counted_and_not_fatal(data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    shutil.copytree(data / "clips", tmp_path / "clips")
    for number in (0, 1):
        (tmp_path / f"clips/low/{number}.wav").write_bytes(b"no sound")
    given = f"evaluate.probe={{train: {tmp_path}/clips, share: 0.34}}"
    summary = run(data, tmp_path / "run", "train.clips=4", given)
    assert sum(summary["bad_audio"]["probe"]["unusable"].values()) == 2
    assert summary["probe"]["num_train_clips"] + summary["probe"]["num_test_clips"] == 16
    assert summary["bad_clips"] == summary["bad_eval_clips"] == 0
    for label in ("high", "noise"):  # nothing of two classes can be used
        for file in (tmp_path / "clips" / label).iterdir():
            file.write_bytes(b"no sound")
    with caplog.at_level(logging.WARNING, "zoo.run"):
        summary = run(data, tmp_path / "again", "train.clips=4", given)
    assert summary["probe"]["linear"] is None
    assert "the probe says nothing" in caplog.text


@pytest.mark.parametrize(
    ("probe", "told"),
    [
        ("{train: DATA/none.csv, share: 0.2}", "none.csv: no such file or folder"),
        ("{train: DATA/clips, test: DATA/nowhere}", "nowhere: no such file or folder"),
        ("{train: DATA/clips/low, share: 0.34}", "evaluate.probe: "),
        ("{train: DATA/clips, test: DATA/clips}", "found 18 of 18 clips that are learned from too"),
        ("{train: DATA/clips, share: 0.34, labels: [low, high]}", "label 'noise'"),
        ("{train: DATA/gone.csv, share: 0.34}", "found none of 12 files"),
        ("{train: {path: DATA/meta.csv, fold: 1}, test: {path: DATA/meta.csv, fold: 9}}", "no clip of fold 9"),
        ("{train: DATA/one.csv, share: 0.34}", "found 1 class to learn from"),
        ("{train: DATA/clips, share: 0.01}", "to set a share of 0.01 aside"),
    ],
)
def test_what_is_missing_is_told_before_training(data: Path, tmp_path: Path, probe: str, told: str) -> None:
    text = (data / "meta.csv").read_text()
    (data / "gone.csv").write_text(text.replace("clips/", "gone/"))
    (data / "one.csv").write_text(text.replace(",high,", ",low,").replace(",noise,", ",low,"))
    with pytest.raises(DataError) as error:
        run(data, tmp_path / "run", f"evaluate.probe={probe}")
    assert str(error.value).startswith("evaluate.probe: ")
    assert told in str(error.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("probe", "told"),
    [
        ("{train: x}", "evaluate.probe.test: found nothing"),
        ("{train: x, test: y, share: 0.2}", "evaluate.probe.share: found beside test"),
        ("{share: 0.2}", "evaluate.probe.train: required key is missing"),
        ("{train: x, share: 0.9}", "evaluate.probe.share"),
        ("{train: x, share: 0.2, k: 3}", "evaluate.probe.k: unknown key"),
    ],
)
def test_what_a_recipe_cannot_say(probe: str, told: str) -> None:
    with pytest.raises(RecipeError, match=told):
        parse_recipe(RECIPE, "x.yaml", [f"evaluate.probe={probe}"])


def test_it_is_of_pretraining() -> None:
    with pytest.raises(RecipeError, match=r"evaluate.probe: found one with objective 'classification'"):
        read_recipe("quickstart/ast", ["evaluate.probe={train: x, share: 0.2}"])


def test_of_many_clips_as_many_of_every_class(data: Path) -> None:
    rows = ["path,label", *(f"{number}.wav,{'rare' if number % 10 == 0 else 'usual'}" for number in range(200))]
    (data / "many.csv").write_text("\n".join(rows) + "\n")
    (data / "0.wav").touch()
    labels = "[rare, usual, low, high, noise]"
    given = f"evaluate.probe={{train: {data}/many.csv, test: {data}/meta.csv, max_clips: 20, labels: {labels}}}"
    found = find_probe(parse_recipe(RECIPE, "x.yaml", [given]))
    assert found is not None
    assert found.labels.counts(found.train)[:2] == (10, 10)
    usual = [int(clip.path.stem) for clip in found.train.clips if clip.labels == ("usual",)]
    assert usual != sorted(range(200))[: len(usual)]
    assert max(usual) > 100  # not the first ones of the file
    again = find_probe(parse_recipe(RECIPE, "x.yaml", [given]))
    assert again is not None
    assert again.train == found.train


def test_zoo_check_looks_at_its_clips(data: Path, tmp_path: Path) -> None:
    (tmp_path / "pre.yaml").write_text(RECIPE.replace("DATA", str(data)))
    report = check_recipe(tmp_path / "pre.yaml", [SELDOM.replace("DATA", str(data))])
    assert report["probe"] == {"train_clips": 9, "test_clips": 9, "classes": 3}
    with pytest.raises(DataError, match=r"evaluate\.probe: nowhere: no such file"):
        check_recipe(tmp_path / "pre.yaml", ["evaluate.probe={train: nowhere, share: 0.2}"])


def test_columns_of_other_names(data: Path) -> None:
    (data / "named.csv").write_text((data / "meta.csv").read_text().replace("path,label", "file,what", 1))
    given = f"evaluate.probe={{train: {data}/named.csv, share: 0.34, columns: {{path: file, labels: what}}}}"
    found = find_probe(parse_recipe(RECIPE, "x.yaml", [given]))
    assert found is not None
    assert found.labels.names == ("high", "low", "noise")
    with pytest.raises(RecipeError, match=r"evaluate\.probe\.columns"):
        parse_recipe(RECIPE, "x.yaml", [given.replace("{path:", "{paht:")])
