"""A replay gives the numbers of the step to the last bit, and names the clip, the stage and what to do."""

import json
import math
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.conftest import PLANTED_GAIN
from tests.unit.one_step import ALL_AUGMENTATION, CPU, FINETUNE, PRETRAIN, OneStep, run_step
from zoo.errors import CheckpointError, RecipeError
from zoo.run.black_box import read_black_box, write_black_box
from zoo.use.console import Console
from zoo.use.replay import replay
from zoo.use.replay_step import rebuild
from zoo.use.show.replay import show_replay


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: os.fstat(descriptor))


def box_of(made: OneStep, folder: Path, **changes: Any) -> Path:
    incident = replace(made.incident, **changes)
    return write_black_box(folder, incident, made.model, made.recipe, made.config, None, made.class_weights)


CASES = {
    "plain": (FINETUNE, (), 1),
    "all augmentation": (FINETUNE, ALL_AUGMENTATION, 1),
    "accumulated": (FINETUNE, ALL_AUGMENTATION, 2),
    "padding is seen": (FINETUNE, ("front_end.kind=passt", "data.padding=as_source", *ALL_AUGMENTATION), 1),
    "several labels": (FINETUNE, ("data.task=multi-label",), 1),
    "masked patches": (PRETRAIN, ("augment.freq_mask=24",), 1),
}


@pytest.mark.parametrize("name", CASES)
def test_the_same_numbers_without_the_data(name: str, tone_folder: Callable[..., Path], tmp_path: Path) -> None:
    """Dropout, stochastic depth, patchout, masks, mixing and noise are those of the step; the audio is gone."""
    text, overrides, micro = CASES[name]
    data = tone_folder(clips=8)
    step = run_step(text, data, *overrides, micro=micro, freeze=lambda name: "blocks.0.mlp" in name)
    box = box_of(step, tmp_path / "run")
    shutil.rmtree(data)
    torch.manual_seed(99)
    again = rebuild(read_black_box(box), CPU)
    found = again.run(step.incident.batches)
    tolerance = {"rel": 1e-6} if micro > 1 else {"rel": 0, "abs": 0}  # the sums of several come in another order
    assert found.loss == pytest.approx(step.incident.loss, **tolerance)
    assert found.grad_norm == pytest.approx(step.incident.grad_norm, **tolerance)
    gradients = {name: one.grad for name, one in again.model.named_parameters() if one.grad is not None}
    assert gradients.keys() == step.gradients.keys()
    if micro == 1:
        assert all(torch.equal(gradients[name], step.gradients[name]) for name in gradients)
    # Another step, epoch or process would have drawn otherwise.
    for change in ({"step": 4}, {"epoch": 0}, {"rank": 1}):
        other = rebuild(read_black_box(box_of(step, tmp_path / "other", **change)), CPU)
        assert other.run(step.incident.batches).loss != found.loss, change


@pytest.fixture
def planted(tone_folder: Callable[..., Path], plant: Callable[[Path], Path]) -> Path:
    """Eight clips, one of which is not finite under PLANTED_GAIN."""
    folder = tone_folder(clips=4)
    (folder / "high/high_3.wav").unlink()
    plant(folder / "high/planted.wav")
    return folder


