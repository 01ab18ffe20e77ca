"""Training that starts from files of released code: pretraining goes on, fine-tuning adapts, and the run says how."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.cli.conftest import TINY
from zoo.models.cost import build_on_meta
from zoo.models.registry import preset_config
from zoo.weights.formats.official_ast import OfficialAst
from zoo.weights.formats.official_ssast import OfficialSsast

Zoo = Callable[..., subprocess.CompletedProcess[str]]

NARROW: dict[str, Any] = {"embed_dim": 64, "depth": 1, "num_heads": 1}
WIDTHS = [f"model.{field}={value}" for field, value in NARROW.items()]
SHORT = [*TINY, *WIDTHS, "train.clips=8", "evaluate.every_clips=8", "log.images=1", "init.front_end=any"]


def released(path: Path, format_: Any, preset: str, pretraining: bool = False) -> None:
    """A narrow file as the released code writes it."""
    config = preset_config(preset, **NARROW)
    shapes = build_on_meta(config, pretraining=pretraining).state_dict()
    torch.manual_seed(0)
    state = format_.export({name: 0.02 * torch.randn(tensor.shape) for name, tensor in shapes.items()}, config)
    torch.save({f"module.{key}": tensor for key, tensor in state.items()}, path)


def test_pretraining_goes_on_from_the_released_ssast(
    zoo: Zoo, tone_folder: Callable[..., Path], tmp_path: Path
) -> None:
    data = tone_folder(clips=4)
    released(tmp_path / "ssast.pth", OfficialSsast(), "ssast-patch-tiny", True)
    recipe = ["quickstart/pretrain", f"data.train={data}", f"data.eval={data}", *SHORT]
    geometry = ["model.patch_size=[16,16]", "model.stride=[16,16]"]
    done = zoo("pretrain", *recipe, *geometry, "init.from=ssast.pth", "--out", "run")
    assert "ssast.pth: official SSAST (pretraining)" in done.stdout
    notes = json.loads((tmp_path / "run/summary.json").read_text())["init"]["notes"]
    assert any(note.startswith("positions: resample, 8x64 to 8x3") for note in notes)  # the first 3 columns
    assert "pretraining heads and mask token: the checkpoint's" in notes
    assert not any(note.startswith("fresh") for note in notes)


def test_pretraining_goes_on_where_a_run_ended(zoo: Zoo, tone_folder: Callable[..., Path], tmp_path: Path) -> None:
    """With a rate of nothing the loss on the watched clips is the one that the run before had at its end: the heads
    came along, and so did the masks. Fine-tuning starts from the same run."""
    data = tone_folder(clips=4)
    recipe = ["quickstart/pretrain", f"data.train={data}", f"data.eval={data}", *SHORT]

    def loss_after(run: str, *more: str) -> float:
        zoo("pretrain", *recipe, *more, "--out", run)
        return float(json.loads((tmp_path / run / "summary.json").read_text())["metrics"]["loss"])

    before = loss_after("first")
    still = "optim.lr=1e-15"
    assert loss_after("second", still, "init.from=first") == pytest.approx(before, rel=1e-5)
    notes = json.loads((tmp_path / "second/summary.json").read_text())["init"]["notes"]
    assert notes == ["pretraining heads and mask token: the checkpoint's"]
    zoo(
        "finetune",
        "quickstart/ssast",
        f"data.train={data}",
        f"data.eval={data}",
        *SHORT,
        "init.from=second",
        "--out",
        "t",
    )
    tuned = json.loads((tmp_path / "t/summary.json").read_text())["init"]
    assert tuned["notes"] == ["fresh: head.norm.weight, head.norm.bias, head.linear.weight, head.linear.bias"]
    assert tuned["clips"] == 16  # of both pretrainings


def test_finetuning_starts_from_the_released_ast(zoo: Zoo, tone_folder: Callable[..., Path], tmp_path: Path) -> None:
    data = tone_folder(clips=4)
    released(tmp_path / "ast.pth", OfficialAst(), "ast-tiny")
    recipe = ["quickstart/ast", f"data.train={data}", f"data.eval={data}", *SHORT, "init.from=ast.pth"]
    checked = json.loads(zoo("check", *recipe, "--json").stdout)[0]
    assert any("positions:" in note for note in checked["init"])
    zoo("finetune", *recipe, "optim.lr=1e-12", "init.positions=resample", "--out", "run")
    notes = json.loads((tmp_path / "run/summary.json").read_text())["init"]["notes"]
    assert any(note.startswith("positions: resample, 12x101 to") for note in notes)
    assert any(note.startswith("front end: normalise: 'dataset' there, 'clip' here") for note in notes)
    described = json.loads(zoo("doctor", "run", "--json").stdout)
    assert described["labels"] == ["high", "low"]
    assert described["front_end"]["normalise"] == "clip"


def test_another_front_end_is_refused(zoo: Zoo, tone_folder: Callable[..., Path], tmp_path: Path) -> None:
    data = tone_folder(clips=4)
    released(tmp_path / "ast.pth", OfficialAst(), "ast-tiny")
    strict = [word for word in SHORT if not word.startswith("init.")]
    done = zoo("finetune", "quickstart/ast", f"data.train={data}", *strict, "init.from=ast.pth", "--out", "run", code=2)
    assert "normalise: 'dataset' there, 'clip' here" in done.stderr
    assert len(done.stderr.splitlines()) == 1
