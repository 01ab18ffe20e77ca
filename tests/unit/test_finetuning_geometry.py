"""Fine-tuning of pretrained backbones in any geometry: other steps, patches, mel bands, lengths and families."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.unit.pretrained import FRAME, NARROW, PATCH, config_of, ours, released_ssast, started
from zoo.errors import CheckpointError
from zoo.models.masked_patch import BACKBONE
from zoo.models.registry import preset_config
from zoo.weights.tensor_names import KERNEL, TABLE

GEOMETRIES: list[dict[str, Any]] = [
    {},
    {"n_frames": 512, "stride": (10, 10)},
    {"n_frames": 100, "stride": (10, 10)},
    {"n_frames": 2048},
    {"n_frames": 512, "stride": (16, 4)},
    {"n_mels": 64, "n_frames": 512},
    {"n_mels": 256, "n_frames": 512, "stride": (12, 12)},
    {"n_frames": 512, "patch_size": (32, 8), "stride": (32, 4)},
    {"n_frames": 512, "patch_size": (128, 2), "stride": (128, 1)},
]


@pytest.mark.parametrize("fields", GEOMETRIES, ids=str)
@pytest.mark.parametrize("preset", [PATCH, FRAME])
@pytest.mark.parametrize("write", [ours, released_ssast])
def test_any_pretrained_backbone_is_finetuned_in_any_geometry(
    write: Callable[..., Any], preset: str, fields: dict[str, Any], tmp_path: Path
) -> None:
    """Whatever cannot be copied is adapted, and said; the head alone is new."""
    decoder = {"encode": "visible"} if write is ours else {}  # which is left behind
    config, path = config_of(preset, **decoder), tmp_path / "checkpoint"
    source = write(path, config)
    own = {"patch_size": config.patch_size, "stride": config.stride} | fields
    if own["patch_size"][0] > fields.get("n_mels", 128):
        own |= {"patch_size": (64, 2), "stride": (64, 2)}
    target = config_of("ast-tiny" if fields.get("n_frames") == 2048 else preset, num_classes=3, **own)
    model, report = started(path, target, pretraining=False)
    assert set(report.fresh) == {"head.norm.weight", "head.norm.bias", "head.linear.weight", "head.linear.bias"}
    state = {name.removeprefix(BACKBONE): tensor for name, tensor in source.state_dict().items()}
    for name, tensor in model.state_dict().items():
        if not name.startswith("head.") and name not in (TABLE, KERNEL):
            assert torch.equal(tensor, state[name]), name
    resized = target.patch_size != config.patch_size
    assert any(note.startswith("patch kernel: ") for note in report.notes) == resized
    assert torch.equal(model.state_dict()[KERNEL], state[KERNEL]) != resized
    moved = target.grid != config.grid or target.stride != config.stride
    assert any(note.startswith("positions: ") for note in report.notes) == moved
    logits = model(torch.randn(1, target.n_mels, target.n_frames))
    assert logits.shape == (1, 3)
    assert logits.isfinite().all()


@pytest.mark.parametrize(
    ("preset", "fields", "words"),
    [
        (PATCH, {"depth": 3}, "depth 2 there, 3 here - expected the same - set model.depth=2"),
        (PATCH, {"embed_dim": 32}, "embed_dim 64 there, 32 here - expected the same - set model.embed_dim=64"),
        ("ast-sinusoidal", {}, "encoder.norm.bias has no place in the model"),
        (
            "cnn-baseline",
            {},
            "a transformer's and the model's (cnn) a convolutional network's - expected two of one sort",
        ),
    ],
)
def test_what_is_impossible_is_one_line(preset: str, fields: dict[str, Any], words: str, tmp_path: Path) -> None:
    ours(tmp_path / "c", config_of(PATCH, n_frames=192, num_masked=0.7))
    sizes = {} if preset.startswith("cnn") else {**NARROW, **fields}
    with pytest.raises(CheckpointError) as error:
        started(tmp_path / "c", preset_config(preset, **sizes, num_classes=3, n_frames=192), pretraining=False)
    assert words in str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 500
