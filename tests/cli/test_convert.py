"""`zoo convert` as a user runs it: formats, geometry, what is printed, and what is refused."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import zoo as package
from zoo.audio.ast_front_end import AstFrontEndConfig
from zoo.models.registry import build_model, preset_config
from zoo.train.checkpoint import save_checkpoint

Zoo = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def model(tmp_path: Path) -> Any:
    """A tiny AST, saved in the folder `mine` as a run would do it."""
    config = preset_config("ast-tiny", embed_dim=24, depth=1, num_heads=3, n_frames=128, num_classes=3)
    model: Any = build_model(config).eval()
    about = {
        "model": config.model_dump(mode="json"),
        "pretraining": False,
        "front_end": AstFrontEndConfig().model_dump(mode="json"),
        "labels": ["a", "b", "c"],
        "task": "single-label",
    }
    save_checkpoint(tmp_path / "mine", model.state_dict(), about)
    return model


def test_through_every_format_and_home(zoo: Zoo, tmp_path: Path, model: Any) -> None:
    said = zoo("convert", "mine", "hf", "--to", "hf").stdout
    assert "subtract_mean is True" in said
    assert "wrote hf: ast" in said
    report = json.loads(zoo("convert", "hf", "mine.pth", "--to", "official", "--bare", "--json").stdout)
    assert report["path"] == "mine.pth"
    assert report["max_difference"] == 0.0
    assert "v.cls_token" in torch.load(tmp_path / "mine.pth", weights_only=True)
    zoo("convert", "mine.pth", "back", "own.num_heads=3", "own.stride=[10,10]", "own.n_frames=128")
    x = torch.randn(2, 128, 128)
    assert torch.equal(package.load(tmp_path / "back")(x), model(x))


def test_another_geometry(zoo: Zoo, tmp_path: Path, model: Any) -> None:
    said = zoo("convert", "mine", "other", "n_frames=64", "stride=[12,14]", "num_classes=5", "positions=nearest").stdout
    assert "positions: nearest, 12x12 to 10x4" in said
    assert "fresh: head.norm.weight" in said
    other: Any = package.load(tmp_path / "other")
    assert (other.config.n_frames, other.config.stride, other.config.num_classes) == (64, (12, 14), 5)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["mine", "mine"], "found a folder with config.json"),
        (["nothing", "out"], "no such folder"),
        (["mine", "out", "frames=64"], "found 'frames'"),
        (["mine", "out", "--to", "official"], "out.pth"),
        (["mine", "out", "--to", "hf", "kind=passt"], "expected an 'ast'"),
    ],
)
def test_wrong_input_is_one_line(zoo: Zoo, tmp_path: Path, model: Any, arguments: list[str], words: str) -> None:
    text = zoo("convert", *arguments, code=2).stderr
    assert words in text
    assert len(text.strip().splitlines()) == 1, text
    assert not (tmp_path / "out").exists()
