"""Everything of the `augment` section in a run: two steps, resumed bit for bit, and what a recipe may not say."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from zoo.errors import RecipeError
from zoo.recipe import Recipe, dump_recipe, parse_recipe
from zoo.run import train
from zoo.train.plan import Report

RECIPE = """\
name: tiny
model: {kind: ast, embed_dim: 16, depth: 1, num_heads: 2, n_frames: 40}
front_end: {kind: ast}
data: {task: single-label, num_workers: 0}
augment:
  gain_db: [-7, 6]
  waveform_roll: 50
  waveform_mixup: {probability: 0.7, alpha: 10, length: first}
  noise_snr_db: [10, 40]
  spec_augment: as_source
  freq_mask: 24
  time_mask: 12
  log_mel_noise: 0.1
  time_roll: 5
  log_mel_mixup: {probability: 0.7, alpha: 0.3, keep_larger: true}
objective: {kind: classification, label_smoothing: 0.1}
optim: {lr: 1e-3}
schedule: {warmup_clips: 0.5}
train: {steps: 4, batch_size: 4, precision: fp32, device: cpu}
log: {every_clips: 4, checkpoint_minutes: 1e-6}
"""


class Killed(BaseException):
    """Stands for SIGKILL."""


def _recipe(data: Path, *overrides: str) -> Recipe:
    return parse_recipe(RECIPE, "x.yaml", [f"data.train={data}", *overrides])


@pytest.mark.parametrize("overrides", [(), ("front_end.kind=passt", "data.padding=as_source")])
def test_a_killed_run_goes_on_bit_for_bit(
    overrides: tuple[str, ...], tone_folder: Callable[..., Path], tmp_path: Path
) -> None:
    data = tone_folder(clips=7, seconds=0.3)
    (data / "low" / "low_0.wav").write_bytes(b"RIFF")
    recipe = _recipe(data, *overrides)
    whole = train(recipe, tmp_path / "whole", command="finetune")
    assert (whole["steps"], whole["clips"]) == (4, 16)

    def kill(report: Report) -> None:
        if report.step == 2:
            raise Killed

    with pytest.raises(Killed):
        train(recipe, tmp_path / "cut", command="finetune", on_progress=kill)
    train(recipe, tmp_path / "cut", command="finetune", resume=True)
    ours, theirs = (load_file(tmp_path / name / "checkpoints/last/model.safetensors") for name in ("cut", "whole"))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    for off in ("augment.log_mel_mixup=null", "augment.waveform_mixup=null", "augment.noise_snr_db=null"):
        folder = tmp_path / off
        train(_recipe(data, *overrides, off), folder, command="finetune")
        without = load_file(folder / "checkpoints/last/model.safetensors")
        assert not all(torch.equal(without[name], theirs[name]) for name in without), off


def test_pretraining_mixes_sounds_without_labels(tone_folder: Callable[..., Path], tmp_path: Path) -> None:
    recipe = _recipe(
        tone_folder(clips=4),
        "model={kind: ssast, embed_dim: 16, depth: 1, num_heads: 2, n_frames: 48, num_masked: 0.5}",
        "data.task=null",
        "objective={kind: masked-patch}",
        "train.steps=2",
    )
    summary = train(recipe, tmp_path / "run", command="pretrain")
    assert summary["steps"] == 2


def test_one_clip_cannot_be_mixed(tone_folder: Callable[..., Path], tmp_path: Path) -> None:
    recipe = _recipe(tone_folder(classes=("one",), clips=1), "data.task=multi-label")
    with pytest.raises(RecipeError, match=r"augment\.waveform_mixup: found one training clip - expected two or more"):
        train(recipe, tmp_path / "run", command="finetune")


def test_the_section_reads_back_from_its_dump() -> None:
    recipe = _recipe(Path("clips"))
    assert recipe.augment.gain_db == (-7, 6)
    assert recipe.augment.waveform_mixup is not None
    assert parse_recipe(dump_recipe(recipe), "again") == recipe


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("augment.gain_db=3", "augment.gain_db: expected a list, got 3"),
        ("augment.gain_db=[3]", "augment.gain_db: must have 2 items, got 1"),
        ("augment.gain_db=[3, -3]", "augment.gain_db: found [3, -3] - expected [lowest, highest] - swap the two"),
        ("augment.waveform_mixup.alpha=0", "augment.waveform_mixup.alpha: must be >= 0.01, got 0"),
        ("augment.log_mel_mixup={alpha: 1}", "augment.log_mel_mixup.probability: required key is missing"),
        ("augment.log_mel_mixup.lenght=first", "augment.log_mel_mixup.lenght: unknown key; did you mean 'length'?"),
        ("augment.spec_augment=as-source", "augment.spec_augment: expected 'mean' or 'as_source', got"),
        ("front_end.normalise=clip", "augment.spec_augment: found 'as_source' with front_end.normalise 'clip'"),
        ("augment.mixup=0.5", "augment.mixup: unknown key"),
    ],
)
def test_what_a_recipe_may_not_say(override: str, told: Any) -> None:
    with pytest.raises(RecipeError) as error:
        _recipe(Path("clips"), override)
    found = str(error.value).splitlines()
    assert len(found) == 1
    assert told in found[0]
