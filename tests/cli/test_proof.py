"""A tiny proof, from two folders of sound to its pages: killed on the way, gone on, and the same with one process."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.cli.conftest import environment

SMALL = "{model.embed_dim: 16, model.depth: 1, model.num_heads: 2}"
PRETRAIN = SMALL[:-1] + ", train.clips: 160, data.validation.share: 0.25, evaluate.every_clips: 80}"
PLAN = f"""
name: tiny
scale: tiny
rate_seconds: 0.2
set: {{model.n_frames: 48, train.batch_size: 4, log.every_clips: 16, log.images: 0, log.checkpoint_minutes: 0.001}}
pretrainings:
  - {{name: patch, title: Patches, form: patch, recipe: proof/cpu/pretrain-patch, set: {PRETRAIN}}}
tasks:
  - {{name: notes, domain: sound, clips: 16, seeds: 2, folds: [1, 2]}}
choices:
  - {{recipe: proof/cpu/finetune-patch, settings: [{{optim.lr: 1e-3}}, {{optim.lr: 1e-2}}], folds: [1]}}
tables:
  - kind: ssast
    title: Pretrained against from scratch
    reference: scratch
    rows:
      - {{name: scratch, role: scratch, form: patch, recipe: proof/cpu/finetune-patch, set: {SMALL}}}
      - {{name: pretrained, role: pretrained, form: patch, recipe: proof/cpu/finetune-patch, start: patch,
         set: {SMALL}}}
      - {{name: longer, role: scratch-compute, form: patch, recipe: proof/cpu/finetune-patch, length: total-compute,
         of: patch, seeds: 1, set: {SMALL}}}
      - {{name: probe random, role: probe-random, probe: linear, start: patch, untrained: true}}
      - {{name: probe, role: probe-pretrained, probe: linear, start: patch, against: probe random}}
  - kind: labels
    title: Half of the labels
    share: 0.5
    reference: scratch
    rows:
      - {{name: scratch, role: scratch, form: patch, recipe: proof/cpu/finetune-patch, seeds: 1, set: {SMALL}}}
"""
TIMED = {"seconds", "clips_per_second", "command", "device", "date"}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Ogg to pretrain on, and a task of two tones in three folds."""
    root, rng = tmp_path / "data", np.random.default_rng(0)
    (root / "pretrain8k").mkdir(parents=True)
    for number in range(12):
        wave = (0.1 * rng.standard_normal(16_000)).astype(np.float32)
        soundfile.write(root / "pretrain8k" / f"{number}.ogg", wave, 16_000)
    audio = root / "tasks" / "notes" / "audio"
    audio.mkdir(parents=True)
    rows = ["filename,label,fold,group"]
    time_axis = np.arange(10_000) / 16_000
    for number in range(24):
        wave = 0.3 * np.sin(2 * np.pi * 300 * (1 + number % 2) * time_axis) + 0.02 * rng.standard_normal(10_000)
        soundfile.write(audio / f"{number}.wav", wave.astype(np.float32), 16_000)
        rows.append(f"{number}.wav,{'ab'[number % 2]},{1 + number // 2 % 3},g{number // 2}")
    (audio.parent / "meta.csv").write_text("\n".join(rows) + "\n")
    (tmp_path / "tiny.proof.yaml").write_text(PLAN)
    return root


def _command(data: Path, out: str, *more: str) -> list[str]:
    words = [f"DATA={data}", "--scale", str(data.parent / "tiny.proof.yaml"), "--out", out, *more]
    return [sys.executable, "-m", "zoo", "proof", *words]


def _start(command: list[str], cwd: Path) -> "subprocess.Popen[str]":
    streams: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(command, cwd=cwd, env=environment(), start_new_session=True, **streams)


def _wait(is_due: Callable[[], bool], running: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + 200
    while not is_due():
        assert running.poll() is None, f"it ended before: {running.communicate()[0]}"
        assert time.monotonic() < deadline
        time.sleep(0.005)


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _timeless(one) for key, one in value.items() if key not in TIMED}
    return [_timeless(one) for one in value] if isinstance(value, list) else value


def test_killed_and_interrupted_it_ends_as_one_that_never_was(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "cut"
    checkpoint = out / "pretrain" / "patch" / "checkpoints" / "last" / "trainer.pt"

    running = _start(_command(data, "cut", "--jobs", "2"), tmp_path)
    _wait(checkpoint.exists, running)
    running.send_signal(signal.SIGINT)  # to the parent alone, as from a terminal: its processes have their own session
    said = running.communicate(timeout=100)[0]
    assert running.returncode == 130, said
    assert "goes on from it" in said
    assert not (out / "pretrain" / "patch" / "summary.json").exists(), "it had ended before it was interrupted"

    running = _start(_command(data, "cut", "--jobs", "2"), tmp_path)
    first = out / "tasks" / "notes"
    _wait(lambda: len(list(first.rglob("summary.json"))) >= 2, running)
    os.killpg(running.pid, signal.SIGKILL)
    running.communicate(timeout=60)
    done = {path: path.stat().st_mtime_ns for path in out.rglob("summary.json")}
    assert not (out / "results.json").exists()

    finish = [*_command(data, "cut", "--jobs", "2", "--publish", "pages"), "--json"]
    finished = subprocess.run(finish, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=300)
    assert finished.returncode == 0, finished.stderr
    results = json.loads(finished.stdout)
    assert results == json.loads((out / "results.json").read_text())
    assert {path: path.stat().st_mtime_ns for path in done} == done, "what was done is not done again"
    assert (tmp_path / "pages" / "ssast.md").is_file()

    # The same without a cut, one run at a time, from the files as they lie (which are no Opus: nothing is rounded).
    whole = [*_command(data, "whole", "--jobs", "1"), "--json"]
    again = subprocess.run(whole, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=300)
    assert again.returncode == 0, again.stderr
    assert _timeless(json.loads(again.stdout)) == _timeless(results)

    ssast, labels = results["tables"]
    rows = {row["name"]: row for row in ssast["rows"]}
    assert list(rows) == ["scratch", "pretrained", "longer", "probe random", "probe"]
    assert [len(row["values"]) for row in rows.values()] == [4, 4, 2, 2, 2]
    assert rows["longer"]["total_flops"] == pytest.approx(rows["pretrained"]["total_flops"], rel=0.1)
    assert rows["probe"]["difference"]["reference"] == "probe random"
    assert rows["pretrained"]["pretraining"] == "patch"
    assert labels["share"] == 0.5
    assert results["choices"][0]["chosen"] in ("optim.lr 0.001", "optim.lr 0.01")
    assert results["pretraining"][0]["clips"] == 160
    assert [point["clips"] for point in results["pretraining"][0]["curve"]] == [80, 160]


def test_parts_and_a_dry_run(data: Path, tmp_path: Path, zoo: Callable[..., Any]) -> None:
    command = _command(data, "parts")[3:]
    listed = zoo(*command, "--only", "pretrain", "--dry-run").stdout
    assert "1 runs" in listed
    assert not (tmp_path / "parts").exists()
    # Without the pretraining, what needs it is left out, and told.
    found = json.loads(zoo(*command, "--only", "notes:ssast", "--no-pack", "--json").stdout)
    (table,) = found["tables"]
    assert [row["name"] for row in table["rows"]] == ["scratch", "longer"]
    assert any("pretrained on notes: left out" in note for note in found["notes"])
    assert not found["pretraining"]
    assert not (tmp_path / "parts" / "packs").exists()
