"""The command line as a user runs it: another process, real files, exit codes."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Small enough that a run takes seconds; the recipes are the quickstart's.
TINY = ["model.n_frames=48", "train.batch_size=4", "log.every_clips=8"]
TINY_TRANSFORMER = [*TINY, "model.embed_dim=16", "model.depth=1", "model.num_heads=2"]
TINY_PRETRAIN = [*TINY_TRANSFORMER, "train.clips=16", "evaluate.every_clips=8", "log.images=1"]
TINY_FINETUNE = [*TINY_TRANSFORMER, "train.clips=16", "evaluate.every_clips=16"]


def environment() -> dict[str, str]:
    """One thread, and the package of this checkout."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "COLUMNS": "200"}


@pytest.fixture
def zoo(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs `python -m zoo …` in a temporary folder and checks the exit code."""

    def run(*arguments: object, code: int = 0) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "zoo", *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment(), timeout=300)
        assert done.returncode == code, f"{arguments}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    return run
