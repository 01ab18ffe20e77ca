"""SIGKILL again and again, at random moments and while a checkpoint is being written: the end is the same, bit for bit.

`ZOO_KILLS=10 ZOO_KILLS_LOG=kills.json python -m pytest tests/cli/test_kills.py` does ten, and writes down the moments.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.cli.conftest import TINY_TRANSFORMER, environment
from zoo.train.checkpoint import latest, load_checkpoint, load_trainer

KILLS = int(os.environ.get("ZOO_KILLS", "3"))
CLIPS = 400 + 400 * KILLS


def _command(data: Path, out: Path) -> list[str]:
    settings = [
        *TINY_TRANSFORMER,
        *(f"data.train={data}", f"data.eval={data}", f"train.clips={CLIPS}", "evaluate.every_clips=200"),
        *("log.checkpoint_minutes=0.004", "log.images=1", "log.keep_last=3"),
        *("train.accumulate=2", "train.average={kind: ema, decay: 0.99}", "augment.time_roll=4", "model.dropout=0.1"),
    ]
    return [sys.executable, "-m", "zoo", "pretrain", "quickstart/pretrain", *settings, "--out", str(out), "--resume"]


def _start(data: Path, out: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(_command(data, out), env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def _wait(running: subprocess.Popen[bytes], until: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 120
    while not until():
        assert running.poll() is None, f"the run ended before {what}: {running.communicate()[1].decode()}"
        assert time.monotonic() < deadline, f"waited too long for {what}"
        time.sleep(0.0005)


def _clips(out: Path) -> int:
    """Clips seen at the last whole line of the log."""
    path = out / "metrics.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return int(json.loads(lines[-1])["clips"]) if lines and lines[-1].endswith("}") else 0


@pytest.mark.filterwarnings("ignore:.*going on with previous")
def test_killed_at_random_moments_and_in_the_middle_of_checkpoints(
    tone_folder: Callable[..., Path], tmp_path: Path
) -> None:
    data, whole, cut = tone_folder(clips=9), tmp_path / "whole", tmp_path / "cut"
    unkilled = _start(data, whole)
    chance = random.Random(0)
    # At least two of them while a checkpoint is being written.
    kinds = ["while a checkpoint is written"] * max(2, KILLS // 3)
    kinds += ["at a random moment"] * (KILLS - len(kinds))
    chance.shuffle(kinds)
    moments: list[dict[str, Any]] = []
    writing = cut / "checkpoints" / ".last.writing"
    for kind in kinds:
        since, before = time.monotonic(), _clips(cut)
        running = _start(data, cut)
        _wait(running, lambda before=before: _clips(cut) > before, "its first steps")
        if kind == "at a random moment":
            time.sleep(chance.uniform(0, 1))
        else:
            _wait(running, writing.exists, "a checkpoint")
            time.sleep(chance.uniform(0, 0.004))
        running.send_signal(signal.SIGKILL)
        running.communicate(timeout=60)
        assert running.returncode == -signal.SIGKILL, "the run had ended before it was killed"
        found = latest(cut / "checkpoints")
        moments.append(
            {
                "kill": kind,
                "seconds_into_session": round(time.monotonic() - since, 2),
                "clips_logged": _clips(cut),
                "clips_in_checkpoint": load_trainer(found)["progress"]["clips"] if found else 0,
                "checkpoints": sorted(path.name for path in (cut / "checkpoints").iterdir()),
                "half_written": sorted(path.name for path in writing.iterdir()) if writing.exists() else [],
            }
        )
    log = os.environ.get("ZOO_KILLS_LOG")
    if log:
        Path(log).write_text(json.dumps(moments, indent=2))
    assert sum(bool(moment["half_written"]) or ".last.writing" in moment["checkpoints"] for moment in moments) >= 2, (
        moments
    )
    subprocess.run(_command(data, cut), check=True, env=environment(), capture_output=True, timeout=600)
    _, errors = unkilled.communicate(timeout=600)
    assert unkilled.returncode == 0, errors.decode()
    for name in ("last", "best", "average"):
        ours, theirs = (load_checkpoint(folder / "checkpoints" / name)[0] for folder in (cut, whole))
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[key], theirs[key]) for key in ours), moments
    assert _metrics(cut) == _metrics(whole)


def _metrics(folder: Path) -> list[dict[str, float]]:
    clocked = ("seconds", "perf/", "data/seconds_waiting")
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if not key.startswith(clocked)} for line in lines]
