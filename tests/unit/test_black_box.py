"""A black box holds all of a step, stands whole or not at all, and never ends a run that would go on."""

import itertools
import json
import logging
import math
import os
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.conftest import PLANTED_GAIN
from tests.unit.one_step import ALL_AUGMENTATION, FINETUNE, OneStep, run_step
from zoo.errors import CheckpointError
from zoo.run import black_box
from zoo.run.black_box import BlackBoxes, read_black_box, write_black_box
from zoo.train.incident import Incident, stopped_by


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: os.fstat(descriptor))


@pytest.fixture
def step(tone_folder: Callable[..., Path]) -> OneStep:
    return run_step(FINETUNE, tone_folder(clips=4))


def write(folder: Path, step: OneStep, **changes: Any) -> Path:
    incident = replace(step.incident, **changes)
    return write_black_box(folder, incident, step.model, step.recipe, step.config, None, step.class_weights)


def assert_same(one: Any, two: Any) -> None:
    assert type(one) is type(two)
    for field in fields(one):
        ours, theirs = getattr(one, field.name), getattr(two, field.name)
        if isinstance(ours, Tensor):
            assert ours.dtype == theirs.dtype
            assert torch.equal(ours, theirs), field.name
        elif field.name == "partners" and ours is not None:
            assert_same(ours, theirs)
        else:
            assert ours == theirs, field.name


def test_what_is_written_is_read(tone_folder: Callable[..., Path], tmp_path: Path) -> None:
    step = run_step(FINETUNE, tone_folder(clips=4), *ALL_AUGMENTATION, micro=2, freeze=lambda name: "blocks.0" in name)
    assert step.incident.batches[0].partners is not None
    box = write(tmp_path, step, loss=math.nan, grad_norm=-math.inf, exact=False, precision="bf16")
    assert box == tmp_path / "black_box/step-000003"
    found = read_black_box(box)
    assert (found.incident.step, found.incident.epoch, found.incident.clips) == (3, 1, 16)
    assert math.isnan(found.incident.loss)
    assert found.incident.grad_norm == -math.inf
    assert (found.incident.exact, found.incident.precision) == (False, "bf16")
    assert len(found.incident.batches) == 2
    for ours, theirs in zip(step.incident.batches, found.incident.batches, strict=True):
        assert_same(ours, theirs)
    assert found.recipe == step.recipe
    state = step.model.state_dict()
    assert found.state.keys() == state.keys()
    assert all(torch.equal(found.state[name], state[name]) for name in state)
    assert torch.equal(found.class_weights.positive, step.class_weights.positive)
    assert set(found.frozen) == {name for name in state if "blocks.0" in name}
    assert found.config["labels"] == ["high", "low"]


def test_the_report_is_json_for_all_readers(step: OneStep, tmp_path: Path) -> None:
    parameter = dict(step.model.named_parameters())["head.linear.weight"]
    assert parameter.grad is not None
    parameter.grad[0, 0] = math.nan
    optimiser = torch.optim.AdamW(step.model.parameters(), lr=0.25)
    incident = replace(step.incident, loss=math.inf)
    box = write_black_box(tmp_path, incident, step.model, step.recipe, step.config, optimiser)

    def refuse(word: str) -> None:
        raise AssertionError(word)

    report = json.loads((box / "report.json").read_text(), parse_constant=refuse)
    assert report["loss"] == "inf"
    assert report["gradients_not_finite"] == ["head.linear.weight"]
    assert report["lr"] == [0.25]
    assert report["names"] == list(step.incident.names)
    assert report["ids"] == step.incident.batches[0].ids.tolist()
    assert {"torch", "python"} <= report["versions"].keys()
    assert report["device"]


def test_nothing_in_it_can_run_code(step: OneStep, tmp_path: Path) -> None:
    box = write(tmp_path, step)
    names = sorted(str(path.relative_to(box)) for path in box.rglob("*") if path.is_file())
    assert names == [
        "batch-0.pt", "checkpoint/config.json", "checkpoint/model.safetensors", "recipe.yaml", "report.json",
    ]  # fmt: skip
    torch.load(box / "batch-0.pt", weights_only=True)


def test_a_batch_that_is_a_view_is_saved_without_what_it_is_a_view_of(step: OneStep, tmp_path: Path) -> None:
    (batch,) = step.incident.batches
    big = torch.zeros(1000, batch.waveform.shape[1])
    box = write(tmp_path, step, batches=(replace(batch, waveform=big[: len(batch)]),))
    assert (box / "batch-0.pt").stat().st_size < 2 * batch.waveform.numel() * 4


def test_ranks_have_boxes_of_their_own(step: OneStep, tmp_path: Path) -> None:
    boxes = [write(tmp_path, step, rank=rank, world=2) for rank in (0, 1)]
    assert [box.name for box in boxes] == ["step-000003-rank-0", "step-000003-rank-1"]
    assert read_black_box(boxes[1]).incident.rank == 1


def test_a_step_that_fails_again_after_a_resume_replaces_its_box(step: OneStep, tmp_path: Path) -> None:
    write(tmp_path, step, loss=1.0)
    box = write(tmp_path, step, loss=2.0)
    assert read_black_box(box).incident.loss == 2.0
    assert [path.name for path in (tmp_path / "black_box").iterdir()] == ["step-000003"]


