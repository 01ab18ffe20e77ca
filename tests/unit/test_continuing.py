"""Pretraining goes on from others' weights and from our own: what comes along, what starts afresh, and that it works.

Proof that heads were really taken: the first loss of the new run is the last one of the old, at the same masks.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from zoo.data.batch import Inputs
from zoo.errors import CheckpointError
from zoo.models.masked_patch import BACKBONE
from zoo.models.registry import build_model, preset_config
from zoo.objectives.masked_patch import MaskedPatchConfig
from zoo.train.checkpoint import save_checkpoint
from zoo.weights.adapt import AdaptConfig
from zoo.weights.formats.format import Format
from zoo.weights.formats.official_ast import OfficialAst
from zoo.weights.formats.official_ssast import OfficialSsast
from zoo.weights.load import InitReport, initialise
from zoo.weights.positions import resample
from zoo.weights.source import read
from zoo.weights.tensor_names import CLS, DIST, KERNEL, TABLE

WIDTH = 64  # as one released head is wide
NARROW: dict[str, Any] = {"embed_dim": WIDTH, "depth": 2, "num_heads": 1}
HEADS = {
    "mask_token",
    *(
        f"{head}.{layer}.{what}"
        for head in ("reconstruct", "classify")
        for layer in ("hidden", "output")
        for what in ("weight", "bias")
    ),
}
PATCH, FRAME = "ssast-patch-tiny", "ssast-frame-tiny"


def config_of(preset: str, **fields: Any) -> Any:
    return preset_config(preset, **{**NARROW, **fields})


def made(config: Any, pretraining: bool, seed: int = 0) -> Any:
    """A model in which every tensor has something to lose, biases and norms too."""
    torch.manual_seed(seed)
    model = build_model(config, pretraining=pretraining)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return model.eval()


def released(path: Path, format_: Format, config: Any, pretraining: bool) -> Any:
    """A file as the released code writes it, and the model whose weights it has."""
    model = made(config, pretraining)
    state = format_.export(model.state_dict(), config)
    torch.save({f"module.{name}": tensor for name, tensor in state.items()}, path)
    return model


def ours(folder: Path, config: Any, pretraining: bool = True) -> Any:
    """A checkpoint of a run of the zoo, and its model."""
    model = made(config, pretraining)
    save_checkpoint(folder, model.state_dict(), {"model": config.model_dump(mode="json"), "pretraining": pretraining})
    return model


def started(source: Path, config: Any, pretraining: bool = True, **options: Any) -> tuple[Any, InitReport]:
    """What a run with `init.from` begins with: another seed, then the checkpoint."""
    model = made(config, pretraining, seed=1)
    report = initialise(model, read(source, {}, config.model_dump()), options=AdaptConfig(**options))
    return model.eval(), report


def loss_of(model: Any, frames: int, n_mels: int = 128, **fields: Any) -> dict[str, float]:
    """Both losses of two clips, the masks decided by their keys."""
    log_mel = torch.randn(2, n_mels, frames, generator=torch.Generator().manual_seed(5))
    inputs = Inputs(log_mel, None, None, torch.tensor([3, 4]), ("a", "b"))
    with torch.no_grad():
        loss, _, scalars = MaskedPatchConfig(**fields).build(None)(model, inputs)
    return {"loss": float(loss), **{name: float(value) for name, value in scalars.items()}}


def assert_same_weights(model: Any, source: Any, but: tuple[str, ...] = ()) -> None:
    there = source.state_dict()
    assert model.state_dict().keys() == there.keys()
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, there[name]) != name.endswith(but or ("\0",)), name


def assert_same_blocks(model: Any, blocks: dict[str, Tensor]) -> None:
    """The encoder of a pretraining model is this, by the backbone's names."""
    own = {name: tensor for name, tensor in model.backbone.state_dict().items() if name.startswith("encoder.")}
    assert own.keys() == {name for name in blocks if name.startswith("encoder.")}
    assert all(torch.equal(tensor, blocks[name]) for name, tensor in own.items())


@pytest.mark.parametrize("preset", [PATCH, FRAME])
def test_from_released_ssast_with_its_heads(preset: str, tmp_path: Path) -> None:
    config = config_of(preset)
    source = released(tmp_path / "s.pth", OfficialSsast(), config, True)
    model, report = started(tmp_path / "s.pth", config)
    assert_same_weights(model, source)
    assert report.fresh == ()
    assert "pretraining heads and mask token: the checkpoint's" in report.notes
    assert loss_of(model, 1024, softmax_over="predictions") == loss_of(source, 1024, softmax_over="predictions")
    assert loss_of(made(config, True, seed=1), 1024)["loss"] != pytest.approx(loss_of(source, 1024)["loss"], rel=1e-3)


