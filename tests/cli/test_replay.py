"""A planted clip makes steps of a real run not finite: the run goes on or stops, and zoo replay names the clip."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from tests.cli.conftest import TINY, TINY_TRANSFORMER
from tests.conftest import PLANTED_GAIN
from zoo.use.replay import replay

Zoo = Callable[..., Any]
RUNS = {
    "pretrain": ("pretrain", "quickstart/pretrain", TINY_TRANSFORMER),
    "finetune": ("finetune", "quickstart/cnn", TINY),
}


@pytest.fixture
def planted(tone_folder: Callable[..., Path], plant: Callable[[Path], Path]) -> Path:
    """Eight clips, so that in every second batch of four is the one that is not finite."""
    folder = tone_folder(clips=4)
    (folder / "high/high_3.wav").unlink()
    plant(folder / "high/planted.wav")
    return folder


def boxes_in(run: Path) -> list[Path]:
    return sorted((run / "black_box").iterdir())


@pytest.mark.parametrize("name", RUNS)
def test_skip_goes_on_to_the_end_and_replay_names_the_clip(name: str, zoo: Zoo, planted: Path, tmp_path: Path) -> None:
    command, recipe, size = RUNS[name]
    done = zoo(
        command, recipe, f"data.train={planted}", f"data.eval={planted}", *size,
        "train.clips=24", "train.on_nonfinite=skip", PLANTED_GAIN, "--out", "run",
    )  # fmt: skip
    run = tmp_path / "run"
    summary = json.loads((run / "summary.json").read_text())
    assert (summary["clips"], summary["steps"]) == (24, 6)
    assert all(value is not None or name == "dprime" for name, value in summary["metrics"].items())
    weights = load_file(run / "checkpoints/last/model.safetensors")
    assert all(tensor.isfinite().all() for tensor in weights.values())
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert max(line.get("health/skipped_steps", 0) for line in lines) == 3
    boxes = boxes_in(run)
    assert len(boxes) == 3, "once in every epoch"
    assert done.stdout.count("zoo replay run/black_box/step-") == 3

    planted.rename(tmp_path / "gone")  # a replay needs the box alone
    for box in boxes:
        report = replay(box, "cpu")
        assert report["reproduced"] is True
        assert report["then"] == report["now"]
        assert report["not_finite_clips"] == ["high/planted.wav"]
        assert report["worst"]["first_not_finite"] == "log-mel"
    if name == "pretrain":
        report = json.loads(zoo("replay", box, "--json").stdout, parse_constant=pytest.fail)
        assert report["not_finite_clips"] == ["high/planted.wav"]
    else:
        shown = zoo("replay", box.relative_to(tmp_path)).stdout
        assert "reproduced: the step is not finite again" in shown
        assert "leave high/planted.wav out" in shown


def test_stop_is_one_line_and_the_weights_are_those_of_before(zoo: Zoo, planted: Path, tmp_path: Path) -> None:
    arguments = (
        "finetune", "quickstart/cnn", f"data.train={planted}", *TINY, "train.clips=24", PLANTED_GAIN, "--out", "run",
    )  # fmt: skip
    (line,) = zoo(*arguments, code=2).stderr.strip().splitlines()
    (box,) = boxes_in(tmp_path / "run")
    report = json.loads((box / "report.json").read_text())
    assert f"not finite at step {report['step']} (clips " in line
    assert all(name in line for name in report["names"])
    assert "high/planted.wav" in report["names"]
    assert f"zoo replay run/black_box/{box.name}" in line
    assert report["exact"] is True
    assert "Traceback" not in line
    assert not (tmp_path / "run/summary.json").exists()
    # Left out by the policy, it does no harm: the policy may change on a resume.
    zoo(*arguments, "train.on_nonfinite=skip", "--resume")
    assert json.loads((tmp_path / "run/summary.json").read_text())["clips"] == 24


def test_what_is_no_black_box_is_one_line(zoo: Zoo) -> None:
    (line,) = zoo("replay", "nowhere", code=2).stderr.strip().splitlines()
    assert line.startswith("nowhere: found no such folder - expected a folder RUN/black_box/step-")


def test_out_of_memory_is_one_line(zoo: Zoo, tone_folder: Callable[..., Path]) -> None:
    """The output of the first convolution has 170 terabytes, more than addresses: torch's own allocator refuses."""
    (line,) = zoo(
        "finetune", "quickstart/cnn", f"data.train={tone_folder()}", "train.clips=8", "train.batch_size=4",
        "model.channels=[4096]", "model.n_frames=20000", "--out", "run", code=2,
    ).stderr.strip().splitlines()  # fmt: skip
    assert line.startswith("training: ran out of memory (peak ")
    assert "with 4 clips at once" in line
    assert "train.accumulate=2" in line
    assert "train.batch_size=2" in line
