"""A matrix of runs that is killed twice ends as one that never was, and repeats nothing that was done."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.cli.conftest import TINY, environment

MATRIX = """
name: killed
contenders:
  - {recipe: quickstart/cnn, name: CNN}
  - {recipe: quickstart/ast, name: AST, set: {model.embed_dim: 16, model.depth: 1, model.num_heads: 2}}
reference: CNN
seeds: 2
budget: {clips: 160}
set: {evaluate.every_clips: 40, log.images: 0, log.checkpoint_minutes: 0.001}
"""
TIMED = ("seconds", "clips_per_second", "inference_clips_per_second", "runs")
"""Of a row, what is measured by the clock or says where it is."""


def _command(folder: Path, out: str) -> list[str]:
    settings = [*TINY, f"data.train={folder / 'train.csv'}", f"data.test={folder / 'test.csv'}"]
    return [sys.executable, "-m", "zoo", "compare", str(folder / "matrix.yaml"), *settings, "--out", out, "--json"]


def _files(tones: Path, folder: Path) -> None:
    clips = sorted(tones.rglob("*.wav"))
    for name, part in (("test", clips[::4]), ("train", [clip for i, clip in enumerate(clips) if i % 4])):
        rows = "".join(f"{clip},{clip.parent.name}\n" for clip in part)
        (folder / f"{name}.csv").write_text("path,label\n" + rows)
    (folder / "matrix.yaml").write_text(MATRIX)


def _kill(command: list[str], cwd: Path, is_due: Callable[[], bool]) -> None:
    """Starts it, and kills it as soon as it is so far."""
    running = subprocess.Popen(command, cwd=cwd, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 200
    while not is_due():
        assert running.poll() is None, f"it ended before: {running.communicate()[1].decode()}"
        assert time.monotonic() < deadline
        time.sleep(0.001)
    running.send_signal(signal.SIGKILL)
    running.communicate(timeout=60)
    assert running.returncode == -signal.SIGKILL


def _finish(command: list[str], cwd: Path) -> Any:
    done = subprocess.run(command, cwd=cwd, env=environment(), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stderr


def _state(run: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in run.rglob("*") if path.is_file()}


def _untimed(report: dict[str, Any]) -> dict[str, Any]:
    rows = [{key: value for key, value in row.items() if key not in TIMED} for row in report["rows"]]
    return {**{key: value for key, value in report.items() if key != "look"}, "rows": rows}


def test_killed_twice_it_finishes_only_what_is_missing(tone_folder: Callable[..., Path], tmp_path: Path) -> None:
    _files(tone_folder(clips=12), tmp_path)
    command = _command(tmp_path, "cut")
    runs = [tmp_path / "cut" / name / f"seed-{seed}" for seed in (0, 1) for name in ("CNN", "AST")]

    def is_in_the_middle_of(number: int) -> Callable[[], bool]:
        """After its first checkpoint; those before it are done."""
        last = runs[number] / "checkpoints" / "last" / "trainer.pt"
        return lambda: last.exists() and all((run / "summary.json").exists() for run in runs[:number])

    _kill(command, tmp_path, is_in_the_middle_of(1))
    assert not (runs[1] / "summary.json").exists(), "the run had ended before it was killed"
    first = _state(runs[0])
    _kill(command, tmp_path, is_in_the_middle_of(2))
    assert not (runs[2] / "summary.json").exists(), "the run had ended before it was killed"
    assert _state(runs[0]) == first
    done = {run: _state(run) for run in runs[:2]}
    report, progress = _finish(command, tmp_path)
    assert {run: _state(run) for run in runs[:2]} == done, "what was done was touched again"
    assert "run 1 of 4" not in progress
    assert "run 2 of 4" not in progress
    assert "run 3 of 4" in progress
    assert "run 4 of 4" in progress
    # It went on from the checkpoint: what was logged before the kill was not logged again.
    clips = [json.loads(line)["clips"] for line in (runs[2] / "metrics.jsonl").read_text().splitlines()]
    assert clips == sorted(clips)

    unkilled, _ = _finish(_command(tmp_path, "whole"), tmp_path)
    assert _untimed(report) == _untimed(unkilled)
    assert [row["versus_reference"] is None for row in sorted(report["rows"], key=lambda r: r["name"])] == [False, True]
    assert all(len(row["values"]) == 2 for row in report["rows"])
    assert (tmp_path / "cut" / "comparison.md").is_file()

    # Finished runs without their recipes: the same table, and nothing is trained.
    again, _ = _finish(
        [*command[:4], "whole/CNN", "whole/AST/seed-0", "whole/AST/seed-1", "--json", "--out", "found"], tmp_path
    )
    assert _values(again) == _values(report)


def _values(report: dict[str, Any]) -> list[Any]:
    keys = ("name", "mean", "deviation", "values", "clips", "versus_reference", "training_flops_per_clip", "flags")
    return [[row[key] for key in keys] for row in report["rows"]]