@pytest.mark.parametrize("preset", [PATCH, FRAME])
@pytest.mark.parametrize("write", [ours, None], ids=["own run", "released"])
def test_on_shorter_clips_it_is_the_model_that_it_was(preset: str, write: Any, tmp_path: Path) -> None:
    """A shorter model has the first columns, so that on a short clip it is what the longer one is on it."""
    long, path = config_of(preset, n_frames=1024, num_masked=0.7), tmp_path / "checkpoint"
    source = write(path, long) if write else released(path, OfficialSsast(), long, True)
    short = config_of(preset, n_frames=192, num_masked=0.7)
    model, report = started(path, short)
    assert_same_weights(model, source, but=("position.table",))
    assert any(note.startswith("positions: resample") for note in report.notes)
    assert loss_of(model, 192) == pytest.approx(loss_of(source, 192))


@pytest.mark.parametrize("preset", [PATCH, FRAME])
def test_on_longer_clips(preset: str, tmp_path: Path) -> None:
    source = ours(tmp_path / "c", config_of(preset, n_frames=192, num_masked=0.7))
    model, report = started(tmp_path / "c", config_of(preset, n_frames=480, num_masked=0.7))
    assert_same_weights(model, source, but=("position.table",))
    rows, columns = (8, 30) if preset == PATCH else (1, 240)
    before = source.backbone.embedding.position.table
    places = (torch.arange(columns, dtype=torch.float64) + 0.5) * 0.4 - 0.5  # 2.5 times as many over the same
    expected = resample(before, torch.arange(rows, dtype=torch.float64), places)
    assert torch.allclose(model.backbone.embedding.position.table, expected, atol=1e-6)
    assert any(f"to {rows}x{columns}" in note for note in report.notes)
    assert loss_of(model, 480)["loss"] > 0


def test_other_masks_and_the_other_form_of_passes_change_no_weight(tmp_path: Path) -> None:
    source = ours(tmp_path / "c", config_of(PATCH, n_frames=192, num_masked=0.7))
    other = {"num_masked": 30, "cluster_size": (2, 2), "separate_masks": True, "mask_sampler": "released"}
    model, report = started(tmp_path / "c", config_of(PATCH, n_frames=192, **other))
    assert_same_weights(model, source)
    assert report.fresh == ()
    assert model.num_masked == 30


def test_other_mel_bands_keep_heads_of_the_same_patches(tmp_path: Path) -> None:
    source = ours(tmp_path / "c", config_of(PATCH, n_frames=192, num_masked=0.7))
    model, _ = started(tmp_path / "c", config_of(PATCH, n_frames=192, n_mels=64, num_masked=0.7))
    assert_same_weights(model, source, but=("position.table",))


@pytest.mark.parametrize(
    ("there", "here", "size"),
    [
        (PATCH, {"preset": FRAME}, "16x16 there, 128x2 here"),  # as many values a patch, in another order
        (PATCH, {"preset": PATCH, "patch_size": (32, 16), "stride": (32, 16)}, "16x16 there, 32x16 here"),
        (FRAME, {"preset": PATCH}, "128x2 there, 16x16 here"),
        (FRAME, {"preset": FRAME, "n_mels": 64, "patch_size": (64, 2), "stride": (64, 2)}, "128x2 there, 64x2 here"),
    ],
)
def test_heads_for_other_patches_start_afresh(there: str, here: dict[str, Any], size: str, tmp_path: Path) -> None:
    """A head for one shape of patch says nothing about another, even where it gives as many values."""
    source = ours(tmp_path / "c", config_of(there, n_frames=192, num_masked=0.5))
    model, report = started(tmp_path / "c", config_of(**here, n_frames=192, num_masked=0.5))
    assert set(report.fresh) == HEADS - {"mask_token"}
    assert f"pretraining heads: fresh (patch_size {size})" in report.notes
    assert any(note.startswith("patch kernel: ") for note in report.notes)
    assert torch.equal(model.mask_token, source.mask_token)
    assert_same_blocks(model, source.backbone.state_dict())
    fresh = made(config_of(**here, n_frames=192, num_masked=0.5), True, seed=1)
    assert torch.equal(model.reconstruct.output.weight, fresh.reconstruct.output.weight)


