"""A run killed in the middle ends, after --resume, as one that was never killed: bit for bit on a CPU."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.cli.conftest import TINY_TRANSFORMER, environment

NOT_REPEATABLE = ("seconds", "perf/", "data/seconds_waiting")


def _arguments(data: Path, out: Path) -> list[str]:
    # A checkpoint about every step, so that a kill at any moment has one behind it.
    small = [
        *TINY_TRANSFORMER,
        "log.images=1",
        "train.clips=240",
        "evaluate.every_clips=40",
        "log.checkpoint_minutes=1e-4",
        "augment.gain_db=[-7, 6]",
        "augment.waveform_mixup={probability: 0.5, alpha: 10}",
        "augment.log_mel_mixup={probability: 0.5, alpha: 0.3}",
    ]
    command = [sys.executable, "-m", "zoo", "pretrain", "quickstart/pretrain"]
    return [*command, f"data.train={data}", f"data.eval={data}", *small, "--out", str(out)]


def _metrics(folder: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if not k.startswith(NOT_REPEATABLE)} for line in lines]


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGKILL, -9), (signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_killed_and_resumed_equals_uninterrupted(
    sent: signal.Signals, code: int, tone_folder: Callable[..., Path], tmp_path: Path
) -> None:
    data = tone_folder(clips=9)
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    subprocess.run(_arguments(data, whole), check=True, env=environment(), capture_output=True, timeout=300)

    running = subprocess.Popen(_arguments(data, cut), env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    metrics = cut / "metrics.jsonl"
    deadline = time.monotonic() + 120
    while not (metrics.exists() and len(metrics.read_text().splitlines()) >= 4) and time.monotonic() < deadline:
        time.sleep(0.01)
    running.send_signal(sent)
    _, errors = running.communicate(timeout=60)
    assert running.returncode == code, errors.decode()
    assert not (cut / "summary.json").exists(), "the run had ended before it was killed"

    subprocess.run(
        [*_arguments(data, cut), "--resume"], check=True, env=environment(), capture_output=True, timeout=300
    )
    ours, theirs = (load_file(folder / "checkpoints/last/model.safetensors") for folder in (cut, whole))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert _metrics(cut) == _metrics(whole)
