"""Cross-validation and ensembles as a user runs them, also when they are killed.

All but what is killed runs in this process, which spares a start of Python for every command.
"""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import TINY, environment
from zoo.cli import main
from zoo.compare.finished import read_summary

Zoo = Callable[..., str]
FOLDS = "data.train.folds={num: 3, by: label}"
MODEL = [*TINY, "model.channels=[4, 8]", "train.clips=32", "evaluate.every_clips=16", "log.images=0"]


@pytest.fixture
def zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Zoo:
    """Runs a command in a temporary folder and gives what it prints; what it complains of, where it fails with 2."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: object, code: int = 0) -> str:
        capsys.readouterr()
        if code == 0:
            main(list(map(str, arguments)))
            return capsys.readouterr().out
        with pytest.raises(SystemExit) as stopped:
            main(list(map(str, arguments)))
        assert stopped.value.code == code
        return capsys.readouterr().err

    return run


def _arguments(data: Path, out: str, *more: str) -> list[str]:
    return ["crossval", "quickstart/cnn", f"data.train={data}", FOLDS, *MODEL, "--rule", "last", "--out", out, *more]


def test_crossval_and_ensemble(zoo: Zoo, tone_folder: Callable[..., Path], tmp_path: Path) -> None:
    data = tone_folder(clips=6)
    done = zoo(*_arguments(data, "cv"))
    assert "quickstart-cnn: 3 folds, rule 'last'" in done
    assert "honest: each fold judged once, by the weights at the end of its run" in done
    for title in ("accuracy", "mAP", "AUC", "d′", "precision, macro", "F1, weighted", "chance", "mean ± deviation"):
        assert title in done
    report = json.loads(zoo(*_arguments(data, "cv", "--json", "--resume")))
    assert report == json.loads((tmp_path / "cv/crossval.json").read_text())
    assert report["chance"]["accuracy"] == 0.5
    assert report["by_seed"]["0"]["pooled"]["num_clips"] == 12

    runs = [f"cv/fold-{fold}" for fold in (1, 2, 3)]
    joint = json.loads(zoo("ensemble", *runs, data, "--json", "--by", "logit", "--predictions", "j.npz"))
    assert len(joint["members"]) == 3
    assert joint["num_eval_clips"] == 12
    assert joint["evaluation"] == "mean of the members' logits"
    assert (tmp_path / "j.npz").exists()
    printed = zoo("ensemble", *runs[:2], data, "--weights", "--out", "soup")
    assert "mean weights" in printed
    assert json.loads(zoo("evaluate", "soup", data, "--json", "--predictions", "p.npz"))["num_eval_clips"] == 12
    assert (tmp_path / "p.npz").exists()


def test_classes_without_clips_are_named(zoo: Zoo, tone_folder: Callable[..., Path], tmp_path: Path) -> None:
    data = tone_folder(classes=("low", "high", "rare"))
    zoo("finetune", "quickstart/cnn", f"data.train={data}", "data.eval=null", *MODEL, "--out", "run")
    some = tone_folder("some", ("low", "high"))
    result = json.loads(zoo("evaluate", "run", some, "--json"))
    assert result["classes_without_positives"] == ["rare"]
    assert {row["class"]: row["clips"] for row in result["classes"]} == {"low": 4, "high": 4, "rare": 0}
    assert next(row for row in result["classes"] if row["class"] == "rare")["auc"] is None
    printed = zoo("evaluate", "run", some)
    assert "no clip of 1 classes, which are in no mean: rare" in printed
    assert "classes_without" not in printed


def test_a_killed_crossval_goes_on(tone_folder: Callable[..., Path], tmp_path: Path, zoo: Zoo) -> None:
    data = tone_folder(clips=6)
    command = [sys.executable, "-m", "zoo", *_arguments(data, str(tmp_path / "cut"), "log.checkpoint_minutes=0.001")]
    running = subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 120
    while not (tmp_path / "cut/fold-2/metrics.jsonl").exists():
        assert running.poll() is None, running.communicate()[1].decode()
        assert time.monotonic() < deadline
        time.sleep(0.002)
    running.send_signal(signal.SIGKILL)
    running.communicate(timeout=60)
    assert running.returncode == -signal.SIGKILL
    first = tmp_path / "cut/fold-1/summary.json"
    stamp = first.stat().st_mtime_ns
    assert not (tmp_path / "cut/fold-2/summary.json").exists()
    assert list(json.loads((tmp_path / "cut/crossval.json").read_text())["metrics"]["mAP"]["values"]) == ["1"]
    again = json.loads(zoo(*_arguments(data, "cut", "log.checkpoint_minutes=0.001", "--json")))
    whole = json.loads(zoo(*_arguments(data, "whole", "log.checkpoint_minutes=0.001", "--json")))
    assert first.stat().st_mtime_ns == stamp
    assert again["complete"]
    assert again["metrics"] == whole["metrics"]
    assert again["by_seed"] == whole["by_seed"]
    assert read_summary(tmp_path / "cut/fold-2")["clips"] == read_summary(tmp_path / "whole/fold-2")["clips"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["crossval", "quickstart/cnn", "data.train=."], "no fold|no clip|no audio"),
        (["crossval", "quickstart/cnn", "data.train=.", "data.eval=."], "data.eval: found beside folds"),
        (["ensemble", "a", "b.csv"], "found 1 checkpoint"),
        (["ensemble", "a", "b", "c.csv", "--out", "x"], "--out: found without --weights"),
    ],
)
def test_wrong_input_is_one_line(zoo: Zoo, arguments: list[str], words: str) -> None:
    text = zoo(*arguments, code=2)
    assert any(word in text for word in words.split("|")), text
