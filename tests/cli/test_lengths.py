"""A classifier of half a second trained and evaluated on clips from a tenth of a second to four."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

import zoo as package
from tests.cli.conftest import TINY_FINETUNE, TINY_PRETRAIN
from zoo.errors import RecipeError
from zoo.use.evaluate import evaluate_checkpoint

Zoo = Callable[..., Any]
RATE = 16_000
SECONDS = (0.1, 0.3, 0.48, 0.5, 0.9, 1.7, 4.0)


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for i, label in enumerate(("high", "low")):
        folder = tmp_path / "mixed" / label
        folder.mkdir(parents=True)
        for number, seconds in enumerate(SECONDS):
            time = np.arange(round(seconds * RATE)) / RATE
            wave = 0.3 * np.sin(2 * np.pi * (900 - 500 * i) * time) + 0.02 * rng.standard_normal(time.size)
            soundfile.write(folder / f"{number}.wav", wave.astype(np.float32), RATE, subtype="FLOAT")
    wave[RATE : RATE + 5] = np.nan
    soundfile.write(tmp_path / "mixed/low/nan.wav", wave.astype(np.float32), RATE, subtype="FLOAT")
    (tmp_path / "mixed/low/broken.wav").write_bytes(b"RIFF")
    return tmp_path / "mixed"


def test_train_and_evaluate(zoo: Zoo, mixed: Path, tmp_path: Path) -> None:
    shared = [f"data.train={mixed}", f"data.eval={mixed}", *TINY_FINETUNE]
    zoo("finetune", "quickstart/ssast", *shared, "evaluate.overlap=0.25", "--out", "run")
    run = tmp_path / "run"
    summary = json.loads((run / "summary.json").read_text())
    expected = "last weights; whole clips; mean over windows of the model's length, overlapping by 0.25"
    assert summary["evaluation"] == expected
    assert summary["num_eval_clips"] == 15
    assert summary["bad_eval_clips"] == 1
    lines = [json.loads(line) for line in (run / "bad_audio.jsonl").read_text().splitlines()]
    on_record = {line["name"]: (line["used"], line["reason"]) for line in lines if line["set"] == "eval"}
    assert on_record == {
        "low/broken.wav": (False, on_record["low/broken.wav"][1]),
        "low/nan.wav": (True, "in part unusable: NaN or Inf among the samples"),
    }

    # The checkpoint repeats the run's rule; an option replaces a part of it.
    done = zoo("evaluate", "run", mixed, "--json", "--batch-size", 3)
    again = json.loads(done.stdout)
    assert again["metrics"] == pytest.approx(summary["metrics"])
    # 48 frames are 7,920 samples, 5,940 apart; up to 63 frames, 10,479 samples, have a position. Of each class four
    # clips in one piece, then 3, 5 and 11 windows; nan.wav has 11, broken.wav one.
    assert again["windows"] == {"long_clips": "windows", "overlap": 0.25, "max_seconds": 60.0, "count": 58}
    assert again["evaluation"] in expected
    assert (again["num_eval_clips"], again["bad_clips"], again["odd_clips"]) == (15, 1, 1)
    options = zoo("evaluate", "run", mixed, "--long-clips", "whole", "--max-seconds", 2, "--json")
    whole = json.loads(options.stdout)
    # Of two clips of 4 s, and a third with NaN in it, windows of 2 s that overlap by .25: at 0, 1.5 and 2 s.
    assert whole["windows"] == {"long_clips": "whole", "overlap": 0.25, "max_seconds": 2.0, "count": 13 + 3 * 3}
    assert "positions stretched" in whole["evaluation"]
    assert whole["num_eval_clips"] == 15

    beginning = evaluate_checkpoint(run, str(mixed), long_clips="beginning")
    assert beginning["windows"]["count"] == 16
    assert beginning["num_eval_clips"] == 15
    with pytest.raises(RecipeError, match=r"long_clips: found 'all' - expected: .*windows"):
        evaluate_checkpoint(run, str(mixed), long_clips="all")
    with pytest.raises(RecipeError, match=r"overlap: found 1\.0 - expected: .*less than or equal to 0\.95"):
        evaluate_checkpoint(run, str(mixed), overlap=1.0)
    model = package.load(run)
    assert isinstance(model, torch.nn.Module)
    with pytest.raises(package.ShapeError, match="expected at most"):
        model(torch.zeros(1, 128, 300))


def test_pretraining_on_long_clips(zoo: Zoo, mixed: Path, tmp_path: Path) -> None:
    """Its pictures too are of whole clips."""
    shared = [f"data.train={mixed}", f"data.eval={mixed}", *TINY_PRETRAIN[:-1], "log.images=7"]
    zoo("pretrain", "quickstart/pretrain", *shared, "evaluate.long_clips=whole", "--out", "pre")
    summary = json.loads((tmp_path / "pre/summary.json").read_text())
    assert "positions stretched" in summary["evaluation"]
    assert summary["num_eval_clips"] == 14  # of nan.wav, one window was all
    assert summary["metrics"]["loss"] > 0
