"""Runs under torchrun: as one process trains, logged once, killed and stopped without a difference in the end."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from tests.cli.conftest import environment
from tests.distributed.conftest import TIMEOUT, run, torchrun, workers_of
from tests.distributed.one_step import TINY

WRITTEN = "the checkpoint is written, and the same command (of pretrain and finetune with --resume) goes on from it"
NOT_REPEATABLE = ("seconds", "perf/", "data/seconds_waiting")


def arguments(data: Path, out: Path, *more: str) -> list[str]:
    """A run of 40 steps with a checkpoint after every step or two."""
    small = [*TINY, "train.batch_size=6", "train.clips=240", "log.every_clips=12", "log.images=1"]
    small += ["evaluate.every_clips=120", "log.checkpoint_minutes=1e-4", "augment.gain_db=[-7, 6]"]
    return ["pretrain", "quickstart/pretrain", f"data.train={data}", f"data.eval={data}", *small, *more, f"--out={out}"]


def metrics(folder: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if not k.startswith(NOT_REPEATABLE)} for line in lines]


def weights(folder: Path) -> dict[str, Tensor]:
    return load_file(folder / "checkpoints/last/model.safetensors")


def assert_same_end(ours: Path, theirs: Path) -> None:
    """Bit for bit."""
    one, other = weights(ours), weights(theirs)
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert metrics(ours) == metrics(theirs)
    assert (ours / "summary.json").exists()


class Running:
    """A torchrun in the background."""

    def __init__(self, folder: Path, command: list[str]) -> None:
        self.folder = folder
        # Into files: a pipe that nobody reads would fill up.
        self.said = folder.with_suffix(".txt")
        with self.said.open("wb") as said:
            self.process = subprocess.Popen(command, env=environment(), stdout=said, stderr=said)

    def until_lines(self, count: int) -> None:
        """Waits until so many lines are logged."""
        path, deadline = self.folder / "metrics.jsonl", time.monotonic() + TIMEOUT
        while not (path.exists() and len(path.read_text().splitlines()) >= count):
            assert self.process.poll() is None, self.said.read_text()
            assert time.monotonic() < deadline, self.said.read_text()
            time.sleep(0.005)

    def end(self) -> int:
        """The exit code of torchrun, and all that its workers said is in `said`."""
        code = self.process.wait(TIMEOUT)
        # Torchrun has one of its own, where its workers did not end with 0.
        assert self.said.read_text().count("Traceback") == (code != 0), self.said.read_text()
        return code


@pytest.fixture(scope="module")
def two(sounds: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of two processes that nobody disturbed."""
    out = tmp_path_factory.mktemp("two") / "run"
    done = run(torchrun(2, "-m", "zoo", *arguments(sounds, out)))
    assert done.stdout.count("run folder:") == 1, done.stdout
    assert done.stderr == ""
    return out


def test_two_processes_train_as_one(two: Path, sounds: Path, tmp_path: Path) -> None:
    one = tmp_path / "one"
    run([sys.executable, "-m", "zoo", *arguments(sounds, one, "train.accumulate=2")])
    expected = weights(one)
    for name, tensor in weights(two).items():
        # 40 steps of AdamW take the last bits of the gradients apart.
        torch.testing.assert_close(tensor, expected[name], rtol=0, atol=2e-4)
    lines, others = metrics(two), metrics(one)
    assert len(lines) == len(others) == 20 + 2
    for line, other in zip(lines, others, strict=True):
        assert line.keys() == other.keys()
        for tag, value in line.items():
            assert value == pytest.approx(other[tag], rel=1e-4, abs=1e-6), (tag, line["step"])
    # Of the first steps, that have had no time to come apart.
    for tag in ("loss/total", "loss/reconstruct", "loss/classify", "pretext/accuracy"):
        assert lines[0][tag] == pytest.approx(others[0][tag], abs=1e-6)


def test_one_process_writes(two: Path) -> None:
    steps = [(line["step"], "eval/loss" in line) for line in metrics(two)]
    assert len(set(steps)) == len(steps)
    assert len(list(two.glob("events.out.tfevents.*"))) == 1
    assert sorted(path.name for path in two.iterdir() if not path.name.startswith("events")) == [
        "checkpoints",
        "metrics.jsonl",
        "recipe.yaml",
        "summary.json",
    ]


def test_a_killed_worker_is_started_again_and_resumes(two: Path, sounds: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    running = Running(out, torchrun(2, "-m", "zoo", *arguments(sounds, out), restarts=3))
    running.until_lines(5)
    os.kill(workers_of(running.process)[1], signal.SIGKILL)
    assert running.end() == 0, running.said.read_text()
    assert_same_end(out, two)
    # TensorBoard hides from the second file on what it has anew; nothing else was written twice.
    assert len(list(out.glob("events.out.tfevents.*"))) == 2


def test_all_stop_together_and_resume(two: Path, sounds: Path, tmp_path: Path) -> None:
    """SIGTERM first to one process, then to torchrun, which sends it to all of them and to those that decode."""
    out = tmp_path / "run"
    command = torchrun(2, "-m", "zoo", *arguments(sounds, out))
    running = Running(out, command)
    running.until_lines(3)
    os.kill(workers_of(running.process)[1], signal.SIGTERM)
    assert running.end() == 1, running.said.read_text()  # torchrun's own code for workers that did not end with 0
    assert_stopped(running, "SIGTERM")

    again = Running(out, [*command, "data.num_workers=1", "--resume"])
    again.until_lines(8)
    again.process.terminate()
    assert again.end() == 1, again.said.read_text()
    assert_stopped(again, "SIGTERM")

    run([*command, "--resume"])
    assert_same_end(out, two)


def assert_stopped(running: Running, name: str) -> None:
    """Before the end, with a checkpoint, and told once."""
    said = running.said.read_text()
    assert not (running.folder / "summary.json").exists()
    told = [line for line in said.splitlines() if line.startswith(f"interrupted by {name} after ")]
    clips = json.loads((running.folder / "checkpoints/last/config.json").read_text())["clips"]
    assert told == [f"interrupted by {name} after {clips} clips; {WRITTEN}"], said


def test_a_mistake_is_told_once(sounds: Path, tmp_path: Path, two: Path) -> None:
    """In the recipe, which all read; and in the folder, at which one looks for all, also after a restart."""
    wrong = run(torchrun(2, "-m", "zoo", *arguments(sounds, tmp_path / "run", "optim.lrr=1")), code=1)
    assert wrong.stderr.count("optim.lrr: unknown key") == 1, wrong.stderr
    assert wrong.stdout == ""
    before = weights(two)
    used = run(torchrun(2, "-m", "zoo", *arguments(sounds, two), restarts=1), code=1)
    assert used.stderr.count(": not empty - expected a new run folder") == 1, used.stderr
    assert used.stderr.count("exitcode  : 2") >= 1, used.stderr
    assert all(torch.equal(before[name], tensor) for name, tensor in weights(two).items())