@pytest.mark.parametrize("text", [FINETUNE, PRETRAIN], ids=["finetune", "pretrain"])
def test_the_planted_clip_is_found(text: str, planted: Path, tmp_path: Path) -> None:
    step = run_step(text, planted, PLANTED_GAIN, "train.batch_size=8")
    assert math.isnan(step.incident.loss)
    report = json.loads(json.dumps(replay(box_of(step, tmp_path)), allow_nan=False))
    assert report["reproduced"] is True
    assert report["then"] == report["now"] == {"loss": "nan", "grad_norm": "nan"}
    assert report["not_finite_clips"] == ["high/planted.wav"]
    assert [clip["name"] for clip in report["clips"] if not clip["finite"]] == ["high/planted.wav"]
    assert len(report["clips"]) == 8
    worst = report["worst"]
    assert worst["name"] == "high/planted.wav"
    assert worst["labels"] == (["high"] if text is FINETUNE else None)
    assert worst["first_not_finite"] == worst["first_module"] == "log-mel"
    assert worst["finite_without_augmentation"] is True
    assert worst["finite_in_fp32"] is False
    assert any(oddity.endswith("high/planted.wav: beyond full scale") for oddity in worst["oddities"])
    stages = {stage["stage"]: stage for stage in worst["stages"]}
    assert stages["waveform"]["abs_max"] > 1e14
    assert stages["waveform, augmented"]["abs_max"] == pytest.approx(1e4 * stages["waveform"]["abs_max"], rel=1e-4)
    assert stages["waveform"]["nan"] == stages["waveform"]["inf"] == 0
    assert stages["log-mel"]["nan"] + stages["log-mel"]["inf"] > 0
    assert stages["loss"]["nan"] == 1
    assert "leave high/planted.wav out" in report["advice"][0]
    assert "gain_db" in report["advice"][1]


def test_a_partner_is_found_too(planted: Path, tmp_path: Path) -> None:
    mixing = ("augment.waveform_mixup={probability: 1, alpha: 10}", "augment.log_mel_mixup={probability: 1, alpha: 1}")
    step = run_step(FINETUNE, planted, PLANTED_GAIN, "train.batch_size=8", *mixing)
    report = replay(box_of(step, tmp_path))
    bad = [clip["name"] for clip in report["clips"] if not clip["finite"]]
    assert len(bad) > 1, "the planted clip is a partner of others"
    assert report["not_finite_clips"] == ["high/planted.wav"]


def test_a_finite_step_is_not_reproduced(tone_folder: Callable[..., Path], tmp_path: Path) -> None:
    step = run_step(FINETUNE, tone_folder(clips=4))
    report = replay(box_of(step, tmp_path, loss=math.nan))
    assert report["reproduced"] is False
    assert report["now"]["loss"] == step.incident.loss
    assert report["not_finite_clips"] == []
    assert report["worst"]["first_not_finite"] is None
    assert report["worst"]["gradients"]["largest_norm"] > 0
    largest = max(report["clips"], key=lambda clip: clip["grad_norm"])
    assert report["worst"]["name"] == largest["name"]
    assert "the same step is finite now" in report["advice"][0]
    for change, words in (({"exact": False}, "some steps later"), ({"world": 2}, "other ranks")):
        told = replay(box_of(step, tmp_path, loss=math.nan, **change))["advice"]
        assert any(words in line for line in told), (change, told)


def change_weight(box: Path, name: str, factor: float) -> None:
    file = box / "checkpoint/model.safetensors"
    state = load_file(file)
    state[name] = state[name] * factor
    save_file(state, file)


def test_a_gradient_alone(tone_folder: Callable[..., Path], tmp_path: Path) -> None:
    """The loss is a number of 1e35; what flows back from it is squared for the norm, and so leaves float32."""
    step = run_step(PRETRAIN, tone_folder(clips=4))
    box = box_of(step, tmp_path, grad_norm=math.inf)
    change_weight(box, "reconstruct.output.weight", 1e17)
    report = replay(box)
    assert report["reproduced"] is True
    assert 1e30 < report["now"]["loss"] < math.inf
    assert report["now"]["grad_norm"] == "inf"
    worst = report["worst"]
    assert worst["first_not_finite"] is None
    assert 0 < worst["gradients"]["not_finite"] < len(step.gradients)
    assert worst["gradients"]["first_not_finite"].startswith("reconstruct.hidden")
    assert worst["gradients"]["largest_norm"] == "inf"
    assert any("clipping cannot help" in line for line in report["advice"])


