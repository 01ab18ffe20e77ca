"""A disk that fills up during a run: one line, and the checkpoints before it are whole."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import TINY_TRANSFORMER, environment
from zoo.train.checkpoint import latest, load_checkpoint, load_trainer

# A file system of its own for one command, which needs no rights where user namespaces are allowed.
NAMESPACE = ["unshare", "--map-root-user", "--mount"]


def _can_mount(folder: Path) -> bool:
    if shutil.which("unshare") is None:
        return False
    mount = f"mount -t tmpfs -o size=1m tmpfs '{folder}'"
    return subprocess.run([*NAMESPACE, "sh", "-c", mount], capture_output=True).returncode == 0


@pytest.mark.parametrize("size", [1900, 2300, 2700])  # KiB: full in a checkpoint, or in what is written between them
def test_a_full_disk_is_one_line_and_the_checkpoint_before_it_loads(
    size: int, tone_folder: Callable[..., Path], tmp_path: Path
) -> None:
    small, kept = tmp_path / "small", tmp_path / "kept"
    small.mkdir()
    if not _can_mount(small):
        pytest.skip("no file system can be mounted here: unshare is missing or not allowed")
    data = tone_folder(clips=9)
    settings = [
        *TINY_TRANSFORMER,
        *(f"data.train={data}", "train.clips=4000", "log.checkpoint_minutes=1e-4", "log.keep_last=1000"),
    ]
    command = [sys.executable, "-m", "zoo", "pretrain", "quickstart/pretrain", *settings, "--out", str(small / "run")]
    script = (
        f'mount -t tmpfs -o size={size}k tmpfs "$1" && shift && "$@"; code=$?; cp -r {small}/run {kept}; exit $code'
    )
    done = subprocess.run(
        [*NAMESPACE, "sh", "-c", script, "sh", str(small), *command],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=300,
    )
    assert done.returncode == 2, done.stderr
    lines = [line for line in done.stderr.splitlines() if "No space left on device" in line]
    assert len(lines) == 1, done.stderr
    assert "Traceback" not in done.stderr
    found = latest(kept / "checkpoints")
    assert found is not None
    assert found.name == "last"
    weights, _ = load_checkpoint(found)
    assert all(tensor.isfinite().all() for tensor in weights.values())
    assert 0 < load_trainer(found)["progress"]["clips"] < 4000
    assert not (kept / "checkpoints" / ".last.writing").exists()