def test_whole_or_not_at_all(step: OneStep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    before = write(tmp_path, step, loss=1.0)
    for place in ("write_json", "write_pickle", "write_tensors"):
        with monkeypatch.context() as patch:
            patch.setattr(black_box.disk, place, full)
            with pytest.raises(CheckpointError, match="No space left on device"):
                write(tmp_path, step, loss=2.0)
            with pytest.raises(CheckpointError, match="No space left on device"):
                write(tmp_path / "new", step, loss=2.0)
        assert [path.name for path in (tmp_path / "black_box").iterdir()] == ["step-000003"]
        assert list((tmp_path / "new/black_box").iterdir()) == []
        assert read_black_box(before).incident.loss == 1.0


def boxes_of(step: OneStep, run: Path, most: int = 10) -> BlackBoxes:
    return BlackBoxes(run, step.model, step.recipe, step.config, most=most)


def test_after_so_many_they_are_only_counted(step: OneStep, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    boxes = boxes_of(step, tmp_path, most=2)
    written = [boxes(replace(step.incident, step=number)) for number in (5, 6, 7)]
    assert [None if box is None else box.name for box in written] == ["step-000005", "step-000006", None]
    assert boxes.count == 3
    assert "not finite at step 7" in caplog.messages[-1]
    # After a resume those of before count, but not those of another process.
    assert boxes_of(step, tmp_path, most=2)(replace(step.incident, step=8)) is None
    assert boxes_of(step, tmp_path, most=2)(replace(step.incident, step=8, rank=1, world=2)) is not None


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), RuntimeError("anything\nat all")])
def test_what_cannot_be_written_is_told_in_a_line_and_the_run_goes_on(
    error: Exception,
    step: OneStep,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(black_box.disk, "write_pickle", fail)
    caplog.set_level(logging.WARNING)
    assert boxes_of(step, tmp_path)(step.incident) is None
    (line,) = caplog.messages
    assert "\n" not in line
    assert "could not be written" in line
    assert str(error).split("\n")[0][-9:] in line
    assert list((tmp_path / "black_box").iterdir()) == []


def test_the_line_that_names_the_box(step: OneStep, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    box = boxes_of(step, tmp_path)(step.incident)
    assert caplog.messages == [], "under stop, the error says it"
    skipping = step.recipe.train.model_copy(update={"on_nonfinite": "skip"})
    step.recipe = step.recipe.model_copy(update={"train": skipping})
    assert boxes_of(step, tmp_path)(step.incident) == box
    assert f"zoo replay {box}" in caplog.messages[0]
    for where, words in ((box, f"zoo replay {box}"), (None, "look at these clips")):
        line = str(stopped_by(step.incident, where))
        assert "\n" not in line
        assert "not finite at step 3 (clips " in line
        assert all(name in line for name in step.incident.names)
        assert words in line
        assert "train.on_nonfinite=skip" in line


def test_many_clips_are_not_all_in_the_line() -> None:
    many = Incident(7, 0, 0, (), math.nan, math.nan, "fp32")
    assert many.in_words == "not finite at step 7 (clips )"


def damage(path: Path, how: str) -> None:
    if how == "missing":
        path.unlink()
    elif how == "cut":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    else:
        path.write_bytes(b"")


FILES = ("report.json", "recipe.yaml", "batch-0.pt", "checkpoint/model.safetensors", "checkpoint/config.json")


def test_missing_and_damaged_files_are_one_line(step: OneStep, tmp_path: Path) -> None:
    for name, how in itertools.product(FILES, ("missing", "cut", "empty")):
        box = write(tmp_path, step)
        damage(box / name, how)
        with pytest.raises(CheckpointError) as caught:
            read_black_box(box)
        told = str(caught.value)
        assert "\n" not in told, (name, how)
        assert Path(name).name in told
        assert str(box) in told
    damage(box / "checkpoint/model.safetensors", "missing")
    read_black_box(write(tmp_path, step))


def test_batches_of_other_content_are_one_line(step: OneStep, tmp_path: Path) -> None:
    box = write(tmp_path, step)
    whole = torch.load(box / "batch-0.pt", weights_only=True)
    for change in ({"names": ["one"]}, {"waveform": None}, {"unknown": 1}):
        torch.save({**whole, **change}, box / "batch-0.pt")
        with pytest.raises(CheckpointError, match=r"batch-0\.pt"):
            read_black_box(box)
    del whole["ids"]
    torch.save(whole, box / "batch-0.pt")
    with pytest.raises(CheckpointError, match=r"batch-0\.pt"):
        read_black_box(box)


def test_what_is_no_black_box(step: OneStep, tmp_path: Path) -> None:
    box = write(tmp_path, step)
    for folder in (tmp_path, tmp_path / "black_box"):
        with pytest.raises(CheckpointError, match=f"1 black box in it .* zoo replay {box}"):
            read_black_box(folder)
    with pytest.raises(CheckpointError, match="no such folder"):
        read_black_box(tmp_path / "nowhere")
    with pytest.raises(CheckpointError, match="a file"):
        read_black_box(box / "recipe.yaml")
    with pytest.raises(CheckpointError, match=r"no report\.json in it"):
        read_black_box(box / "checkpoint")


def test_the_planted_clip_is_odd_and_used(
    tone_folder: Callable[..., Path], plant: Callable[[Path], Path], tmp_path: Path
) -> None:
    folder = tone_folder(classes=("low",), clips=3)
    plant(folder / "low/planted.wav")
    step = run_step(FINETUNE, folder, PLANTED_GAIN, "objective.class_weights=none")
    box = read_black_box(write(tmp_path, step))
    assert math.isnan(box.incident.loss)
    assert [(bad["name"], bad["reason"]) for bad in box.report["bad_audio"]] == [
        ("low/planted.wav", "beyond full scale")
    ]
    assert len(box.report["gradients_not_finite"]) > 1