def test_the_stage_inside_a_block(tone_folder: Callable[..., Path], tmp_path: Path) -> None:
    step = run_step(FINETUNE, tone_folder(clips=4))
    box = box_of(step, tmp_path, loss=math.nan)
    change_weight(box, "encoder.blocks.1.mlp.fc1.weight", 1e30)
    change_weight(box, "encoder.blocks.1.mlp.fc2.weight", 1e30)
    report = replay(box)
    assert report["reproduced"] is True
    assert report["worst"]["first_not_finite"] == "encoder.blocks.1"
    assert report["worst"]["first_module"] == "encoder.blocks.1.mlp.fc2"
    assert report["worst"]["stages"][-1]["stage"] == "loss"
    assert "encoder.blocks.1.mlp.fc2" not in [stage["stage"] for stage in report["worst"]["stages"]]
    assert len(report["not_finite_clips"]) == 4
    assert "it is the weights" in report["advice"][0]


def test_weights_that_were_not_finite_before(tone_folder: Callable[..., Path], tmp_path: Path) -> None:
    step = run_step(FINETUNE, tone_folder(clips=4))
    box = box_of(step, tmp_path, loss=math.nan)
    change_weight(box, "head.linear.weight", math.nan)
    report = replay(box)
    assert report["weights_not_finite"] == ["head.linear.weight"]
    assert "earlier checkpoint" in report["advice"][0]


def test_an_overflow_that_the_scaler_of_fp16_takes_care_of_is_none(
    tone_folder: Callable[..., Path], tmp_path: Path
) -> None:
    step = run_step(FINETUNE, tone_folder(clips=4))
    report = replay(box_of(step, tmp_path, loss=math.nan, precision="fp16"))
    assert report["now"]["grad_norm"] in ("inf", "nan")
    assert report["reproduced"] is False
    assert report["not_finite_clips"] == []


def test_half_precision_is_that_of_the_run(tone_folder: Callable[..., Path], tmp_path: Path) -> None:
    step = run_step(FINETUNE, tone_folder(clips=4))
    box = box_of(step, tmp_path, precision="fp16", loss=math.nan)
    change_weight(box, "encoder.blocks.1.attn.qkv.weight", 1e6)
    report = replay(box)
    assert report["reproduced"] is True
    assert report["worst"]["finite_in_fp32"] is True
    assert "in fp32 it is finite, in fp16 not" in report["advice"][0]
    losses = {
        precision: rebuild(read_black_box(box_of(step, tmp_path / precision, precision=precision)), CPU)
        .run(step.incident.batches)
        .loss
        for precision in ("fp32", "bf16")
    }
    assert losses["fp32"] == step.incident.loss != losses["bf16"]
    assert losses["bf16"] == pytest.approx(losses["fp32"], rel=0.1)


def test_tables_for_people(
    planted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "400")  # names of temporary folders may be long
    step = run_step(FINETUNE, planted, PLANTED_GAIN, "train.batch_size=8")
    show_replay(Console(), replay(box_of(step, tmp_path / "[bold]")))
    shown = capsys.readouterr().out
    for words in (
        "reproduced: the step is not finite again",
        "high/planted.wav",
        "first not finite: log-mel",
        "waveform, augmented",
        "encoder.blocks.1",
        "beyond full scale",
        "• leave high/planted.wav out",
    ):
        assert words in shown, words
    finite = run_step(FINETUNE, planted, "train.batch_size=8")
    show_replay(Console(), replay(box_of(finite, tmp_path / "finite", loss=math.nan)))
    shown = capsys.readouterr().out
    assert "NOT reproduced" in shown
    assert "all of it is finite; the largest gradient is that of" in shown
    pretrained = box_of(run_step(PRETRAIN, planted), tmp_path / "pretrained")
    change_weight(pretrained, "reconstruct.output.weight", 1e17)
    show_replay(Console(), replay(pretrained))
    assert "the loss is finite; of the gradients" in capsys.readouterr().out


def test_its_own_errors(tone_folder: Callable[..., Path], tmp_path: Path) -> None:
    box = box_of(run_step(FINETUNE, tone_folder(clips=4)), tmp_path)
    with pytest.raises(RecipeError, match="device: found 'tpu'"):
        replay(box, "tpu")
    state = load_file(box / "checkpoint/model.safetensors")
    del state["head.linear.bias"]
    save_file(state, box / "checkpoint/model.safetensors")
    with pytest.raises(CheckpointError, match=r"head\.linear\.bias") as caught:
        replay(box)
    assert "\n" not in str(caught.value)