def deit(path: Path) -> dict[str, Tensor]:
    """A DeiT of this width as its authors write it: three channels, 14 x 14 positions, two classifiers."""
    model = made(config_of("ast-tiny", n_mels=224, n_frames=224, stride=(16, 16), num_classes=10), False)
    state = OfficialAst().export(model.state_dict(), model.config)
    image = {name.removeprefix("v."): tensor for name, tensor in state.items() if name.startswith("v.")}
    kernel = image["patch_embed.proj.weight"]
    image["patch_embed.proj.weight"] = torch.cat([kernel, 2 * kernel, 3 * kernel], dim=1)
    torch.save({"model": image}, path)
    return model.state_dict()


def test_from_imagenet(tmp_path: Path) -> None:
    """The kernel is the sum over the channels, the middle 8 rows of the positions stay, and the heads are new."""
    state = deit(tmp_path / "deit.pth")
    model, report = started(tmp_path / "deit.pth", config_of(PATCH))
    assert set(report.fresh) == HEADS
    assert torch.allclose(model.backbone.state_dict()[KERNEL], 6 * state[KERNEL])
    assert_same_blocks(model, state)
    assert torch.equal(model.backbone.state_dict()[CLS], state[CLS])
    assert torch.equal(model.backbone.state_dict()[DIST], state[DIST])
    columns = (torch.arange(64, dtype=torch.float64) + 0.5) * 14 / 64 - 0.5
    expected = resample(state[TABLE], torch.arange(3, 11, dtype=torch.float64), columns)
    assert torch.allclose(model.backbone.state_dict()[TABLE], expected, atol=1e-5)
    assert {"patch kernel: sum of 3 channels", "positions: official, 14x14 to 8x64"} <= set(report.notes)
    assert loss_of(model, 1024)["loss"] > 0


def test_from_imagenet_to_frames(tmp_path: Path) -> None:
    state = deit(tmp_path / "deit.pth")
    model, report = started(tmp_path / "deit.pth", config_of(FRAME))
    assert set(report.fresh) == HEADS
    assert_same_blocks(model, state)
    assert "patch kernel: 16x16 to 128x2, resample" in report.notes


@pytest.mark.parametrize("origin", ["released ast", "own ast", "own ssast, fine-tuned"])
def test_from_a_classifier_of_overlapping_patches(origin: str, tmp_path: Path) -> None:
    """At step 10 there are 12 x 101 patches; pretraining has none that overlap: positions at true time, new heads."""
    kind = PATCH if origin == "own ssast, fine-tuned" else "ast-tiny"
    config, path = config_of(kind, stride=(10, 10), num_classes=3), tmp_path / "checkpoint"
    is_released = origin == "released ast"
    source = released(path, OfficialAst(), config, False) if is_released else ours(path, config, False)
    model, report = started(path, config_of(PATCH, n_frames=512, num_masked=0.7))
    assert set(report.fresh) == HEADS
    state = source.state_dict()
    assert_same_blocks(model, state)
    assert torch.equal(model.backbone.state_dict()[KERNEL], state[KERNEL])
    centres = torch.arange(32, dtype=torch.float64) * 16 + 8
    rows = torch.arange(8, dtype=torch.float64) * 16 + 8
    expected = resample(state[TABLE], (rows - 8) / 10, (centres - 8) / 10)
    assert torch.allclose(model.backbone.state_dict()[TABLE], expected, atol=1e-6)
    assert any(note.startswith("positions: resample, 12x101 to 8x32") for note in report.notes)


def test_from_a_passt(tmp_path: Path) -> None:
    source = ours(tmp_path / "c", config_of("passt-tiny", num_classes=3, patchout_freq=2, patchout_time=4), False)
    model, report = started(tmp_path / "c", config_of(PATCH))
    assert set(report.fresh) == HEADS
    assert_same_blocks(model, source.state_dict())


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
@pytest.mark.parametrize("write", [ours, None], ids=["own run", "released"])
def test_any_pretrained_backbone_is_finetuned_in_any_geometry(
    write: Callable[..., Any] | None, preset: str, fields: dict[str, Any], tmp_path: Path
) -> None:
    """Whatever cannot be copied is adapted, and said; the head alone is new."""
    config, path = config_of(preset), tmp_path / "checkpoint"
    source = write(path, config) if write else released(path, OfficialSsast(), config, True)
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
